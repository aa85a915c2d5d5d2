"""Wake: batches whose wait is over become ready, jobs that only wait say so, lost wakes are sent again."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from indexmill.ledger.ledger import Ledger
from indexmill.worker.sweeps import Sweep, page_by_page


def sweep(ledger: Ledger, seconds: float, top_up: Callable[[], object]) -> Sweep:
    def tell_stalled(after: UUID | None) -> UUID | None:
        stalled, following = ledger.workload.stalled_jobs(after)
        ledger.transitions.wait_stalled(stalled, "Waiting to try again")
        return following

    tell = page_by_page(tell_stalled)

    def run() -> None:
        # First what work depends on: what a job says of itself must never hold it up.
        ledger.workload.wake_waiting()
        ledger.structural_jobs.give_turns()
        top_up()
        tell()

    return Sweep("wake", seconds, run)
