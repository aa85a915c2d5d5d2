"""Wakes workers: tops the broker's queue up to what is ready, never more; a lost wake is sent again by the sweep."""

from __future__ import annotations

import logging
import threading
from typing import Any

from kombu.connection import Connection

from indexmill.errors import IndexmillError
from indexmill.ledger.workload import Workload
from indexmill.settings import Settings
from indexmill.worker.celery_app import DRAIN_TASK, make_celery, transport_options

__all__ = ["Waker"]

_log = logging.getLogger(__name__)
#: Between two top-ups: one-item submissions in a row become one window.
_PAUSE_SECONDS = 0.05
_BROKER_TIMEOUT = 1.0


class Waker:
    """One thread that publishes, so that no request ever waits for the broker."""

    def __init__(self, settings: Settings, workload: Workload) -> None:
        self._settings = settings
        self._workload = workload
        self._app = make_celery(settings)
        self._connection: Connection | None = None
        self._asked = threading.Event()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="waker", daemon=True)
        self._problem: str | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._asked.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self._disconnect()

    def wake(self) -> None:
        """Ask for a top-up; returns at once and never raises."""
        self._asked.set()

    @property
    def problem(self) -> str | None:
        """What is wrong with the broker, None where the last call to it went well."""
        return self._problem

    def top_up(self) -> int:
        """Publish as many wakes as are missing; how many. A broker that is down is noted, not raised."""
        ready = self._workload.ready()
        wanted = min(ready.batches, max(1, ready.slots))
        with self._lock:
            try:
                return self._publish(wanted)
            except Exception as error:  # noqa: BLE001 - each transport raises its own; the sweep tries again
                self._problem = f"the broker does not answer ({type(error).__name__})"
                self._disconnect()
                _log.warning("wake not sent: %s", self._problem)
                return 0

    def probe(self) -> str | None:
        """Ask the broker now; what is wrong with it, or None."""
        with self._lock:
            try:
                self._publish(0)
            except Exception as error:  # noqa: BLE001 - each transport raises its own
                self._problem = f"the broker does not answer ({type(error).__name__})"
                self._disconnect()
        return self._problem

    def _publish(self, wanted: int) -> int:
        if self._connection is None:
            self._connection = Connection(  # type: ignore[no-untyped-call]  # kombu has no annotations
                self._app.conf.broker_url, transport_options=transport_options(self._settings, timeout=_BROKER_TIMEOUT)
            )
        channel: Any = self._connection.default_channel
        missing = max(0, wanted - _depth(channel, self._settings.celery.queue))
        for _ in range(missing):
            self._app.send_task(DRAIN_TASK, connection=self._connection, retry=False)
        self._problem = None
        return missing

    def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            try:
                if self._problem is None:
                    connection.close()  # type: ignore[no-untyped-call]  # as above
                else:
                    # Without a word to the broker, which may be silent: AMQP would wait for its answer.
                    connection.collect()  # type: ignore[no-untyped-call]  # as above
            except Exception as error:  # noqa: BLE001 - it is being thrown away
                _log.debug("closing the broker connection: %s", error)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._asked.wait()
            self._asked.clear()
            if self._stopped.is_set():
                return
            try:
                self.top_up()
            except Exception as error:  # noqa: BLE001 - the thread must outlive a database that is away
                _log.warning("wake not sent: %s", error if isinstance(error, IndexmillError) else type(error).__name__)
            # What was asked meanwhile gets a top-up of its own after the pause: the last one is never lost.
            self._stopped.wait(_PAUSE_SECONDS)


def _depth(channel: Any, queue: str) -> int:
    try:
        return int(channel.queue_declare(queue=queue, passive=True).message_count)
    except channel.connection.client.channel_errors:
        # The queue is made by the first message.
        return 0
