"""Rescue: batches whose worker is gone, or past its deadline, become ready again."""

from __future__ import annotations

import logging
from collections.abc import Callable

from indexmill.ledger.ledger import Ledger
from indexmill.worker.sweeps import Sweep

_log = logging.getLogger(__name__)


def sweep(ledger: Ledger, seconds: float, top_up: Callable[[], object]) -> Sweep:
    def run() -> None:
        rescued = ledger.leases.rescue()
        if rescued:
            _log.warning("rescued %d batches from lost workers", rescued)
            top_up()

    return Sweep("rescue", seconds, run)
