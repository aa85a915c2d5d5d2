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
_STOP_SECONDS = 10.0
#: They may wait for a bucket, and can be cut off anywhere.
_SLOW_STOP_SECONDS = 1.0
_SLOW = "slow-"


class SweepLoop:
    """A thread, and one for slow sweeps. A sweep that fails is tried again at its next turn; the others go on."""

    def __init__(self, turns: Sweeps, sweeps: list[Sweep], name: str = "sweeps") -> None:
        self._turns = turns
        self._registered: set[str] = set()
        self._offer_at: dict[str, float] = {}
        self._stopped = threading.Event()
        quick = [each for each in sweeps if not each.slow]
        slow = [each for each in sweeps if each.slow]
        self._threads = [
            threading.Thread(target=self._run, args=(group,), name=thread_name, daemon=True)
            for thread_name, group in ((name, quick), (_SLOW + name, slow))
            if group
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=_SLOW_STOP_SECONDS if thread.name.startswith(_SLOW) else _STOP_SECONDS)

    def _run(self, sweeps: list[Sweep]) -> None:
        while not self._stopped.wait(_TICK_SECONDS):
            for sweep in sweeps:
                now = time.monotonic()
                if now >= self._offer_at.get(sweep.name, 0.0):
                    # Twice an interval is enough to notice that whoever did it last time is gone.
                    self._offer_at[sweep.name] = now + (sweep.seconds if sweep.local else sweep.seconds / 2)
                    self._offer(sweep)

    def _offer(self, sweep: Sweep) -> None:
        try:
            if sweep.local or self._takes_turn(sweep):
                sweep.run()
        except (psycopg.Error, ServiceError) as error:
            _log.warning("sweep %s: %s", sweep.name, type(error).__name__)
            self._stopped.wait(1)
        except Exception:  # noqa: BLE001 - a defect in one duty must not end the others
            _log.exception("sweep %s failed", sweep.name)

    def _takes_turn(self, sweep: Sweep) -> bool:
        if sweep.name not in self._registered:
            self._turns.register([sweep.name])
            self._registered.add(sweep.name)
        return self._turns.take_turn(sweep.name, sweep.seconds)
