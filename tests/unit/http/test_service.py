"""Calls from the event loop: bounded groups of submissions, searches and waits for jobs that leave threads free."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, cast
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from indexmill.domain.job import Item, Job, JobKind, Submission, Submitted
from indexmill.domain.job_state import JobState, Reason
from indexmill.domain.pending import Pending
from indexmill.domain.principal import LOCAL
from indexmill.errors import IndexmillError, JobNotFound, SearchTimeout, ServiceError
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
        #: How many jobs each look asked for.
        self.looks: list[int] = []

    def submit_together(self, submissions: list[Submission]) -> list[Submitted | IndexmillError]:
        self.groups.append(len(submissions))
        assert self.go.wait(60)
        return super().submit_together(submissions)

    def over(self, job_ids: Sequence[UUID]) -> list[UUID]:
        self.looks.append(len(job_ids))
        return super().over(job_ids)

    def search(self, collection_name: str, **query: Any) -> list[FakeHit]:
        self.searching += 1
        assert self.go.wait(60)
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
        assert (await asyncio.wait_for(door.call(engine.submit, submission(1)), 8)).created
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


def test_many_wait_for_jobs_without_a_thread_and_with_one_look_for_all(slow: FakeService) -> None:
    engine = cast("SlowEngine", slow.engine)
    jobs = [engine.submit(submission(number)).job for number in range(40)]

    async def scene() -> None:
        door = Door(cast("Service", slow))
        began = time.monotonic()
        waiting = [asyncio.create_task(door.ended(each, 60)) for each in [*jobs, jobs[0]]]
        hopeless = asyncio.create_task(door.ended(jobs[1], 0.05))
        await asyncio.sleep(0.1)
        # More wait than there are threads, and a call has one at once.
        assert (await asyncio.wait_for(door.call(engine.submit, submission(99)), 30)).created
        with pytest.raises(TimeoutError):
            await hopeless
        assert set(engine.looks) == {40}
        # Ever more rarely, and at last four times a second.
        assert len(engine.looks) < 20 + 4 * (time.monotonic() - began)
        assert "find" not in engine.calls
        del engine.jobs[jobs[2].id]
        for each in (*jobs[:2], *jobs[3:]):
            engine.end(each, JobState.SUCCEEDED, Reason.COMPLETE)
        ended = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30)
        assert isinstance(ended.pop(2), JobNotFound)
        assert all(isinstance(each, Job) and each.state is JobState.SUCCEEDED for each in ended)
        # Nobody waits, nobody looks.
        looks = len(engine.looks)
        await asyncio.sleep(0.05)
        assert len(engine.looks) == looks

    asyncio.run(scene())


def test_who_waits_for_a_job_is_told_that_the_ledger_does_not_answer(slow: FakeService) -> None:
    job = slow.engine.submit(submission(0)).job
    slow.engine.raises = lambda: ServiceError("database: expected an answer")

    async def scene() -> None:
        door = Door(cast("Service", slow))
        with pytest.raises(ServiceError):
            await door.ended(job, 10)

    asyncio.run(scene())


def test_a_verb_answers_when_its_job_has_ended(slow: FakeService) -> None:
    job = slow.engine.submit(submission(0)).job

    async def scene() -> None:
        door = Door(cast("Service", slow))
        begun = Pending(job, 10, lambda ended: None if ended is None else ended.state).then(str)
        answer = asyncio.create_task(door.outcome(begun))
        await asyncio.sleep(0.05)
        assert not answer.done()
        slow.engine.end(job, JobState.FAILED, Reason.BY_ITEMS)
        assert await asyncio.wait_for(answer, 10) == "failed"
        assert await door.outcome(Pending.done(5).then(lambda value: value + 1)) == 6

    asyncio.run(scene())
