"""Lanes: stopped when their model cannot work, probed, and given up after a while."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from indexmill.ledger.database import Database
from indexmill.ledger.pages import page_of
from indexmill.ledger.transitions import Transitions

__all__ = ["Lanes"]


@dataclass(frozen=True)
class Lanes:
    database: Database
    transitions: Transitions
    probe_seconds: float
    give_up_seconds: float

    def stop(self, lane: str, reason: str) -> None:
        """The lane's model cannot work: nothing of it is claimed but by one probe every `probe_seconds`."""
        self.database.query("stop_lane", lane=lane, reason=reason[:1000], seconds=self.probe_seconds)

    def resume(self, lane: str) -> None:
        """A window of the lane went well."""
        self.database.query("resume_lane", lane=lane)

    def give_up(self, after: UUID | None = None) -> UUID | None:
        """Fail a page of the open jobs of lanes that have been stopped for too long; where the next page begins."""
        rows, following = page_of(self.database, "jobs_of_given_up_lanes", after, seconds=self.give_up_seconds)
        for row in rows:
            self.transitions.fail(row["id"], f"The embedding model does not work: {row['stop_reason']}")
        return following
