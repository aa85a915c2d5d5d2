"""What is deleted when: abandoned uploads, bodies, old jobs, tombstones, silent workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from indexmill.domain.job import JobFilter
from indexmill.ledger.database import Database
from indexmill.ledger.jobs import filter_values

__all__ = ["Retention"]

#: Rows a statement deletes at most, so that no statement is long.
_AT_ONCE = 1000


@dataclass(frozen=True)
class Retention:
    database: Database
    body_days: float
    job_days: float
    staging_hours: float
    tombstone_days: float

    def delete_finished(self, wanted: JobFilter) -> int:
        """Delete the ended jobs that match; how many."""
        deleted = 0
        while True:
            rows = self.database.query("delete_finished_jobs", **filter_values(wanted), limit=_AT_ONCE)
            deleted += len(rows)
            if len(rows) < _AT_ONCE:
                return deleted

    def prune(self) -> dict[str, int]:
        """One round of each kind of deletion; how many rows of each."""
        rounds: dict[str, dict[str, Any]] = {
            "prune_receiving_jobs": {"hours": self.staging_hours},
            "prune_bodies": {"days": self.body_days},
            "prune_jobs": {"days": self.job_days},
            "prune_tombstones": {"days": self.tombstone_days},
            "prune_workers": {},
            "prune_totals": {},
        }
        pruned: dict[str, int] = {}
        for name, values in rounds.items():
            pruned[name] = len(self.database.query(name, **values, limit=_AT_ONCE))
        return pruned
