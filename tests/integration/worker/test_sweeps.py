"""The sweeps: one job or lease that cannot be repaired is told, and keeps none of the others waiting."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable
from typing import Any

import pytest

from indexmill.domain.job import DEFAULT_TENANT, Job
from indexmill.domain.job_state import JobState
from indexmill.engine import Engine
from indexmill.ledger import pages, transitions, workload
from indexmill.ledger.records import counters_of
from indexmill.worker.sweeps import end_withdrawn, finish, give_up_lanes, rescue, wake
from tests.draining import (
    assert_conserved,
    claimed,
    drain,
    execute,
    expire,
    job_of,
    rows,
    upsert,
)
from tests.draining import (
    rescue as rescue_once,
)


@pytest.fixture
def left_open(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Five jobs by id whose batches are done: their worker died between its commit and the end of the jobs."""
    jobs = [upsert(engine, {f"d{number}": f"text {number}"}) for number in range(5)]
    with monkeypatch.context() as patch:
        patch.setattr(transitions.Transitions, "finish", lambda *_: [])
        drain(engine)
    assert all(job_of(engine, job).state is JobState.RUNNING for job in jobs)
    return sorted(jobs, key=lambda job: job.id)


def break_job(engine: Engine, job: Job) -> None:
    """Its sums can never equal its total again, so the constraint refuses its end."""
    execute(engine, "UPDATE job SET total_items = 7 WHERE id = %s", job.id)


def states(engine: Engine, jobs: list[Job]) -> list[str]:
    return [str(job_of(engine, job).state) for job in jobs]


def test_a_job_that_cannot_be_ended_is_told_and_stops_no_other(
    engine: Engine, left_open: list[Job], caplog: pytest.LogCaptureFixture
) -> None:
    bad = left_open[2]
    break_job(engine, bad)
    finish.sweep(engine.ledger, 1).run()
    assert states(engine, left_open) == ["succeeded", "succeeded", "running", "succeeded", "succeeded"]
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 1
    assert str(bad.id) in told[0]


def test_what_is_no_fault_of_the_database_is_isolated_too(
    engine: Engine, left_open: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:

    def defect(row: Any) -> Any:
        if row["id"] == left_open[0].id:
            raise ValueError("a defect")
        return counters_of(row)

    monkeypatch.setattr(transitions, "counters_of", defect)
    finish.sweep(engine.ledger, 1).run()
    assert states(engine, left_open) == ["running", *["succeeded"] * 4]


def test_a_page_full_of_jobs_that_cannot_be_ended_is_passed(
    engine: Engine, left_open: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_JOBS_A_PAGE", 2)
    for bad in left_open[:2]:
        break_job(engine, bad)
    sweep = finish.sweep(engine.ledger, 1)
    for _ in range(3):
        sweep.run()
    assert states(engine, left_open) == ["running", "running", *["succeeded"] * 3]


def test_a_job_that_cannot_be_ended_is_tried_ever_more_rarely_and_ends_when_it_can(
    engine: Engine, left_open: list[Job], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    bad = left_open[0]
    break_job(engine, bad)
    sweep = finish.sweep(engine.ledger, 1)
    tried: list[float] = []
    for _ in range(200):
        before = len(caplog.records)
        sweep.run()
        if len(caplog.records) > before:
            tried.append(now[0])
        now[0] += 1
    pauses = [after - before for before, after in itertools.pairwise(tried)]
    assert 4 <= len(tried) <= 9, tried
    assert pauses[-1] >= 16, pauses
    execute(engine, "UPDATE job SET total_items = 1 WHERE id = %s", bad.id)
    now[0] += 301
    sweep.run()
    assert job_of(engine, bad).state is JobState.SUCCEEDED
    assert_conserved(engine)


def test_a_lost_connection_is_no_job_s_fault(
    engine: Engine, left_open: list[Job], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def ended(connection: Any, *_: object, **__: object) -> Any:
        return connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with monkeypatch.context() as patch:
        patch.setattr(transitions, "run_query", ended)
        with pytest.raises(Exception, match="the connection failed repeatedly"):
            finish.sweep(engine.ledger, 1).run()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    finish.sweep(engine.ledger, 1).run()
    assert set(states(engine, left_open)) == {"succeeded"}


# Rescue


def lost_poison_and_another(engine: Engine) -> None:
    """Two expired leases; the older one's batch is due to be set aside, and its failures cannot be stored."""
    for name in ("broken", "whole"):
        upsert(engine, {name: name})
        claim = claimed(engine)
        if name == "broken":
            execute(engine, "UPDATE batch SET losses = 5")
            execute(engine, "ALTER TABLE failed_item ADD CONSTRAINT broken CHECK (position < 0)")
        expire(engine, claim)


def losses(engine: Engine) -> list[tuple[str, int]]:
    return [(row["state"], row["losses"]) for row in rows(engine, "SELECT * FROM batch ORDER BY losses")]


def test_a_lease_that_cannot_be_rescued_is_told_and_stops_no_other(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    lost_poison_and_another(engine)
    assert rescue_once(engine) == 1
    assert losses(engine) == [("ready", 1), ("running", 5)]
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 1
    assert str(rows(engine, "SELECT token FROM lease")[0]["token"]) in told[0]


def test_a_lease_that_cannot_be_rescued_lets_the_next_turns_get_past_it(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    lost_poison_and_another(engine)
    rescue_once(engine)
    caplog.clear()
    for _ in range(3):
        assert rescue_once(engine) == 0
    assert not caplog.records
    execute(engine, "UPDATE lease SET expires_at = now() - interval '1 ms'")
    rescue_once(engine)
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1


def test_a_rescue_that_finds_something_wakes_workers(engine: Engine) -> None:
    lost_poison_and_another(engine)
    woken: list[int] = []
    # The server of the tests may have started a moment ago: an outage would be waited for.
    object.__setattr__(engine.ledger.leases, "lease_seconds", 0)
    rescue.sweep(engine.ledger, 1, lambda: woken.append(1)).run()
    assert woken == [1]


# Wake


def test_what_a_job_says_of_itself_does_not_hold_up_its_waking(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    upsert(engine, {"a": "one"})
    execute(engine, "UPDATE batch SET state = 'waiting', available_at = now()")
    woken: list[int] = []

    def fail(*_: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(workload.Workload, "stalled_jobs", fail)
    with pytest.raises(ValueError, match="a defect"):
        wake.sweep(engine.ledger, 1, lambda: woken.append(1)).run()
    assert woken == [1]
    assert rows(engine, "SELECT state FROM batch") == [{"state": "ready"}]


def test_jobs_that_only_wait_say_so_although_one_of_them_cannot(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [upsert(engine, {f"d{number}": "text"}) for number in range(3)]
    execute(engine, "UPDATE batch SET state = 'waiting', available_at = now() + interval '1 hour'")
    execute(engine, "UPDATE job SET state = 'running'")
    # Its next event exists already.
    execute(engine, "INSERT INTO job_event (job, number, state) SELECT id, events + 1, 'x' FROM job WHERE id = %s",
            jobs[1].id)  # fmt: skip
    wake.sweep(engine.ledger, 1, lambda: None).run()
    assert states(engine, jobs) == ["retrying", "running", "retrying"]


def test_a_page_full_of_jobs_that_cannot_say_that_they_wait_is_passed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_JOBS_A_PAGE", 2)
    jobs = by_id(upsert(engine, {f"d{number}": "text"}) for number in range(5))
    execute(engine, "UPDATE batch SET state = 'waiting', available_at = now() + interval '1 hour'")
    execute(engine, "UPDATE job SET state = 'running'")
    for job in jobs[:2]:
        execute(engine, "INSERT INTO job_event (job, number, state) SELECT id, events + 1, 'x' FROM job WHERE id = %s",
                job.id)  # fmt: skip
    sweep = wake.sweep(engine.ledger, 1, lambda: None)
    for _ in range(3):
        sweep.run()
    assert states(engine, jobs) == ["running", "running", *["retrying"] * 3]


# Given up and withdrawn


def by_id(jobs: Iterable[Job]) -> list[Job]:
    return sorted(jobs, key=lambda job: job.id)


def refuse_to_close(monkeypatch: pytest.MonkeyPatch, *bad: Job) -> None:
    original = transitions.Transitions.close

    def close(self: Any, connection: Any, job_id: Any, end: Any, detail: Any) -> None:
        if job_id in {job.id for job in bad}:
            raise ValueError("a defect")
        original(self, connection, job_id, end, detail)

    monkeypatch.setattr(transitions.Transitions, "close", close)


def test_a_job_of_a_lane_that_is_given_up_stops_no_other(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = by_id(upsert(engine, {f"d{number}": "text"}) for number in range(3))
    execute(engine, "UPDATE lane SET stopped_at = now() - interval '1 hour', stop_reason = 'key', probe_at = now()")
    refuse_to_close(monkeypatch, jobs[0])
    engine.ledger.lanes.give_up()
    assert states(engine, jobs) == ["queued", "failed", "failed"]


def test_a_job_of_a_withdrawn_model_stops_no_other(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = by_id(upsert(engine, {f"d{number}": "text"}) for number in range(3))
    refuse_to_close(monkeypatch, jobs[0])
    engine.ledger.withdrawal.withdraw("tiny", DEFAULT_TENANT)
    assert states(engine, jobs) == ["queued", "refused", "refused"]


def test_a_page_full_of_jobs_that_cannot_be_given_up_is_passed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_JOBS_A_PAGE", 2)
    jobs = by_id(upsert(engine, {f"d{number}": "text"}) for number in range(5))
    execute(engine, "UPDATE lane SET stopped_at = now() - interval '1 hour', stop_reason = 'key', probe_at = now()")
    refuse_to_close(monkeypatch, *jobs[:2])
    sweep = give_up_lanes.sweep(engine.ledger, 1)
    for _ in range(3):
        sweep.run()
    assert states(engine, jobs) == ["queued", "queued", *["failed"] * 3]


def test_a_page_full_of_jobs_of_a_withdrawn_model_that_cannot_be_ended_is_passed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_JOBS_A_PAGE", 2)
    jobs = by_id(upsert(engine, {f"d{number}": "text"}) for number in range(5))
    refuse_to_close(monkeypatch, *jobs[:2])
    engine.ledger.withdrawal.withdraw("tiny", DEFAULT_TENANT)
    sweep = end_withdrawn.sweep(engine.ledger, 1)
    for _ in range(3):
        sweep.run()
    assert states(engine, jobs) == ["queued", "queued", *["refused"] * 3]
