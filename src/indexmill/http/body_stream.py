"""A request's body as it comes: limited in size, in silence and in all its time; refused so that clients notice."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.requests import Request

from indexmill.http.problems import Problem, ProblemError

__all__ = ["BodyStream"]

_READ_SECONDS: Final = 600.0
_IDLE_SECONDS: Final = 20.0
_DRAIN_SECONDS: Final = 3.0


class BodyStream:
    """The pieces of a body of at most `limit` bytes. `setting` is where that limit comes from."""

    def __init__(self, request: Request, limit: int, setting: str) -> None:
        self._request = request
        self._limit = limit
        self._setting = setting
        self._clock = asyncio.get_running_loop().time
        self._deadline = self._clock() + _READ_SECONDS
        self.size = 0
        self.is_complete = False

    async def check_declared(self) -> None:
        """Refuse what says that it is too large, before any of it is read.

        Raises:
            ProblemError: 413.
        """
        text = self._request.headers.get("content-length", "")
        if text.isdecimal() and int(text) > self._limit:
            await self.drain()
            raise self._too_large()

    async def read(self, enough: int) -> bytes:
        """The next piece: of `enough` bytes or a little more, or what is left.

        Raises:
            ProblemError: too large (413), too slow (408), or the client is gone (400).
        """
        piece = bytearray()
        while not self.is_complete and len(piece) < enough:
            piece += await self._receive()
        return bytes(piece)

    async def drain(self) -> None:
        """Throw away what still comes, for a moment, so that a client that is still sending gets to read the answer."""
        # A client that asked first ("Expect: 100-continue") waits for the answer and sends nothing.
        if self.is_complete or (self.size == 0 and self._request.headers.get("expect", "").lower() == "100-continue"):
            return
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while (await self._request.receive()).get("more_body"):
                    pass
        except TimeoutError:
            return

    async def _receive(self) -> bytes:
        try:
            async with asyncio.timeout_at(min(self._deadline, self._clock() + _IDLE_SECONDS)):
                message = await self._request.receive()
        except TimeoutError as error:
            wanted = f"expected the whole body within {_READ_SECONDS:.0f} s, never {_IDLE_SECONDS:.0f} s of silence"
            raise ProblemError(Problem(408, "request_timeout", wanted, {"Connection": "close"})) from error
        if message["type"] == "http.disconnect":
            self.is_complete = True
            raise ProblemError(Problem(400, "disconnected", "the client went away"))
        data: bytes = message.get("body", b"")
        self.size += len(data)
        self.is_complete = not message.get("more_body", False)
        if self.size > self._limit:
            await self.drain()
            raise self._too_large()
        return data

    def _too_large(self) -> ProblemError:
        message = f"expected a body of at most {self._limit} bytes; send a smaller file, or raise `{self._setting}`"
        return ProblemError(Problem(413, "body_too_large", message, {"Connection": "close"}))
