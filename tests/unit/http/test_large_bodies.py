"""A large body is read piece by piece in a thread, with the same outcome as one that is read whole."""

from __future__ import annotations

import asyncio
import json
import threading
import tracemalloc
from typing import Annotated, Any

import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field
from starlette.testclient import TestClient

from indexmill.dialects.upsertion_tasks.wire import UpsertionRequest
from indexmill.http import body as body_module
from indexmill.http import json_lists
from indexmill.http.body import BodyReader
from indexmill.http.problems import ProblemError, problem_of
from tests.unit.http.fake_service import FakeEngine
from tests.unit.http.test_body import request

RUN = "/internal/upsertion-tasks/run"
VALID = {
    "embedding_model_id": "embed-123",
    "task_id": "a",
    "items": [{"object_id": f"d{n}", "payload": {"text": 'a "quoted\\" [word], é', "n": [n, {}]}} for n in range(5)],
    "ignored": [[1, 2], {"a": [3]}],
}


async def read(body: bytes, max_items: int = 1000) -> tuple[Any, list[Any]]:
    given_request, _ = request([body])
    async with BodyReader(1 << 26, max_items).read(given_request, UpsertionRequest, "items") as received:
        assert len(received.items) == len(list(received.items))
        # Fields of an item that nobody knows are dropped here or there.
        known = [(each["object_id"], each.get("payload"), each.get("item_info")) for each in received.items]
        return received.value.model_dump(exclude={"items"}), known


def outcome(body: bytes) -> object:
    """What was read, or what is said: for JSON that is none only that it is none, places differ."""
    try:
        return asyncio.run(read(body))
    except (RequestValidationError, ProblemError) as error:
        problem = problem_of(error)
        assert problem is not None
        return [each if each["type"] != "json_invalid" else "json_invalid" for each in problem.inputs] or problem


def both(body: bytes) -> tuple[object, object]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_lists, "_CHUNK_BYTES", 13)
        patch.setattr(json_lists, "_PIECE_BYTES", 40)
        whole = outcome(body)
        patch.setattr(body_module, "_INLINE", -1)
        kept = outcome(body)
        patch.setattr(body_module, "_KEPT_BYTES", -1)
        # Whether its items stay in memory or are parsed again makes no difference.
        assert outcome(body) == kept
        return whole, kept


def changed(**fields: Any) -> bytes:
    return json.dumps({**VALID, **fields}).encode()


@pytest.mark.parametrize(
    "body",
    [
        changed(),
        changed(items=[]),
        changed(items=[{"object_id": "a"}] * 3 + [{"object_id": 1}] + [{"object_id": ""}]),
        changed(items=[{"object_id": "a", "payload": []}]),
        changed(items=None),
        changed(items={"a": [1]}),
        changed(items=5),
        changed(task_id=["x"], items=[{"object_id": "a"}]),
        changed(task_id="a", id="b"),
        b'{"embedding_model_id": "m"}',
        b'{"items": [{"object_id": "a"}], "embedding_model_id": "m", "items": [{"object_id": "b"}]}',
        b'{"items": [1], "items": [{"object_id": "a", "payload": {"x": 1e999}}], "embedding_model_id": "m"}',
        b'{"items": [{"object_id": "a", "payload": {"x": NaN}}], "embedding_model_id": "m"}',
        b'{"items": [{"object_id": "\\ud800"}], "embedding_model_id": "m"}',
        b'{"items": [{"object_id": "a"}], "embedding_model_id": "m"} []',
        b'{"items": [{"object_id": "a"}], "embedding_model_id": "m", "x": [1, nope]}',
        b'{"items": ' + b"[" * 300 + b"]" * 300 + b"}",
        b"[]",
        b"[[1, 2]]",
        b"",
        b"1",
        b"\xef\xbb\xbf{}",
    ],
    ids=lambda body: repr(body[-60:]),
)
def test_read_in_pieces_it_is_what_it_is_when_read_whole(body: bytes) -> None:
    whole, pieces = both(body)
    assert pieces == whole


@given(data=st.data())
def test_a_damaged_body_is_refused_or_taken_alike(data: st.DataObject) -> None:
    body = changed()
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 3)))
    put = data.draw(st.lists(st.sampled_from([b'"', b"\\", b"[", b"]", b"{", b"}", b",", b":", b"1"]), max_size=2))
    whole, pieces = both(body[:start] + b"".join(put) + body[end:])
    assert pieces == whole


@pytest.mark.parametrize("inline", [0, 1 << 20])
def test_more_items_than_the_setting_are_413_and_as_many_are_read(monkeypatch: pytest.MonkeyPatch, inline: int) -> None:
    monkeypatch.setattr(body_module, "_INLINE", inline)
    assert len(asyncio.run(read(changed(), max_items=5))[1]) == 5
    with pytest.raises(ProblemError) as refused:
        asyncio.run(read(changed(), max_items=4))
    problem = refused.value.problem
    assert (problem.status, problem.code) == (413, "too_many_items")
    assert "expected at most 4 items in one request, got 5; send several" in problem.message


def test_fields_besides_the_items_are_limited() -> None:
    with pytest.raises(ProblemError, match="bytes besides the items"):
        asyncio.run(read(changed(other="x" * 1_100_000)))


def test_a_large_body_is_validated_in_a_thread_and_a_small_one_at_once() -> None:
    threads: list[str] = []

    def note(items: list[int]) -> list[int]:
        threads.append(threading.current_thread().name)
        return items

    class Numbers(BaseModel):
        items: Annotated[list[int], AfterValidator(note)] = Field()

    async def both_sizes() -> None:
        for body in (b'{"items": [1]}', b'{"items": [' + b"1," * 200_000 + b"1]}"):
            given_request, _ = request([body])
            async with BodyReader(1 << 26, 1_000_000).read(given_request, Numbers, "items"):
                pass

    asyncio.run(both_sizes())
    assert threads[0] == "MainThread"
    assert len(threads) > 2
    assert all(name.startswith("parse-body") for name in threads[1:])


def test_many_tiny_items_take_little_more_memory_than_their_bytes() -> None:
    items = b",".join(b'{"object_id":"o%d","payload":{"n":%d}}' % (n, n) for n in range(100_000))
    body = b'{"embedding_model_id":"m","items":[' + items + b"]}"

    async def count() -> tuple[int, int]:
        given_request, _ = request([body])
        async with BodyReader(1 << 26, 200_000).read(given_request, UpsertionRequest, "items") as received:
            return sum(1 for _ in received.items), len(body)

    tracemalloc.start()
    try:
        count_, size = asyncio.run(count())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count_ == 100_000
    # Read whole the items alone are some 60 MB, fifteen times the body.
    assert peak < 6 * size, peak / size


def test_few_values_stay_in_memory_while_there_is_a_place_and_are_forgotten_with_the_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = changed()
    monkeypatch.setattr(body_module, "_INLINE", -1)
    monkeypatch.setattr(body_module, "_KEPT_BYTES", 2 * len(body) + 1)

    async def read_inside(reader: BodyReader, others: int) -> list[bool]:
        given_request, _ = request([body])
        async with reader.read(given_request, UpsertionRequest, "items") as received:
            inner = await read_inside(reader, others - 1) if others else []
            assert list(received.items) == list(received.items)
            return [isinstance(received.items, tuple), *inner]

    async def twice() -> list[list[bool]]:
        reader = BodyReader(1 << 26, 1000)
        return [await read_inside(reader, 2), await read_inside(reader, 2)]

    assert asyncio.run(twice()) == [[True, True, False]] * 2
    monkeypatch.setattr(body_module, "_KEPT_MARKS", 3)
    assert asyncio.run(twice()) == [[False, False, False]] * 2


def test_a_large_request_reaches_the_engine_with_its_items_and_too_many_do_not(
    client: TestClient, engine: FakeEngine
) -> None:
    items = [{"object_id": f"d{n}", "payload": {"text": "x" * 300, "none": None}} for n in range(2000)]
    answer = client.post(RUN, json={"embedding_model_id": "embed-123", "task_id": "large", "items": items})
    assert (answer.status_code, answer.json()["total_items"]) == (200, 2000)
    [stored] = engine.items.values()
    assert [(each.object_id, each.payload) for each in stored] == [
        (each["object_id"], each["payload"]) for each in items
    ]

    ids = ",".join('"a"' for _ in range(200_001))
    body = f'{{"embedding_model_id": "embed-123", "object_ids": [{ids}]}}'
    refused = client.post("/internal/deletion-tasks/run", content=body)
    assert refused.status_code == 413
    assert "expected at most 200000 items" in refused.json()["detail"]


def test_a_wrong_item_of_a_large_request_is_named_by_its_place(client: TestClient) -> None:
    items = [{"object_id": f"d{n}", "payload": {"text": "x" * 300}} for n in range(2000)]
    items[1500]["object_id"] = 7  # type: ignore[assignment]  # that is the mistake
    answer = client.post(RUN, json={"embedding_model_id": "embed-123", "items": items})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "items", 1500, "object_id"]
