"""The Celery processes of one supervisor: kept alive, and restarted when they hang or go deaf."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from indexmill.errors import ServiceError
from indexmill.ledger.ledger import Ledger
from indexmill.settings import Settings
from indexmill.worker.child import spawn
from indexmill.worker.watch import Child, stop_children

__all__ = ["Fleet", "supervisor_name"]

_log = logging.getLogger(__name__)
_MODULE = "indexmill.worker.celery_process"
_REPORT_SECONDS = 1.0
_LOOK_SECONDS = 1.0
#: A process that was just started has its model to load.
_START_PATIENCE = 15.0
_STOP_SECONDS = 30.0
#: Looks in a row, one a second, at which a process that takes no work is held to be deaf.
_LOCAL_IDLE_LOOKS = 3
_REMOTE_IDLE_LOOKS = 5
_COMMITTED_SECONDS = 5.0
#: After an outage of the database a process may still be waiting for its connection, with a lease past its deadline:
#: as long as that takes (a pool's time-out, its pause between tries), it does not hang.
_AFTER_OUTAGE_SECONDS = 20.0


def supervisor_name() -> str:
    """Distinct on all hosts and over restarts."""
    return f"{socket.gethostname()}:{os.getpid()}:{time.time_ns() // 1_000_000:x}"


@dataclass
class Fleet:
    """`processes` slots: with the local broker a solo process each, else one prefork worker of so many children."""

    settings: Settings
    url: str
    ledger: Ledger
    processes: int
    name: str = field(default_factory=supervisor_name)
    children: list[Child] = field(default_factory=list)
    _reported_at: float = 0.0
    _looked_at: float = 0.0
    #: When the database was last away.
    _away_at: float = -_AFTER_OUTAGE_SECONDS
    _is_stopping: bool = False
    #: While it stops, the database did not answer once: nobody waits for it again.
    _asks_no_more: bool = False
    #: How many looks in a row each child was idle although work waited.
    _idle_looks: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count, slots = (self.processes, 1) if self._is_local else (1, self.processes)
        for number in range(count):
            self.children.append(
                Child(
                    name=f"worker {number + 1}",
                    start=lambda: spawn(_MODULE, self.settings, self.url, self.name, slots),
                    on_death=self._expire_leases,
                )
            )

    @property
    def _is_local(self) -> bool:
        return self.settings.celery.broker_mode == "local"

    def look_after(self) -> None:
        """Called often: restarts what died, reports, and now and then looks for what hangs."""
        for child in self.children:
            child.keep_alive()
        now = time.monotonic()
        if now - self._reported_at > _REPORT_SECONDS:
            self._reported_at = now
            self._try(self._report)
        if now - self._looked_at > _LOOK_SECONDS:
            self._looked_at = now
            self._try(self._end_what_hangs)

    def stop(self) -> None:
        """Let each finish its window or give its lease back; then they are gone."""
        self._is_stopping = True
        stop_children(self.children, _STOP_SECONDS)
        self._try(lambda: self.ledger.workload.report(self.name, 0))

    def _report(self) -> None:
        """Say how many windows can run: a process that does not get up counts nothing."""
        ready = sum(child.is_ready for child in self.children)
        slots = ready if self._is_local else ready * self.processes
        self.ledger.workload.report(self.name, slots)

    def _end_what_hangs(self) -> None:
        may_wait_for_database = time.monotonic() - self._away_at < _AFTER_OUTAGE_SECONDS
        busy: set[int] = set()
        for lease in self.ledger.workload.leases_of(self.name):
            pid = int(lease.worker.rpartition("/")[2])
            busy.add(pid)
            if lease.past_deadline and self._is_local and not may_wait_for_database:
                self._kill(pid, "its window is past its deadline")
        if may_wait_for_database:
            # Nor is it deaf: its wake may not have been sent yet.
            self._idle_looks.clear()
            return
        # Between two windows there is no lease: whoever has committed one lately hears its broker.
        for worker in self.ledger.workload.recently_committed(self.name, _COMMITTED_SECONDS):
            busy.add(int(worker.rpartition("/")[2]))
        self._end_what_is_deaf(busy)

    def _end_what_is_deaf(self, busy: set[int]) -> None:
        """Work has been ready for a while and a process never takes any: it no longer hears its broker.

        One look proves nothing: between two windows a process holds no lease.
        """
        looks = _LOCAL_IDLE_LOOKS if self._is_local else _REMOTE_IDLE_LOOKS
        work_waits = self.ledger.workload.ready().waited > looks * _LOOK_SECONDS
        for child in self.children:
            is_busy = child.pid in busy if self._is_local else bool(busy)
            is_idle = work_waits and not is_busy and child.age > _START_PATIENCE
            self._idle_looks[child.name] = self._idle_looks.get(child.name, 0) + 1 if is_idle else 0
            if self._idle_looks[child.name] >= looks:
                self._idle_looks[child.name] = 0
                child.kill("work is ready and it takes none")

    def _kill(self, pid: int, why: str) -> None:
        for child in self.children:
            if child.pid == pid:
                child.kill(why)

    def _expire_leases(self, pid: int) -> None:
        # Its process is gone for certain, so nobody need wait for its lease to run out.
        worker = f"{self.name}/{pid}" if self._is_local else self.name
        self._try(lambda: self.ledger.leases.expire_of(worker))

    def _try(self, work: Callable[[], object]) -> None:
        if self._asks_no_more:
            return
        try:
            work()
        except (psycopg.Error, ServiceError) as error:
            # The database is away; the next round tries again.
            self._away_at = time.monotonic()
            _log.info("supervision: %s", type(error).__name__)
            self._asks_no_more = self._is_stopping
