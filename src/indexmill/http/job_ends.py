"""`JobEnds`: one look at the ledger for all requests that wait for jobs to end; none of them holds a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final
from uuid import UUID

__all__ = ["JobEnds"]

#: Between two looks: short after somebody has come, then longer and longer.
_FIRST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.25
_LONGER: Final = 1.5


class JobEnds:
    """For one event loop. `over` says which of these jobs have ended or are not there any more."""

    def __init__(self, over: Callable[[Sequence[UUID]], Awaitable[Collection[UUID]]]) -> None:
        self._over = over
        self._waiting: dict[UUID, set[asyncio.Future[None]]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._somebody_came = asyncio.Event()

    async def of(self, job: UUID) -> None:
        """Return when the job is over; whoever calls bounds the wait.

        Raises:
            What `over` raises.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job, set()).add(future)
        self._somebody_came.set()
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            await future
        finally:
            self._forget(job, future)

    def _forget(self, job: UUID, future: asyncio.Future[None]) -> None:
        left = self._waiting.get(job)
        if left is not None:
            left.discard(future)
            if not left:
                del self._waiting[job]

    async def _look(self) -> None:
        """Until nobody waits."""
        pause = _FIRST_PAUSE
        try:
            while self._waiting:
                if self._somebody_came.is_set():
                    self._somebody_came.clear()
                    pause = _FIRST_PAUSE
                await asyncio.sleep(_FIRST_PAUSE)
                await self._sleep(pause - _FIRST_PAUSE)
                pause = min(_LONGEST_PAUSE, pause * _LONGER)
                await self._tell()
        finally:
            self._looking = None

    async def _sleep(self, seconds: float) -> None:
        """Not longer than until somebody comes: for a new job the first look is soon."""
        try:
            async with asyncio.timeout(seconds):
                await self._somebody_came.wait()
        except TimeoutError:
            return

    async def _tell(self) -> None:
        asked = list(self._waiting)
        try:
            over: Collection[UUID] = await self._over(asked) if asked else ()
        except Exception as error:  # noqa: BLE001 - everybody who waits must be told, whatever it is
            for job in asked:
                for future in self._waiting.get(job, ()):
                    if not future.done():
                        future.set_exception(error)
            return
        for job in over:
            for future in self._waiting.get(job, ()):
                if not future.done():
                    future.set_result(None)
