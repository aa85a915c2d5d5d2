"""Finish: jobs whose last worker died between its commit and the end of the job."""

from __future__ import annotations

from indexmill.ledger.ledger import Ledger
from indexmill.worker.sweeps import Sweep


def sweep(ledger: Ledger, seconds: float) -> Sweep:
    def run() -> None:
        jobs = ledger.workload.finishable_jobs()
        if jobs:
            ledger.transitions.finish(jobs)

    return Sweep("finish", seconds, run)
