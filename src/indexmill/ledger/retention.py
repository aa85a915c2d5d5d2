"""What is deleted when: abandoned uploads, bodies, sent callbacks, old jobs and what they name, tombstones, workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from indexmill.domain.job import JobFilter
from indexmill.ledger.database import Database
from indexmill.ledger.jobs import filter_values

__all__ = ["Retention"]

#: Rows a statement deletes at most, so that no statement is long.
_AT_ONCE = 1000
#: Full rounds of a kind that follow one another in one turn.
_MAX_ROUNDS = 50


@dataclass(frozen=True)
class Retention:
    database: Database
    body_days: float
    job_days: float
    staging_hours: float
    tombstone_days: float

    def delete_finished(self, wanted: JobFilter) -> int:
        """Delete the ended jobs that match and whose callbacks are sent; how many."""
        deleted = 0
        while True:
            rows = self.database.query("delete_finished_jobs", **filter_values(wanted), limit=_AT_ONCE)
            deleted += len(rows)
            if len(rows) < _AT_ONCE:
                return deleted

    def prune(self) -> dict[str, int]:
        """Delete what is past its time, a bounded number of each kind; how many of each."""
        rounds: dict[str, dict[str, Any]] = {
            "prune_receiving_jobs": {"hours": self.staging_hours},
            "prune_bodies": {"days": self.body_days},
            "prune_callbacks": {},
            "prune_jobs": {"days": self.job_days},
            "delete_left_collections": {},
            "prune_source_files": {},
            # What jobs name outlives them.
            "prune_data_sources": {"days": self.job_days},
            "prune_knowledge_bases": {"days": self.job_days},
            "prune_tombstones": {"days": self.tombstone_days},
            "prune_collections": {"days": self.job_days},
            "prune_models": {"days": self.job_days},
            "prune_idempotency_keys": {},
            "prune_workers": {},
            "prune_totals": {},
        }
        pruned: dict[str, int] = {}
        for name, values in rounds.items():
            pruned[name] = 0
            for _ in range(_MAX_ROUNDS):
                deleted = len(self.database.query(name, **values, limit=_AT_ONCE))
                pruned[name] += deleted
                if deleted < _AT_ONCE:
                    break
        return pruned
