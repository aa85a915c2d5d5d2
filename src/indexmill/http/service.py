"""What the HTTP layer needs of the composition root, and how it calls the synchronous engine from the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

from indexmill.domain.job import Submission, Submitted
from indexmill.settings import Settings

if TYPE_CHECKING:
    from indexmill.engine import Engine

__all__ = ["Door", "Service"]

P = ParamSpec("P")
T = TypeVar("T")


#: Submissions that one commit stores at most.
_MAX_TOGETHER = 64
_GATHER_SECONDS = 0.002


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
        self._waiting: list[tuple[Submission, asyncio.Future[Submitted]]] = []
        self._storing: asyncio.Task[None] | None = None

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's result; the database's own timeouts bound the wait."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(function, *args, **kwargs))

    async def submit(self, submission: Submission) -> Submitted:
        """Submit a small request together with all that come while the ones before are being stored.

        One thread and one commit serve them all: a service under load stores more of them a second, an idle one
        each at once.
        """
        future: asyncio.Future[Submitted] = asyncio.get_running_loop().create_future()
        self._waiting.append((submission, future))
        if self._storing is None:
            self._storing = asyncio.create_task(self._store_waiting())
        return await future

    async def _store_waiting(self) -> None:
        while self._waiting:
            together = self._waiting[:_MAX_TOGETHER]
            del self._waiting[:_MAX_TOGETHER]
            results: Sequence[Submitted | Exception]
            try:
                results = await self.call(self.engine.submit_together, [submission for submission, _ in together])
            except Exception as error:  # noqa: BLE001 - everybody who waits must be told, whatever it is
                results = [error] * len(together)
            for (_, future), result in zip(together, results, strict=True):
                if future.cancelled():
                    continue
                if isinstance(result, Exception):
                    future.set_exception(result)
                else:
                    future.set_result(result)
            if len(together) > 1:
                # They were several: those that they answer are about to ask again. A moment gathers them.
                await asyncio.sleep(_GATHER_SECONDS)
        self._storing = None
