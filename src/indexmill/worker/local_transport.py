"""The `local` broker: Celery messages as files below the data folder, for one machine with nothing to install.

kombu's own filesystem transport writes a message in place, so that a reader may meet half of it, and loses it then."""

from __future__ import annotations

import json
import logging
import os
import shutil
import uuid
from pathlib import Path
from queue import Empty
from time import time_ns
from typing import Any

from kombu.transport import TRANSPORT_ALIASES, filesystem, virtual

__all__ = ["LOCAL_URL", "Channel", "Transport", "register"]

#: The broker URL of the local transport.
LOCAL_URL = "indexmill-local://localhost/"
_SUFFIX = ".msg"
#: Celery's exchange of events, and how the queues of those who listen begin.
_EVENTS = "celeryev"
#: A listener with so many unread events is gone.
_MAX_UNREAD_EVENTS = 1000
_DRAIN_SECONDS = 0.2

_log = logging.getLogger(__name__)


class Channel(filesystem.Channel):
    """One folder a queue; a message appears whole, by a rename, and is taken by a rename."""

    def get_table(self, exchange: str) -> list[Any]:
        """Every exchange has one queue, of its own name: no table file that processes could race for."""
        return [filesystem.exchange_queue_t(exchange, "", exchange)]

    def _queue_bind(self, *_: object) -> None:
        pass

    def _new_queue(self, queue: str, **_: object) -> None:
        if queue.startswith(f"{_EVENTS}."):
            self._folder(queue)

    def _lookup(self, exchange: str, routing_key: str, default: str | None = None) -> list[str]:
        """Events go to a folder for each listener, so to none where nobody listens."""
        if exchange == _EVENTS:
            return self._listeners()
        return list(super()._lookup(exchange, routing_key, default))  # type: ignore[no-untyped-call]

    def _listeners(self) -> list[str]:
        listening: list[str] = []
        for folder in Path(self.transport_options["folder"]).glob(f"{_EVENTS}.*"):
            if len(self._names(folder)) < _MAX_UNREAD_EVENTS:
                listening.append(folder.name)
            else:
                shutil.rmtree(folder, ignore_errors=True)
        return listening

    def _delete(self, queue: str, *_: object, **__: object) -> None:
        self._purge(queue)

    def _put(self, queue: str, payload: dict[str, Any], **_: object) -> None:  # type: ignore[override]  # as kombu names it
        folder = self._folder(queue)
        name = f"{time_ns():020d}_{uuid.uuid4().hex}"
        unfinished = folder / f"{name}.tmp"
        unfinished.write_bytes(json.dumps(payload).encode())
        unfinished.rename(folder / f"{name}{_SUFFIX}")

    def _get(self, queue: str, timeout: object = None) -> dict[str, Any]:
        folder = self._folder(queue)
        for name in self._names(folder):
            taken = folder / f"{name}.{os.getpid()}.taken"
            try:
                (folder / name).rename(taken)
            except FileNotFoundError:
                continue
            data = taken.read_bytes()
            taken.unlink(missing_ok=True)
            try:
                message: dict[str, Any] = json.loads(data)
            except ValueError:
                # A wake is worth nothing: the wake sweep sends another.
                _log.warning("dropped a broker message that is no JSON")
                continue
            return message
        raise Empty

    def _purge(self, queue: str) -> int:
        folder = self._folder(queue)
        names = self._names(folder)
        for name in names:
            (folder / name).unlink(missing_ok=True)
        return len(names)

    def _size(self, queue: str) -> int:
        return len(self._names(self._folder(queue)))

    def _folder(self, queue: str) -> Path:
        folder = Path(self.transport_options["folder"]) / queue
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    @staticmethod
    def _names(folder: Path) -> list[str]:
        return sorted(path.name for path in folder.iterdir() if path.suffix == _SUFFIX)


class Transport(filesystem.Transport):
    Channel = Channel

    def drain_events(self, connection: Any, timeout: float | None = None, **_: Any) -> None:
        """As the original, but back after a fifth of a second: only between two calls does Celery see a SIGTERM."""
        super().drain_events(connection, min(timeout or _DRAIN_SECONDS, _DRAIN_SECONDS))  # type: ignore[no-untyped-call]

    global_state = virtual.BrokerState()  # type: ignore[no-untyped-call]  # kombu has no annotations


def register() -> None:
    """Make `LOCAL_URL` known to kombu."""
    TRANSPORT_ALIASES["indexmill-local"] = "indexmill.worker.local_transport:Transport"
