"""Whose turn a periodic duty is: claimed by one UPDATE, so that of many processes one does it."""

from __future__ import annotations

from dataclasses import dataclass

from indexmill.ledger.database import Database, run_query

__all__ = ["Sweeps"]


@dataclass(frozen=True)
class Sweeps:
    database: Database

    def register(self, names: list[str]) -> None:
        with self.database.connection() as connection:
            run_query(connection, "register_sweeps", names=names)

    def take_turn(self, name: str, seconds: float) -> bool:
        """Whether the duty is due and ours; the next turn is `seconds` from now."""
        with self.database.connection() as connection:
            return bool(run_query(connection, "take_turn", name=name, seconds=seconds))
