"""Watching worker processes: what exits is restarted with backoff; what hangs is killed, its leases expire at once."""

from __future__ import annotations

import logging
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from indexmill.worker.child import Spawned

__all__ = ["Child", "stop_children", "stop_signal"]

_log = logging.getLogger(__name__)
_FIRST_DELAY = 0.1
_MAX_DELAY = 5.0
#: A process that lived so long starts with the shortest delay again.
_STEADY_SECONDS = 10.0
_KILL_SECONDS = 10.0


@dataclass
class Child:
    """One supervised process. `on_death` is told the number of each process that ended."""

    name: str
    start: Callable[[], Spawned]
    on_death: Callable[[int], None] = lambda _: None
    spawned: Spawned | None = None
    _started_at: float = 0.0
    _delay: float = _FIRST_DELAY
    _start_at: float = field(default=0.0)

    @property
    def process(self) -> subprocess.Popen[bytes] | None:
        return self.spawned.process if self.spawned is not None else None

    @property
    def is_ready(self) -> bool:
        """Whether its process has said that it can work, and is still there."""
        return self.spawned is not None and self.spawned.is_ready

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None else None

    @property
    def age(self) -> float:
        """Seconds since its process was started."""
        return time.monotonic() - self._started_at

    def keep_alive(self) -> None:
        """Notice an exit, and start again when the delay is over; a system without a process to spare is waited for."""
        now = time.monotonic()
        if self.spawned is not None and self.process is not None:
            code = self.process.poll()
            if code is None:
                return
            _log.warning("%s (process %d) ended with %d; restarting it", self.name, self.process.pid, code)
            self._pause(now, _FIRST_DELAY if self.age > _STEADY_SECONDS else self._delay * 2)
            died = self.process.pid
            self.spawned.close()
            self.spawned = None
            self.on_death(died)
        if now >= self._start_at:
            try:
                self.spawned = self.start()
            except OSError as error:
                # EAGAIN, ENOMEM, EMFILE: it may have one in a while, and the other processes need their supervisor.
                _log.warning("%s cannot be started now: %s", self.name, error.strerror or type(error).__name__)
                self._pause(now, self._delay * 2)
                return
            self._started_at = time.monotonic()

    def _pause(self, now: float, seconds: float) -> None:
        self._delay = min(seconds, _MAX_DELAY)
        self._start_at = now + self._delay

    def kill(self, why: str) -> None:
        """SIGKILL; `keep_alive` starts it again."""
        if self.process is not None and self.process.poll() is None:
            _log.warning("%s (process %d) is killed: %s", self.name, self.process.pid, why)
            self.process.kill()
            try:
                self.process.wait(timeout=_KILL_SECONDS)
            except subprocess.TimeoutExpired:
                # It hangs in the kernel; it holds its leases' names until it is gone, which `keep_alive` notices.
                _log.warning("%s (process %d) is still there", self.name, self.process.pid)


def stop_children(children: list[Child], grace_seconds: float) -> None:
    """SIGTERM to all of them, then SIGKILL to those that are still there when the grace is over."""
    running = [child for child in children if child.process is not None and child.process.poll() is None]
    for child in running:
        assert child.process is not None  # noqa: S101 - tells the type checker what the line above knows
        child.process.terminate()
    until = time.monotonic() + grace_seconds
    for child in running:
        assert child.process is not None  # noqa: S101 - as above
        try:
            child.process.wait(timeout=max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill(f"it did not stop within {grace_seconds:g} s")
        if child.process.poll() is not None:
            child.on_death(child.process.pid)


@contextmanager
def stop_signal() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
