"""Wake: batches whose wait is over become ready, jobs that only wait say so, lost wakes are sent again."""

from __future__ import annotations

from collections.abc import Callable

from indexmill.ledger.ledger import Ledger
from indexmill.worker.sweeps import Sweep


def sweep(ledger: Ledger, seconds: float, top_up: Callable[[], object]) -> Sweep:
    def run() -> None:
        # First what work depends on: what a job says of itself must never hold it up.
        ledger.workload.wake_waiting()
        ledger.structural_jobs.give_turns()
        top_up()
        ledger.transitions.wait_stalled(ledger.workload.stalled_jobs(), "Waiting to try again")

    return Sweep("wake", seconds, run)
