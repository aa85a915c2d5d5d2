"""Calls from the event loop: groups of submissions bounded in number and bytes, searches that leave threads free."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest
from starlette.testclient import TestClient

from indexmill.domain.job import Item, JobKind, Submission, Submitted
from indexmill.domain.principal import LOCAL, Principal, Role
from indexmill.errors import IndexmillError, SearchTimeout
from indexmill.http import service as service_module
from indexmill.http.identity import acting
from indexmill.http.problems import ProblemError
from indexmill.http.service import Door, Service
from indexmill.settings import DatabaseSettings, ServerSettings, Settings
from tests.unit.http.fake_service import FakeEngine, FakeHit, FakeService


class SlowEngine(FakeEngine):
    """Stores and searches only while `go` is set; notes the size of each group."""

    def __init__(self) -> None:
        super().__init__()
        self.deploy("embed-123", "deterministic", {})
        self.go = threading.Event()
        self.groups: list[int] = []
        self.searching = 0

    def submit_together(self, submissions: list[Submission]) -> list[Submitted | IndexmillError]:
        self.groups.append(len(submissions))
        assert self.go.wait(10)
        return super().submit_together(submissions)

    def search(self, collection_name: str, **query: Any) -> list[FakeHit]:
        self.searching += 1
        assert self.go.wait(10)
        return super().search(collection_name, **query)


@pytest.fixture(autouse=True)
def _as_somebody() -> Iterator[None]:
    with acting(LOCAL):
        yield


@pytest.fixture
def slow() -> Iterator[FakeService]:
    service = FakeService()
    service.engine = SlowEngine()
    service.settings = Settings(
        database=DatabaseSettings(pool_size=4), server=ServerSettings(port=0, search_timeout_seconds=0.2)
    )
    yield service
    service.engine.go.set()


def groups_of(service: FakeService, sizes: list[int]) -> list[int]:
    """How many submissions of these sizes each commit stores, the first of them being under way when the rest come."""

    async def scene() -> None:
        door = Door(cast("Service", service))
        first = asyncio.create_task(door.submit(submission(0), 1))
        await asyncio.sleep(0.05)
        rest = [asyncio.create_task(door.submit(submission(number), size)) for number, size in enumerate(sizes, 1)]
        await asyncio.sleep(0.05)
        engine.go.set()
        jobs = [each.job.external_id for each in await asyncio.gather(first, *rest)]
        assert jobs == [f"t{number}" for number in range(len(sizes) + 1)]

    engine = cast("SlowEngine", service.engine)
    asyncio.run(scene())
    assert engine.groups[0] == 1
    return engine.groups[1:]


def submission(number: int) -> Submission:
    return Submission(JobKind.UPSERTION, "embed-123", [Item("a", {"text": "x"})], f"t{number}")


def test_small_requests_that_wait_are_stored_64_at_a_time(slow: FakeService) -> None:
    assert groups_of(slow, [100] * 150) == [64, 64, 22]


def test_a_group_is_bounded_in_bytes_too_and_a_larger_request_goes_alone(
    slow: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "_MAX_TOGETHER_BYTES", 1000)
    assert groups_of(slow, [400, 400, 400, 5000, 200, 800, 1]) == [2, 1, 1, 2, 1]


def test_slow_searches_leave_threads_to_submissions_and_those_in_line_are_told(slow: FakeService) -> None:
    engine = cast("SlowEngine", slow.engine)

    async def scene() -> None:
        door = Door(cast("Service", slow))
        running = [asyncio.create_task(door.search("embed-123", text="a")) for _ in range(2)]
        await asyncio.sleep(0.05)
        waiting = [asyncio.create_task(door.search("embed-123", text="a")) for _ in range(50)]
        assert (await asyncio.wait_for(door.call(engine.submit, submission(1)), 1)).created
        for outcome in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(outcome, ProblemError)
            assert (outcome.problem.status, outcome.problem.code) == (503, "busy")
            assert outcome.problem.headers["Retry-After"]
        assert engine.searching == 2
        engine.go.set()
        assert [len(hits) for hits in await asyncio.gather(*running)] == [1, 1]
        assert len(await door.search("embed-123", text="a")) == 1

    asyncio.run(scene())


def test_a_search_that_takes_too_long_is_503_and_says_so(client: TestClient, engine: FakeEngine) -> None:
    engine.raises = lambda: SearchTimeout("search: expected an answer within 3 s, it took longer")
    answer = client.post("/search", json={"collection": "embed-123", "text": "a"})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json()["error"] == {
        "code": "search_timeout",
        "message": "search: expected an answer within 3 s, it took longer",
    }


def test_who_waits_for_jobs_is_in_no_other_tenants_way_nor_in_that_of_other_requests(slow: FakeService) -> None:
    go, waiting = threading.Event(), []

    def wait(name: str) -> str:
        waiting.append(name)
        assert go.wait(10)
        return name

    async def scene() -> None:
        door = Door(cast("Service", slow))
        crowd = [asyncio.create_task(door.wait_for(wait, "crowd")) for _ in range(100)]
        await asyncio.sleep(0.05)
        assert len(waiting) == service_module._JOB_PLACES
        assert await door.call(lambda: "at once") == "at once"
        with acting(Principal(2, Role.WRITE, "other")):
            other = asyncio.create_task(door.wait_for(wait, "other"))
        await asyncio.sleep(0.05)
        assert waiting[-1] == "other"
        # One that loses patience leaves no place for the next while its thread still waits.
        crowd[0].cancel()
        await asyncio.sleep(0.05)
        assert len(waiting) == service_module._JOB_PLACES + 1
        go.set()
        assert await other == "other"
        assert await asyncio.gather(*crowd[1:]) == ["crowd"] * 99

    asyncio.run(scene())
