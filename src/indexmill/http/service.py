"""What the HTTP layer needs of the composition root, and how it calls the synchronous engine from the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

from indexmill.settings import Settings

if TYPE_CHECKING:
    from indexmill.engine import Engine

__all__ = ["Door", "Service"]

P = ParamSpec("P")
T = TypeVar("T")


class Service(Protocol):
    """The running service; whoever built it starts and closes it."""

    @property
    def settings(self) -> Settings: ...

    @property
    def engine(self) -> Engine: ...

    def readiness(self) -> dict[str, str | None]:
        """Each part of the service: None where it is ready, else a sentence that says what is missing."""

    def metrics(self) -> bytes:
        """Everything measured, in Prometheus' text format."""


class Door:
    """The engine as routes see it: every call runs in one of the app's own threads.

    Own threads, not the server's shared ones: a slow probe or a large upload never takes the place of a submission.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.engine = service.engine
        # They end with the app itself. As many as there are database connections: one more would only wait for one.
        self._threads = ThreadPoolExecutor(service.settings.database.pool_size, thread_name_prefix="engine-call")

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result; the database's own timeouts bound the wait."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(function, *args, **kwargs))
