"""Wake: batches whose wait is over become ready, jobs that only wait say so, lost wakes are sent again."""

from __future__ import annotations

from collections.abc import Callable

from indexmill.ledger.ledger import Ledger
from indexmill.worker.sweeps import Sweep


def sweep(ledger: Ledger, seconds: float, top_up: Callable[[], object]) -> Sweep:
    def run() -> None:
        stalled = ledger.workload.stalled_jobs()
        if stalled:
            ledger.database.repeat(
                lambda connection: ledger.transitions.wait(connection, stalled, "Waiting to try again")
            )
        ledger.workload.wake_waiting()
        top_up()

    return Sweep("wake", seconds, run)
