"""Bodies are limited in size, time and number, and what is not JSON is refused in words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.requests import Request

from indexmill.http import body as body_module
from indexmill.http.body import BodyReader
from indexmill.http.problems import Problem, ProblemError

Message = dict[str, Any]


class Anything(BaseModel):
    value: Any = None


def request(chunks: list[bytes], *, declared: int | None = None, stalls: bool = False) -> tuple[Request, list[int]]:
    """A request that sends these chunks, and a list that grows with every receive."""
    received: list[int] = []

    async def receive() -> Message:
        if stalls and len(received) >= len(chunks):
            await asyncio.sleep(60)
        number = len(received)
        received.append(number)
        return {"type": "http.request", "body": chunks[number], "more_body": stalls or number < len(chunks) - 1}

    headers = [(b"content-length", str(declared).encode())] if declared is not None else []
    return Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive), received


async def read(reader: BodyReader, given: Request) -> Any:
    async with reader.read(given, Anything) as found:
        return found.value.value


def outcome(coroutine: Awaitable[Any]) -> Problem:
    async def caught() -> Problem:
        with pytest.raises(ProblemError) as problem:
            await coroutine
        return problem.value.problem

    return asyncio.run(caught())


def test_a_body_in_chunks_is_read_whole() -> None:
    given, _ = request([b'{"val', b'ue": ', b"[1]}"])
    assert asyncio.run(read(BodyReader(100, 1000), given)) == [1]


@pytest.mark.parametrize("declared", [None, 101])
def test_a_body_over_the_limit_is_413_and_what_follows_is_not_kept(declared: int | None) -> None:
    given, received = request([b"x" * 60] * 1000, declared=declared)
    problem = outcome(read(BodyReader(100, 1000), given))
    assert (problem.status, problem.headers["Connection"]) == (413, "close")
    assert "100 bytes" in problem.message
    # Four times the limit is thrown away, so that the client gets to read the answer; then the connection ends.
    assert len(received) <= 9


def test_a_body_of_exactly_the_limit_is_read() -> None:
    text = json.dumps({"value": "x" * 85}).encode()
    given, _ = request([text], declared=len(text))
    assert asyncio.run(read(BodyReader(len(text), 1000), given)) == "x" * 85


def test_a_body_that_lies_about_its_length_is_still_limited() -> None:
    given, _ = request([b"x" * 60] * 10, declared=5)
    assert outcome(read(BodyReader(100, 1000), given)).status == 413


def test_a_client_that_falls_silent_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "_IDLE_SECONDS", 0.05)
    given, _ = request([b"{"], declared=10, stalls=True)
    assert outcome(read(BodyReader(100, 1000), given)).status == 408


def test_a_client_that_goes_on_for_ever_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "_READ_SECONDS", 0.05)

    async def receive() -> Message:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b" ", "more_body": True}

    given = Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)
    assert outcome(read(BodyReader(10_000, 1000), given)).status == 408


def test_at_most_two_large_bodies_are_in_memory_and_small_ones_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "_LARGE", 50)
    reader = BodyReader(1000, 1000)
    large = json.dumps({"value": "x" * 100}).encode()
    inside = most = 0

    async def one(are_two: asyncio.Event, may_end: asyncio.Event) -> None:
        nonlocal inside, most
        given, _ = request([large], declared=len(large))
        async with reader.read(given, Anything):
            inside += 1
            most = max(most, inside)
            if inside == 2:
                are_two.set()
            await may_end.wait()
            # Whoever could come in besides would.
            await asyncio.sleep(0.001)
            inside -= 1

    async def all_of_them() -> None:
        are_two, may_end = asyncio.Event(), asyncio.Event()
        together = asyncio.gather(*(one(are_two, may_end) for _ in range(6)))
        await are_two.wait()
        small, _ = request([b'{"value": 1}'], declared=12)
        assert await read(reader, small) == 1
        assert inside == 2
        may_end.set()
        await together

    asyncio.run(all_of_them())
    assert most == 2


def test_no_place_in_time_is_503_and_the_places_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "_PLACE_SECONDS", 0.05)
    monkeypatch.setattr(body_module, "_LARGE", 1)
    reader = BodyReader(1000, 1000)

    def large() -> Request:
        return request([b"{", b"}"], declared=2)[0]

    async def scene(also: Callable[[], Awaitable[Any]]) -> Any:
        async with reader.read(large(), Anything), reader.read(large(), Anything):
            return await also()

    problem = outcome(scene(lambda: read(reader, large())))
    assert (problem.status, problem.headers["Retry-After"]) == (503, "2")
    assert asyncio.run(scene(lambda: asyncio.sleep(0, 7))) == 7


def test_a_small_body_without_a_length_needs_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "_LARGE", 20)
    reader = BodyReader(1000, 1000)

    async def scene() -> Any:
        large = [request([b'{"value":', b'"0123456789012"', b"}"])[0] for _ in range(2)]
        async with reader.read(large[0], Anything), reader.read(large[1], Anything):
            return await read(reader, request([b'{"value":', b"1}"])[0])

    assert asyncio.run(scene()) == 1


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[1,]",
        b"nul",
        b"\xef\xbb\xbf{}",
        b'{"value": NaN}',
        b'{"value": -Infinity}',
        b'{"value": 1e999}',
        b'{"value": [{"deep": -1e999}]}',
        b'{"value": "\xff\xfe"}',
        b'{"value": "\\ud800"}',
        b'{"value": "\xed\xa0\x80"}',
        b'{"value": ' + b"[" * 100_000,
        b'{"value": ' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"value": ' + b"9" * 5000 + b"}",
        b"[]",
        b'"text"',
        b"null",
    ],
    ids=lambda text: repr(text[:30]),
)
def test_what_is_not_a_json_object_is_refused_in_words(text: bytes) -> None:
    given, _ = request([text], declared=len(text))
    with pytest.raises(RequestValidationError) as refused:
        asyncio.run(read(BodyReader(1_000_000, 1000), given))
    [problem] = refused.value.errors()
    assert problem["loc"][0] == "body"


def test_the_word_infinity_in_a_text_is_no_number() -> None:
    given, _ = request([b'{"value": "Infinity"}'])
    assert asyncio.run(read(BodyReader(1000, 1000), given)) == "Infinity"


def test_of_a_key_that_comes_twice_the_last_one_counts() -> None:
    given, _ = request([b'{"value": 1, "value": 2}'])
    assert asyncio.run(read(BodyReader(1000, 1000), given)) == 2
