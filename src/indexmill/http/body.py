"""Reading JSON bodies: limited in size, items, time and number at once, and refused in words where they are not JSON.

A large one is parsed in threads of its own, its items a piece at a time and again when they are stored.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Final, Generic, NoReturn, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.requests import Request

from indexmill.http.json_lists import FoundList, Piece, TooLarge, parse_piece, split_object
from indexmill.http.json_values import check_finite, parse_json
from indexmill.http.problems import RETRY_AFTER, Problem, ProblemError, invalid_value

__all__ = ["BodyReader", "Received", "validated"]

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
#: Bodies above this size are parsed in a thread: other requests would wait for them noticeably.
_INLINE: Final = 256 * 1024
#: What such a body may have besides its items.
_REST: Final = 1024 * 1024
#: Items of so few values stay parsed, of bodies of so many bytes together: some 60 MB at the most.
_KEPT_MARKS: Final = 64 * 1024
_KEPT_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True)
class Received(Generic[ModelT]):
    """A validated body. Of a large one with items, `value` has none of them: `items` does."""

    value: ModelT
    #: A list only where they were few bytes. May be iterated several times, in any thread.
    items: Collection[Any]
    size: int


class _StoredItems(Collection[Any]):
    """Items that were validated once, and are parsed again piece by piece: they never are in memory together."""

    def __init__(self, body: bytearray, found: FoundList) -> None:
        self._body = body
        self._found = found

    def __len__(self) -> int:
        return self._found.count

    def __iter__(self) -> Iterator[Any]:
        for piece in self._found.pieces():
            yield from parse_piece(self._body, piece)

    def __contains__(self, wanted: object) -> bool:
        return any(each == wanted for each in self)


class _Kept:
    """How many bytes of bodies have their items in memory as values; of all requests of a process together."""

    def __init__(self) -> None:
        self._bytes = 0

    @contextmanager
    def place(self, size: int) -> Iterator[bool]:
        """Whether there is a place for the items of a body of this size, until the block ends."""
        # Entered and left by the event loop alone.
        if self._bytes + size > _KEPT_BYTES:
            yield False
            return
        self._bytes += size
        try:
            yield True
        finally:
            self._bytes -= size


class BodyReader:
    """Reads bodies of at most `limit` bytes and `max_items` items; of those over 1 MiB two are in memory at a time."""

    def __init__(self, limit: int, max_items: int) -> None:
        self._limit = limit
        self._max_items = max_items
        self._places = asyncio.Semaphore(_LARGE_AT_ONCE)
        self._kept = _Kept()
        # Those over 1 MiB leave two to the others. They end with the app itself.
        self._threads = ThreadPoolExecutor(_LARGE_AT_ONCE + 2, thread_name_prefix="parse-body")

    @asynccontextmanager
    async def read(
        self, request: Request, model: type[ModelT], items: str | None = None
    ) -> AsyncIterator[Received[ModelT]]:
        """The validated body. A large one keeps its place until the block ends: its items live that long.

        Args:
            items: the name of the model's field that is a list of items, if it has one.

        Raises:
            ProblemError: too large (413), too slow (408), too many large ones at once (503).
            RequestValidationError: not JSON, or not what `model` expects.
        """
        declared = _declared_length(request) or 0
        if declared > self._limit:
            await self._refuse(request, more=True)
        body = bytearray()
        if declared <= _LARGE and not await self._collect(request, body, min(_LARGE, self._limit)):
            async with self._received(body, model, items) as received:
                yield received
            return
        await self._take_place()
        try:
            await self._collect(request, body, self._limit)
            async with self._received(body, model, items) as received:
                yield received
        finally:
            self._places.release()

    @asynccontextmanager
    async def _received(
        self, body: bytearray, model: type[ModelT], items: str | None
    ) -> AsyncIterator[Received[ModelT]]:
        if len(body) <= _INLINE:
            yield _read_whole(body, model, items, self._max_items)
            return
        run = asyncio.get_running_loop().run_in_executor
        if items is None:
            yield await run(self._threads, _read_whole, body, model, items, self._max_items)
            return
        with self._kept.place(len(body)) as keeps:
            yield await run(self._threads, _read_in_pieces, body, model, items, self._max_items, keeps)

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


def _read_whole(body: bytearray, model: type[ModelT], items: str | None, max_items: int) -> Received[ModelT]:
    value = validated(_parsed(body), model)
    found = getattr(value, items) if items is not None else []
    if len(found) > max_items:
        raise _too_large(f"expected at most {max_items} items in one request, got {len(found)}")
    return Received(value, found, len(body))


def _read_in_pieces(body: bytearray, model: type[ModelT], items: str, max_items: int, keeps: bool) -> Received[ModelT]:
    """Validate everything, keep no item, or only few values: see `json_lists`."""
    try:
        split = split_object(body, max_items)
    except TooLarge as error:
        raise _too_large(str(error)) from error
    except ValueError as error:
        raise _not_json(error) from error
    if len(split.rest) > _REST:
        raise _too_large(f"expected at most {_REST} bytes besides the items, got {len(split.rest)}")
    fields = _parsed(split.rest)
    place = fields.get(items) if isinstance(fields, dict) else None
    wanted = place[0] if isinstance(place, list) else None
    try:
        value = validated(fields if wanted is None else {**fields, items: []}, model)
    except RequestValidationError:
        for each in split.lists:
            # That it is not JSON at all comes before what its fields lack.
            _check_items(body, each)
        raise
    found: Collection[Any] = []
    for number, each in enumerate(split.lists):
        if number == wanted:
            keeps = keeps and split.marks <= _KEPT_MARKS
            found = _checked_items(body, each, _elements_of(model, items), items, keeps=keeps)
        else:
            # Fields that nobody knows are ignored, but they are JSON.
            _check_items(body, each)
    return Received(value, found, len(body))


@cache
def _elements_of(model: type[BaseModel], name: str) -> TypeAdapter[Any]:
    """Validates some of the elements of the model's list `name`."""
    field = model.model_fields[name]
    return TypeAdapter(Annotated[field.annotation, *field.metadata])  # type: ignore[arg-type]  # known only here


def _check_items(body: bytearray, found: FoundList) -> None:
    for _ in _pieces(body, found):
        pass


def _checked_items(
    body: bytearray, found: FoundList, adapter: TypeAdapter[Any], name: str, *, keeps: bool
) -> Collection[Any]:
    """The valid items: as values where they are kept, else they are parsed again when they are read."""
    kept: list[Any] = []
    for piece, elements in _pieces(body, found):
        try:
            valid = adapter.validate_python(elements)
        except ValidationError as error:
            raise _invalid(error, name, piece.first) from error
        if keeps:
            kept += valid
    # A tuple: it was not a few bytes.
    return tuple(kept) if keeps else _StoredItems(body, found)


def _pieces(body: bytearray, found: FoundList) -> Iterator[tuple[Piece, list[Any]]]:
    for piece in found.pieces():
        try:
            elements = parse_piece(body, piece)
            check_finite(elements)
        except ValueError as error:
            raise _not_json(f"{error}, in a list, counted from byte {piece.begin} of the body") from error
        yield piece, elements


def _too_large(message: str) -> ProblemError:
    return ProblemError(Problem(413, "too_many_items", f"{message}; send several smaller requests"))


def _not_json(reason: object) -> RequestValidationError:
    return RequestValidationError([{**invalid_value(f"Invalid JSON: {reason}"), "type": "json_invalid"}])


def _invalid(error: ValidationError, field: str | None = None, first: int = 0) -> RequestValidationError:
    """With the places in the body; those of a piece of the list `field` count from item number `first`."""
    details = error.errors(include_url=False, include_context=False)
    if field is None:
        return RequestValidationError([{**each, "loc": ("body", *each["loc"])} for each in details])
    shifted = [(each, int(each["loc"][0]) + first, each["loc"][1:]) for each in details]
    return RequestValidationError([{**each, "loc": ("body", field, at, *rest)} for each, at, rest in shifted])


def validated(value: Any, model: type[ModelT]) -> ModelT:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise _invalid(error) from error


def _parsed(body: bytearray | bytes) -> Any:
    if not body:
        raise RequestValidationError([{**invalid_value("expected a JSON body, got nothing"), "type": "missing"}])
    try:
        return parse_json(body)
    except ValueError as error:
        raise _not_json(error) from error
