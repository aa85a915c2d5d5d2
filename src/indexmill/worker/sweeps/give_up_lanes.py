"""Give up: the jobs of a lane whose model has not worked for too long end failed; they can be retried."""

from __future__ import annotations

from indexmill.ledger.ledger import Ledger
from indexmill.worker.sweeps import Sweep


def sweep(ledger: Ledger, seconds: float) -> Sweep:
    return Sweep("give_up_lanes", seconds, ledger.lanes.give_up)
