"""Give up: the jobs of a lane whose model has not worked for too long end failed; they can be retried."""

from __future__ import annotations

from indexmill.ledger.ledger import Ledger
from indexmill.worker.sweeps import Sweep, page_by_page


def sweep(ledger: Ledger, seconds: float) -> Sweep:
    return Sweep("give_up_lanes", seconds, page_by_page(ledger.lanes.give_up))
