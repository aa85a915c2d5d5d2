"""The transitions that jobs have made."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from indexmill.domain.job import JobEvent
from indexmill.domain.job_state import JobState, Reason
from indexmill.ledger.database import Database

__all__ = ["Events"]


@dataclass(frozen=True)
class Events:
    database: Database

    def of(self, job_id: UUID) -> list[JobEvent]:
        rows = self.database.query("events_of_job", job=job_id)
        return [
            JobEvent(
                number=row["number"],
                at=row["at"],
                state=JobState(row["state"]),
                reason=Reason(row["reason"]) if row["reason"] else None,
                detail=row["detail"],
            )
            for row in rows
        ]
