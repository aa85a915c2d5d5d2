"""Withdrawn models: ends the jobs that were being submitted while their model was withdrawn."""

from __future__ import annotations

from indexmill.ledger.ledger import Ledger
from indexmill.worker.sweeps import Sweep, page_by_page


def sweep(ledger: Ledger, seconds: float) -> Sweep:
    return Sweep("end_withdrawn", seconds, page_by_page(ledger.withdrawal.end_jobs))
