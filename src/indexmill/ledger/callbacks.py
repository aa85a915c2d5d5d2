"""The outbox of callbacks: written with what they tell of, claimed and settled by whoever sends them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from indexmill.domain.callback import CallbackEvent, CallbackKind
from indexmill.ledger.database import Connection, Database, Row, run_query

__all__ = ["Callbacks"]

_MAX_PROBLEM = 500


@dataclass(frozen=True)
class Callbacks:
    """The rows of a job's start and end are written by the transitions themselves."""

    database: Database

    def progress(self, connection: Connection, job_ids: Sequence[UUID], step: str, percentage: int) -> int:
        """Tell that these open jobs have come so far, once a step and attempt; how many want to know.

        In a transaction of its own, or on a connection without one: jobs are locked before batches everywhere.
        """
        rows = run_query(connection, "report_progress", ids=sorted(job_ids), step=step, percentage=percentage)
        return len(rows)

    def has_due(self) -> bool:
        return bool(self.database.query("due_callbacks")[0]["due"])

    def claim(self, limit: int, seconds: float) -> list[CallbackEvent]:
        """Due callbacks, the oldest of each job, for this caller alone for so many seconds."""
        with self.database.connection() as connection:
            rows = run_query(connection, "claim_callbacks", limit=limit, seconds=seconds)
        return [_event_of(row) for row in sorted(rows, key=lambda row: int(row["id"]))]

    def delivered(self, event: CallbackEvent) -> None:
        self.database.query("settle_callback", id=event.id, given_up=False, problem=None)

    def give_up(self, event: CallbackEvent, problem: str) -> None:
        """It will not be sent; its job's later callbacks are next."""
        self.database.query("settle_callback", id=event.id, given_up=True, problem=problem[:_MAX_PROBLEM])

    def postpone(self, event: CallbackEvent, seconds: float, problem: str) -> None:
        """The broker would not take it: try again in so many seconds."""
        self.database.query("postpone_callback", id=event.id, seconds=seconds, problem=problem[:_MAX_PROBLEM])

    def release(self, events: Sequence[CallbackEvent]) -> None:
        """Claimed, and not tried for a reason of the sender's own."""
        self.database.query("release_callbacks", ids=[event.id for event in events])


def _event_of(row: Row) -> CallbackEvent:
    return CallbackEvent(
        id=row["id"],
        job=row["job"],
        attempt=row["attempt"],
        kind=CallbackKind(row["event"]),
        exchange=row["exchange"],
        routing_key=row["routing_key"],
        data=row["data"],
        properties=row["properties"] or {},
        created_at=row["created_at"],
        tries=row["tries"],
        refused_seconds=row["refused_seconds"],
    )
