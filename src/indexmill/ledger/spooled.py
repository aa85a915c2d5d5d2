"""What jobs have in the spool: which of its files must be kept."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from indexmill.ledger.database import Database

__all__ = ["Spooled"]


@dataclass(frozen=True)
class Spooled:
    database: Database

    def in_use(self, references: Collection[str]) -> set[str]:
        """Those that a job needs which runs, or can still be retried or rerun.

        Raises:
            ServiceError: the database could not be reached.
        """
        if not references:
            return set()
        rows = self.database.query("spooled_in_use", references=list(references))
        return {row["reference"] for row in rows}
