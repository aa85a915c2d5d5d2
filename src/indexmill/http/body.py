"""Reading JSON bodies: limited in size, time and number at once, and refused in words where they are not JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, NoReturn, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json
from starlette.requests import Request

from indexmill.http.problems import RETRY_AFTER, Problem, ProblemError, invalid_value

__all__ = ["BodyReader"]

ModelT = TypeVar("ModelT", bound=BaseModel)

#: Bodies above this size hold one of the few places.
_LARGE: Final = 1024 * 1024
_LARGE_AT_ONCE: Final = 2
_PLACE_SECONDS: Final = 60.0
_READ_SECONDS: Final = 120.0
_IDLE_SECONDS: Final = 20.0
_DRAIN_SECONDS: Final = 3.0
#: How many times the limit is thrown away before the connection is cut.
_DRAIN_LIMITS: Final = 4


class BodyReader:
    """Reads bodies of at most `limit` bytes; of those over 1 MiB at most two are in memory at a time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._places = asyncio.Semaphore(_LARGE_AT_ONCE)

    @asynccontextmanager
    async def read(self, request: Request, model: type[ModelT]) -> AsyncIterator[ModelT]:
        """The validated body. A large one keeps its place until the block ends: its items live that long.

        Raises:
            ProblemError: too large (413), too slow (408), too many large ones at once (503).
            RequestValidationError: not JSON, or not what `model` expects.
        """
        declared = _declared_length(request) or 0
        if declared > self._limit:
            await self._refuse(request, more=True)
        body = bytearray()
        if declared <= _LARGE and not await self._collect(request, body, min(_LARGE, self._limit)):
            yield _validated(body, model)
            return
        await self._take_place()
        try:
            await self._collect(request, body, self._limit)
            yield _validated(body, model)
        finally:
            self._places.release()

    async def _take_place(self) -> None:
        try:
            async with asyncio.timeout(_PLACE_SECONDS):
                await self._places.acquire()
        except TimeoutError as error:
            message = f"Other large requests are being read, and none ended within {_PLACE_SECONDS:.0f} s. Try again"
            raise ProblemError(Problem(503, "busy", message, {"Retry-After": str(RETRY_AFTER)})) from error

    async def _collect(self, request: Request, body: bytearray, at_most: int) -> bool:
        """Add what comes to `body` until it is whole, or longer than `at_most`; whether there is more."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + _READ_SECONDS
        more = True
        try:
            async with asyncio.timeout(_IDLE_SECONDS) as patience:
                while more and len(body) <= at_most:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        raise ProblemError(Problem(400, "disconnected", "the client went away"))
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    patience.reschedule(min(deadline, clock() + _IDLE_SECONDS))
        except TimeoutError as error:
            wanted = f"expected the whole body within {_READ_SECONDS:.0f} s, never {_IDLE_SECONDS:.0f} s of silence"
            raise ProblemError(Problem(408, "request_timeout", wanted, {"Connection": "close"})) from error
        if len(body) > self._limit:
            body.clear()
            await self._refuse(request, more=more)
        return more

    async def _refuse(self, request: Request, *, more: bool) -> NoReturn:
        """Throw away what still comes, for a moment, so that a client that is still sending gets to read the answer."""
        # A client that asked first ("Expect: 100-continue") waits for the answer and sends nothing.
        if more and request.headers.get("expect", "").lower() != "100-continue":
            await _drain(request, _DRAIN_LIMITS * self._limit)
        message = f"expected a body of at most {self._limit} bytes; send several smaller requests"
        raise ProblemError(Problem(413, "body_too_large", message, {"Connection": "close"}))


async def _drain(request: Request, at_most: int) -> None:
    seen = 0
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            while seen <= at_most:
                message = await request.receive()
                seen += len(message.get("body", b""))
                if not message.get("more_body"):
                    return
    except TimeoutError:
        return


def _declared_length(request: Request) -> int | None:
    text = request.headers.get("content-length")
    return int(text) if text is not None and text.isdecimal() else None


def _validated(body: bytearray, model: type[ModelT]) -> ModelT:
    value = _parsed(body)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        raise RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in details]) from error


def _parsed(body: bytearray) -> Any:
    """The JSON value: no NaN, Infinity or lone surrogate, under 200 levels deep, integers of at most 4,300 digits."""
    if not body:
        raise RequestValidationError([{**invalid_value("expected a JSON body, got nothing"), "type": "missing"}])
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise RequestValidationError([{**invalid_value(f"Invalid JSON: {error}"), "type": "json_invalid"}]) from error
    # 1e999 is JSON, and is infinite once read: looked for in the words that a value with one is written with.
    if b"Infinity" in to_json(value, inf_nan_mode="constants") and _has_infinity(value):
        problem = invalid_value("Invalid JSON: a number is too large for a 64-bit float")
        raise RequestValidationError([{**problem, "type": "json_invalid"}])
    return value


def _has_infinity(value: Any) -> bool:
    if isinstance(value, float):
        return value in (float("inf"), float("-inf"))
    if isinstance(value, dict):
        return any(_has_infinity(each) for each in value.values())
    return isinstance(value, list) and any(_has_infinity(each) for each in value)
