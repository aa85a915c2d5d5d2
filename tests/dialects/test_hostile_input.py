"""Hostile input at the door, with a fake engine: a clear 4xx, or the item reaches the engine whole."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import cast

import pytest
from starlette.testclient import TestClient

from indexmill.http.app import create_app
from indexmill.http.service import Service
from tests.dialects.hostile_bodies import ACCEPTED_ITEMS, REFUSED_BODIES, run_body
from tests.unit.http.fake_service import FakeEngine, FakeService

RUN = "/internal/upsertion-tasks/run"
#: Nothing of these may be in an answer.
SECRETS = ("Traceback", 'File "', "site-packages", "/indexmill/", "psycopg", "SELECT ", "INSERT ")


@pytest.fixture
def service() -> FakeService:
    return FakeService(body_limit_bytes=16 * 1024 * 1024)


@pytest.fixture
def engine(service: FakeService) -> FakeEngine:
    return service.engine


@pytest.fixture
def client(service: FakeService) -> Iterator[TestClient]:
    with TestClient(create_app(cast("Service", service))) as made:
        yield made


@pytest.mark.parametrize("name", REFUSED_BODIES)
def test_a_hostile_body_is_refused_in_words(client: TestClient, engine: FakeEngine, name: str) -> None:
    answer = client.post(RUN, content=REFUSED_BODIES[name])
    assert 400 <= answer.status_code < 500
    assert answer.json()["detail"]
    assert len(answer.content) < 5000
    assert not any(secret in answer.text for secret in SECRETS)
    assert not engine.jobs


@pytest.mark.parametrize("name", ACCEPTED_ITEMS)
def test_a_hostile_item_among_good_ones_is_taken_whole(client: TestClient, engine: FakeEngine, name: str) -> None:
    good = '{"object_id": "before"}', '{"object_id": "after"}'
    text = f"[{good[0]}, {ACCEPTED_ITEMS[name]}, {good[1]}]"
    answer = client.post(RUN, content=run_body(text))
    assert answer.status_code == 200
    [[before, hostile, after]] = engine.items.values()
    assert (before.object_id, after.object_id) == ("before", "after")
    sent = json.loads(ACCEPTED_ITEMS[name])
    assert (hostile.object_id, hostile.payload, hostile.item_info) == (
        sent["object_id"],
        sent.get("payload"),
        sent.get("item_info"),
    )


def test_a_million_items_are_refused_before_they_are_read(client: TestClient) -> None:
    started = time.process_time()
    answer = client.post(RUN, content=run_body("[" + "1," * 1_000_000 + "1]"))
    assert (answer.status_code, answer.json()["detail"][:44]) == (413, "expected at most 200000 items in one request")
    assert time.process_time() - started < 5


def test_many_wrong_items_are_refused_by_the_first(client: TestClient) -> None:
    started = time.process_time()
    answer = client.post(RUN, content=run_body("[" + "1," * 190_000 + "1]"))
    assert [each["loc"] for each in answer.json()["detail"]] == [["body", "items", 0]]
    assert time.process_time() - started < 2


def test_an_object_that_comes_twice_reaches_the_engine_twice(client: TestClient, engine: FakeEngine) -> None:
    client.post(RUN, content=run_body([{"object_id": "a", "payload": {"n": n}} for n in (1, 2)]))
    assert [item.payload for item in next(iter(engine.items.values()))] == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize("text", ["x" * 1_000_000, "\x00" * 1000, "9" * 4000])
def test_a_refused_input_is_not_echoed_at_length(client: TestClient, text: str) -> None:
    answer = client.post(RUN, content=run_body([{"object_id": text}] * 10))
    assert answer.status_code == 422
    assert len(answer.content) < 2000


@pytest.mark.parametrize(
    "query", ["task_id=%00", "task_id=%FF", "task_id=%ED%A0%80", "task_id=%", "task_id=a%0d%0aSet-Cookie:x"]
)
def test_a_hostile_query_is_4xx(client: TestClient, query: str) -> None:
    answer = client.get(f"/internal/upsertion-tasks/info?{query}")
    assert answer.status_code in (404, 422)
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/jobs/%00", "/jobs/%FF", "/jobs/..%2F..%2Fetc%2Fpasswd", "/models/%00", "/docs/../../etc/passwd"]
)
def test_a_hostile_path_is_4xx(client: TestClient, path: str) -> None:
    answer = client.request("DELETE" if path.startswith("/models") else "GET", path)
    assert 400 <= answer.status_code < 500
