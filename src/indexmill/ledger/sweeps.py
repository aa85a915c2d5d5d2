"""Whose turn a periodic duty is: claimed by one UPDATE, so that of many processes one does it."""

from __future__ import annotations

from dataclasses import dataclass

from indexmill.ledger.database import Database

__all__ = ["Sweeps"]


@dataclass(frozen=True)
class Sweeps:
    database: Database

    def register(self, names: list[str]) -> None:
        self.database.query("register_sweeps", names=names)

    def take_turn(self, name: str, seconds: float) -> bool:
        """Whether the duty is due and ours; the next turn is `seconds` from now."""
        return bool(self.database.query("take_turn", name=name, seconds=seconds))
