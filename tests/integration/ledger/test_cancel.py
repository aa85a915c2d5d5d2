"""Cancel: in every state, with no worker at all, and in a race with the last commit."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from indexmill.domain.job import Job
from indexmill.domain.job_state import JobState, Reason
from indexmill.engine import Engine
from indexmill.errors import TransientError
from indexmill.pipeline.run_window import WindowOutcome
from tests.draining import (
    alter_query,
    assert_conserved,
    claim_next,
    documents,
    drain,
    execute,
    job_of,
    rows,
    run,
    runner_of,
    upsert,
)


def queued(engine: Engine) -> Job:
    return upsert(engine, {f"d{n}": f"text {n}" for n in range(3)})


def claimed(engine: Engine) -> Job:
    job = queued(engine)
    assert claim_next(engine) is not None
    return job


def running(engine: Engine) -> Job:
    job = claimed(engine)
    engine.ledger.transitions.start([job.id])
    assert job_of(engine, job).state is JobState.RUNNING
    return job


def partly_done(engine: Engine) -> Job:
    """256 of its 300 items are indexed."""
    job = upsert(engine, {f"d{n}": f"text {n}" for n in range(300)})
    claim = claim_next(engine, max_bytes=1)
    assert claim is not None
    run(engine, claim)
    return job


def retrying(engine: Engine) -> Job:
    job = queued(engine)
    claim = claim_next(engine)
    assert claim is not None
    engine.ledger.transitions.start([job.id])
    engine.ledger.batches.defer(claim.token, 60, str(TransientError("later")))
    assert job_of(engine, job).state is JobState.RETRYING
    return job


def retried(engine: Engine) -> Job:
    job = upsert(engine, {"good": "text", "bad": " "})
    drain(engine)
    engine.retry(job_of(engine, job))
    return job


OPEN: dict[str, tuple[Callable[[Engine], Job], int, int]] = {
    # How to come there, items cancelled, items kept.
    "queued": (queued, 3, 0),
    "queued and claimed": (claimed, 3, 0),
    "running": (running, 3, 0),
    "running and partly done": (partly_done, 44, 256),
    "retrying": (retrying, 3, 0),
    "queued by a retry": (retried, 1, 1),
}


@pytest.mark.parametrize("state", OPEN)
def test_an_open_job_is_cancelled_at_once_and_for_good(engine: Engine, state: str) -> None:
    come_there, cancelled, kept = OPEN[state]
    job = come_there(engine)
    before = documents(engine)

    answer = engine.cancel(job)

    assert (answer.state, answer.reason) == (JobState.CANCELLED, Reason.BY_REQUEST)
    assert answer.finished_at is not None
    assert (answer.counters.cancelled, answer.counters.kept) == (cancelled, kept)
    assert_conserved(engine)
    execute(engine, "UPDATE batch SET available_at = now() - interval '1 s'")
    assert engine.ledger.workload.wake_waiting() == 0
    assert drain(engine) == []
    assert documents(engine) == before
    assert job_of(engine, job) == answer
    assert [event.state for event in engine.events(job)].count(JobState.CANCELLED) == 1


ENDED: dict[str, Callable[[Engine], Job]] = {
    "succeeded": queued,
    "succeeded with failures": lambda engine: upsert(engine, {"good": "text", "bad": " "}),
    "failed": lambda engine: upsert(engine, {"bad": " "}),
    "empty": lambda engine: upsert(engine, {}),
}


@pytest.mark.parametrize("state", ENDED)
def test_an_ended_job_stays_as_it_is(engine: Engine, state: str) -> None:
    job = ENDED[state](engine)
    drain(engine)
    ended = job_of(engine, job)
    assert ended.is_terminal
    assert engine.cancel(ended) == ended
    assert engine.cancel(ended) == ended


def test_a_cancelled_job_is_cancelled_once(engine: Engine) -> None:
    job = queued(engine)
    first = engine.cancel(job)
    assert engine.cancel(job) == first


def test_a_refused_job_stays_refused(engine: Engine) -> None:
    job = queued(engine)
    engine.withdraw("tiny")
    refused = engine.cancel(job)
    assert (refused.state, refused.reason) == (JobState.REFUSED, Reason.WITHDRAWN)
    assert "withdrawn" in str(refused.detail)


def test_where_the_work_has_won_a_cancel_finishes_the_job(engine: Engine) -> None:
    """Its last commit is through, but nobody has ended the job: the worker died between the two."""
    job = queued(engine)
    claim = claim_next(engine)
    assert claim is not None
    runner = runner_of(engine)
    object.__setattr__(runner, "_conclude", lambda window, done: WindowOutcome.DONE)
    runner.run(claim, lambda: True)
    assert job_of(engine, job).state is JobState.RUNNING
    assert engine.ledger.workload.finishable_jobs()[0] == [job.id]

    answer = engine.cancel(job)

    assert (answer.state, answer.counters.indexed, answer.counters.cancelled) == (JobState.SUCCEEDED, 3, 0)


def test_the_window_notices_at_its_next_beat_and_stops_early(engine: Engine) -> None:
    job = queued(engine)
    claim = claim_next(engine)
    assert claim is not None
    engine.cancel(job)
    held = engine.ledger.leases.renew(claim.token)
    assert runner_of(engine).run(claim, lambda: held > 0) is WindowOutcome.LOST
    assert rows(engine, "SELECT token FROM lease") == []
    assert job_of(engine, job).counters.embedded == 0


def race(engine: Engine, number: int) -> tuple[Job, bool]:
    """Cancel while the only window commits; the job as it was answered, and whether the window had written."""
    job = upsert(engine, {f"r{number}": f"race {number}"})
    claim = claim_next(engine)
    assert claim is not None
    runner = runner_of(engine, worker="test/race")
    start = threading.Barrier(2)
    answers: list[Job] = []

    def cancel() -> None:
        start.wait(timeout=60)
        answers.append(engine.cancel(job))

    thread = threading.Thread(target=cancel)
    thread.start()
    start.wait(timeout=60)
    runner.run(claim, lambda: True)
    written = f"r{number}" in {row["id"] for row in rows(engine, "SELECT id FROM document")}
    thread.join(timeout=60)
    return answers[0], written


def race_often(engine: Engine, times: int) -> set[JobState]:
    states: set[JobState] = set()
    for number in range(times):
        answer, written = race(engine, number)
        after = job_of(engine, answer)
        assert after == answer, "an ended job changed"
        assert written == (answer.state is JobState.SUCCEEDED)
        assert answer.state in {JobState.SUCCEEDED, JobState.CANCELLED}
        assert sum(event.state in {JobState.SUCCEEDED, JobState.CANCELLED} for event in engine.events(answer)) == 1
        states.add(answer.state)
    assert_conserved(engine)
    return states


def test_a_cancel_in_a_race_with_the_last_commit_gives_one_end(engine: Engine) -> None:
    race_often(engine, 50)


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_a_thousand_cancels_in_a_race_with_the_last_commit_give_one_end_each(engine: Engine) -> None:
    race_often(engine, 1000)


def test_a_cancel_that_left_the_batches_to_their_window_would_be_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a queue does that leaves what runs to its worker."""
    alter_query(monkeypatch, "close_open_batches", "IN ('ready', 'waiting', 'running')\n    ORDER", "= 'ready' ORDER")
    with pytest.raises(AssertionError):
        test_an_open_job_is_cancelled_at_once_and_for_good(engine, "queued and claimed")
