"""Withdrawn models: ends the jobs that were being submitted while their model was withdrawn."""

from __future__ import annotations

from indexmill.ledger.ledger import Ledger
from indexmill.worker.sweeps import Sweep


def sweep(ledger: Ledger, seconds: float) -> Sweep:
    return Sweep("end_withdrawn", seconds, ledger.withdrawal.end_jobs)
