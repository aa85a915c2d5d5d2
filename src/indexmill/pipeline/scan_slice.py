"""A slice of a scan: what one window may do for a data source, and the guarded transactions in which it does it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

from indexmill.ledger.claims import ClaimedBatch
from indexmill.ledger.database import Connection
from indexmill.ledger.knowledge_bases import OpenDataSource
from indexmill.ledger.ledger import Ledger
from indexmill.ledger.scans import ScanProgress

__all__ = ["ScanLost", "ScanSlice", "commit_scan"]


class ScanLost(Exception):
    """The scan's batch is not ours any more, or its job has ended."""


@dataclass(frozen=True)
class ScanSlice:
    """`until`: monotonic seconds, when others take their turn. `check` raises where the window must stop.

    `splitting`: how the source's files become chunks; `note`: a sentence where it is not what was asked for.
    """

    ledger: Ledger
    token: UUID
    batch: ClaimedBatch
    source: OpenDataSource
    splitting: str
    note: str | None
    until: float
    check: Callable[[], None]

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self.until

    def commit(self, work: Callable[[Connection], None]) -> None:
        """Raises: ScanLost."""
        commit_scan(self.ledger, self.token, self.batch, work)

    def advance(self, connection: Connection, progress: ScanProgress) -> None:
        """So far the scan is now."""
        self.ledger.scans.advance(connection, self.batch, progress, error_sentence=self.note)

    def let_go(self, seconds: float = 0.0) -> None:
        """The scan goes on later; not before so many seconds.

        Raises:
            ScanLost
        """
        self.commit(lambda connection: self.ledger.scans.let_go(connection, self.token, self.batch, seconds))


def commit_scan(ledger: Ledger, token: UUID, batch: ClaimedBatch, work: Callable[[Connection], None]) -> None:
    """One transaction, in which the scan's job and batch are locked and still ours.

    What was committed although its answer was lost is not done again: no file is in the job twice.

    Raises:
        ScanLost
    """
    step = uuid4()

    def guarded(connection: Connection) -> bool:
        # Waits for a try before that is still under way. Where that has ended the batch, it is not ours any more.
        is_ours = ledger.scans.hold(connection, token, batch)
        if ledger.scans.has_step(connection, batch, step):
            return True
        if not is_ours:
            return False
        ledger.scans.note_step(connection, batch, step)
        work(connection)
        return True

    if not ledger.database.repeat(guarded):
        raise ScanLost
