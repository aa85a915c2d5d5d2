"""The periodic duties, one file each in `sweeps/`: every `serve` and `worker` offers to do them, one does each turn."""

from __future__ import annotations

import logging
import threading
import time

import psycopg

from indexmill.errors import ServiceError
from indexmill.ledger.sweeps import Sweeps
from indexmill.worker.sweeps import Sweep

__all__ = ["SweepLoop"]

_log = logging.getLogger(__name__)
_TICK_SECONDS = 0.25


class SweepLoop:
    """One thread a process. A sweep that fails is tried again at its next turn; the others go on."""

    def __init__(self, turns: Sweeps, sweeps: list[Sweep], name: str = "sweeps") -> None:
        self._turns = turns
        self._sweeps = sweeps
        self._registered = False
        self._offer_at: dict[str, float] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        while not self._stopped.wait(_TICK_SECONDS):
            for sweep in self._sweeps:
                now = time.monotonic()
                if now >= self._offer_at.get(sweep.name, 0.0):
                    # Twice an interval is enough to notice that whoever did it last time is gone.
                    self._offer_at[sweep.name] = now + sweep.seconds / 2
                    self._offer(sweep)

    def _offer(self, sweep: Sweep) -> None:
        try:
            if not self._registered:
                self._turns.register([each.name for each in self._sweeps])
                self._registered = True
            if self._turns.take_turn(sweep.name, sweep.seconds):
                sweep.run()
        except (psycopg.Error, ServiceError) as error:
            _log.warning("sweep %s: %s", sweep.name, type(error).__name__)
            self._stopped.wait(1)
        except Exception:  # noqa: BLE001 - a defect in one duty must not end the others
            _log.exception("sweep %s failed", sweep.name)
