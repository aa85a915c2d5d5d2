"""Prune: what is past its retention, and uploads that stopped in the middle."""

from __future__ import annotations

from indexmill.ledger.ledger import Ledger
from indexmill.worker.sweeps import Sweep

_SECONDS = 60.0


def sweep(ledger: Ledger) -> Sweep:
    return Sweep("prune", _SECONDS, ledger.retention.prune)
