"""Turns rows of the ledger into the domain's records."""

from __future__ import annotations

from dataclasses import fields

from indexmill.domain.job import Job, JobKind
from indexmill.domain.job_state import JobState, Reason
from indexmill.domain.outcome import Counters
from indexmill.ledger.database import Row

__all__ = ["counters_of", "job_of"]

_COUNTERS = tuple(each.name for each in fields(Counters))


def counters_of(row: Row) -> Counters:
    return Counters(*(int(row[name] or 0) for name in _COUNTERS))


def job_of(row: Row) -> Job:
    """A row of `find_job.sql` or `page_of_jobs.sql`."""
    return Job(
        id=row["id"],
        external_id=row["external_id"],
        tenant=row["tenant"],
        kind=JobKind(row["kind"]),
        state=JobState(row["state"]),
        reason=Reason(row["reason"]) if row["reason"] else None,
        detail=row["detail"],
        collection=row["collection"],
        model=row["model"],
        attempt=row["attempt"],
        total_items=row["total_items"],
        counters=counters_of(row),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        result=row.get("result"),
        collection_number=row.get("collection_number"),
        submitted_by=row.get("submitted_by"),
        done=row.get("done"),
    )
