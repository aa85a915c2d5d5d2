"""Causes that pass and models that cannot work: waiting, giving up, lanes that stop and are probed."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from indexmill.domain.failure import FailureCode, Stage
from indexmill.domain.job import DEFAULT_TENANT, Job
from indexmill.domain.job_state import JobState, Reason
from indexmill.engine import Engine
from indexmill.errors import TransientError
from indexmill.ledger.collections import lane_of
from indexmill.models.embedding_model import Embeddings
from indexmill.models.model_cache import ModelCache
from indexmill.pipeline import run_window
from indexmill.pipeline.run_window import WindowOutcome, WindowRunner
from tests.draining import (
    Deploy,
    assert_conserved,
    claimed,
    delete,
    drain,
    execute,
    failures,
    job_of,
    rows,
    runner_of,
    upsert,
    wake,
)


@pytest.fixture
def down(tmp_path: Path) -> Path:
    """While this file is there, a model that was deployed with `only_while` fails."""
    flag = tmp_path / "down"
    flag.touch()
    return flag


# Transient causes


def test_a_transient_cause_waits_and_is_tried_again(engine: Engine, deploy: Deploy, down: Path) -> None:
    model = deploy(transient_on=["text"], only_while=str(down))
    job = upsert(engine, {"a": "text"}, model=model)
    assert drain(engine) == [WindowOutcome.DEFERRED]
    waiting = job_of(engine, job)
    assert waiting.state is JobState.RETRYING
    assert str(waiting.detail).startswith("Waiting to try again: ")
    batch = rows(engine, "SELECT state, tries, losses, lease, available_at > now() AS later FROM batch")[0]
    assert batch == {"state": "waiting", "tries": 1, "losses": 0, "lease": None, "later": True}
    assert engine.ledger.workload.wake_waiting() == 0
    down.unlink()
    assert wake(engine) == 1
    assert drain(engine) == [WindowOutcome.DONE]
    done = job_of(engine, job)
    assert (done.state, done.detail) == (JobState.SUCCEEDED, None)
    states = [event.state for event in engine.events(done)]
    assert states == ["queued", "running", "retrying", "running", "succeeded"]


def test_each_wait_is_longer_than_the_one_before(engine: Engine, deploy: Deploy) -> None:
    model = deploy(transient_on=["text"])
    upsert(engine, {"a": "text"}, model=model)
    waits = []
    for _ in range(5):
        drain(engine)
        waits.append(float(rows(engine, "SELECT extract(epoch FROM available_at - now()) AS s FROM batch")[0]["s"]))
        wake(engine)
    # Base 0.5 s doubled each time, and a jitter of 0.5 to 1.
    assert all(0.5 * 2**n * 0.5 - 0.2 < wait <= 0.5 * 2**n for n, wait in enumerate(waits)), waits


def exhaust(engine: Engine, max_tries: int) -> None:
    for _ in range(max_tries):
        drain(engine, runner_of(engine, max_tries=max_tries))
        wake(engine)


def test_after_its_last_try_an_item_fails_and_says_so(engine: Engine, deploy: Deploy) -> None:
    model = deploy(transient_on=["text"])
    job = upsert(engine, {"a": "text"}, model=model)
    exhaust(engine, 3)
    failure = failures(engine, job)["a"]
    assert (failure.stage, failure.code, failure.retryable) == (Stage.EMBED, FailureCode.TRIES_EXHAUSTED, True)
    assert "Given up after 3 tries" in failure.sentence
    assert job_of(engine, job).state is JobState.FAILED
    engine.retry(job_of(engine, job))
    assert rows(engine, "SELECT tries FROM batch") == [{"tries": 0}]


def test_what_needs_no_model_is_done_at_the_last_try(engine: Engine, deploy: Deploy, down: Path) -> None:
    down.unlink()
    model = deploy(transient_on=["text"], only_while=str(down))
    upsert(engine, {"same": "text"}, model=model)
    drain(engine)
    down.touch()
    job = upsert(engine, {"same": "text", "other": "text two"}, model=model)
    exhaust(engine, 2)
    counters = job_of(engine, job).counters
    assert (counters.unchanged, counters.failed) == (1, 1)


def test_one_text_that_never_gets_through_leaves_its_neighbours(engine: Engine, deploy: Deploy) -> None:
    """A failure belongs to an item, though its cause looks transient: a time-out that one text alone brings about."""
    model = deploy(transient_on=["unlucky"])
    job = upsert(engine, {f"d{n}": "unlucky" if n == 5 else f"text {n}" for n in range(16)}, model=model)
    exhaust(engine, 2)
    assert set(failures(engine, job)) == {"d5"}
    assert job_of(engine, job).counters.indexed == 15


def test_a_job_s_last_try_is_not_its_neighbour_s(engine: Engine, deploy: Deploy, down: Path) -> None:
    """Two jobs in a window: one has been tried often, the other is new and has its tries before it."""
    model = deploy(transient_on=["text"], only_while=str(down))
    old = upsert(engine, {"old": "text one"}, model=model)
    runner = runner_of(engine, max_tries=2)
    drain(engine, runner)
    new = upsert(engine, {"new": "text two"}, model=model)
    wake(engine)
    drain(engine, runner)
    down.unlink()
    assert job_of(engine, old).state is JobState.FAILED
    assert job_of(engine, new).counters.failed == 0, "given up after its first try"
    wake(engine)
    drain(engine, runner)
    assert job_of(engine, new).state is JobState.SUCCEEDED


def last_try_of_a_slow_model(
    engine: Engine, job: Job, model: str, monkeypatch: pytest.MonkeyPatch, *, deadline_seconds: float
) -> list[WindowOutcome]:
    """The batch has its last try before it, and each call takes a tenth of a second before it fails."""
    provider = engine.models.get(engine.ledger.models.require(model, DEFAULT_TENANT))
    now = [time.monotonic()]
    monkeypatch.setattr(run_window, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def embed(texts: list[str]) -> Embeddings:
        now[0] += 0.1
        raise TransientError("The model did not answer in time")

    object.__setattr__(provider, "embed", embed)
    execute(engine, "UPDATE batch SET tries = 7 WHERE job = %s", job.id)
    leases = replace(engine.ledger.leases, deadline_seconds=deadline_seconds)
    runner = runner_of(engine, replace(engine.ledger, leases=leases), deadline_seconds=deadline_seconds)
    return drain(engine, runner)


def test_the_last_tries_of_a_slow_model_take_one_deadline_at_most(
    engine: Engine, deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone, 64 items that time out would hold their worker for 64 time-outs."""
    model = deploy()
    job = upsert(engine, {f"d{n}": f"text {n}" for n in range(64)}, model=model)
    ended = last_try_of_a_slow_model(engine, job, model, monkeypatch, deadline_seconds=0.55)
    assert ended == [WindowOutcome.DONE]
    assert job_of(engine, job).counters.failed == 64
    found = failures(engine, job).values()
    assert {(failure.code, failure.retryable) for failure in found} == {(FailureCode.TRIES_EXHAUSTED, True)}
    tried = [failure for failure in found if "the last one: The model did not answer in time" in failure.sentence]
    untried = [failure for failure in found if "too slowly for this one to be tried by itself" in failure.sentence]
    assert len(tried) == 6
    assert len(tried) + len(untried) == 64
    assert rows(engine, "SELECT losses FROM batch") == [{"losses": 0}]
    assert_conserved(engine)


def test_during_its_last_tries_a_window_is_neither_rescued_nor_given_up(engine: Engine, deploy: Deploy) -> None:
    """Each item, and the commit after them, has the deadline to itself in the ledger and for the watchdog."""
    model = deploy()
    job = upsert(engine, {f"d{n}": f"text {n}" for n in range(4)}, model=model)
    restarted: list[dict[str, Any]] = []

    def note() -> None:
        restarted.extend(rows(engine, "SELECT position, deadline_at - now() > interval '10 s' AS moved FROM lease"))
        execute(engine, "UPDATE lease SET deadline_at = now() + interval '1 s'")

    provider = engine.models.get(engine.ledger.models.require(model, DEFAULT_TENANT))
    original = provider.embed

    def embed(texts: list[str]) -> Embeddings:
        if len(texts) > 1:
            raise TransientError("too many at once")
        return original(texts)

    object.__setattr__(provider, "embed", embed)
    execute(engine, "UPDATE batch SET tries = 7")
    runner = runner_of(engine, restart_deadline=note)
    assert drain(engine, runner) == [WindowOutcome.DONE]
    assert [each["position"] for each in restarted] == [0, 1, 2, 3, None]
    assert all(each["moved"] for each in restarted)
    assert job_of(engine, job).counters.indexed == 4


# The model itself


def stop_lane(engine: Engine, deploy: Deploy, down: Path, runner: WindowRunner | None = None) -> tuple[Job, str]:
    """A job whose model cannot work, and the model."""
    down.unlink()
    model = deploy(model_error="The key was refused", only_while=str(down))
    down.touch()
    job = upsert(engine, {"a": "one"}, model=model)
    assert drain(engine, runner) == [WindowOutcome.STOPPED]
    return job, model


def mend(engine: Engine, down: Path) -> None:
    """The model works again, and the time to try it has come."""
    down.unlink()
    execute(engine, "UPDATE lane SET probe_at = now() WHERE stopped_at IS NOT NULL")


def test_a_model_that_cannot_work_stops_its_lane_and_no_other(engine: Engine, deploy: Deploy, down: Path) -> None:
    job, model = stop_lane(engine, deploy, down)
    lane = rows(engine, "SELECT * FROM lane WHERE name = %s", lane_of(1, model))[0]
    assert lane["stop_reason"] == "The key was refused"
    assert rows(engine, "SELECT state, tries, losses FROM batch") == [{"state": "ready", "tries": 0, "losses": 0}]
    other = upsert(engine, {"a": "one"})
    deletion = delete(engine, ["a"], model=model)
    assert set(drain(engine)) == {WindowOutcome.DONE}
    assert job_of(engine, other).is_terminal
    assert job_of(engine, deletion).is_terminal
    assert not job_of(engine, job).is_terminal


@pytest.mark.parametrize("same_process", [True, False])
def test_a_probe_that_goes_well_resumes_the_lane(
    engine: Engine, deploy: Deploy, down: Path, same_process: bool
) -> None:
    """Whichever process stopped it: the one that did may have been restarted since."""
    runner = runner_of(engine)
    job, _ = stop_lane(engine, deploy, down, runner)
    mend(engine, down)
    drain(engine, runner if same_process else runner_of(engine))
    assert job_of(engine, job).state is JobState.SUCCEEDED
    assert rows(engine, "SELECT name FROM lane WHERE stopped_at IS NOT NULL") == []


def test_a_stopped_lane_is_probed_by_one_claim_at_a_time(engine: Engine, deploy: Deploy, down: Path) -> None:
    _, model = stop_lane(engine, deploy, down)
    mend(engine, down)
    lane = lane_of(1, model)
    upsert(engine, {"b": "two"}, model=model)
    assert [head.lane for head in engine.ledger.claims.lane_heads()] == [lane]
    assert engine.ledger.claims.claim(lane, "test/probe", 1) is not None
    assert engine.ledger.claims.lane_heads() == []
    assert engine.ledger.workload.ready().batches == 0


def test_a_lane_that_stays_stopped_is_given_up(engine: Engine, deploy: Deploy, down: Path) -> None:
    job, model = stop_lane(engine, deploy, down)
    engine.ledger.lanes.give_up()
    assert job_of(engine, job).state is not JobState.FAILED
    execute(engine, "UPDATE lane SET stopped_at = stopped_at - interval '11 minutes'")
    engine.ledger.lanes.give_up()
    ended = job_of(engine, job)
    assert (ended.state, ended.reason) == (JobState.FAILED, Reason.SYSTEM)
    assert ended.detail == "The embedding model does not work: The key was refused"
    assert_conserved(engine)
    down.unlink()
    engine.deploy(model, "deterministic", engine.ledger.models.require(model, DEFAULT_TENANT).settings)
    engine.retry(ended)
    drain(engine)
    assert job_of(engine, job).state is JobState.SUCCEEDED


def test_a_second_stop_does_not_start_the_ten_minutes_again(engine: Engine) -> None:
    lane = lane_of(1, "tiny")
    engine.ledger.lanes.stop(lane, "first")
    execute(engine, "UPDATE lane SET stopped_at = stopped_at - interval '11 minutes' WHERE name = %s", lane)
    engine.ledger.lanes.stop(lane, "second")
    found = rows(engine, "SELECT stop_reason, stopped_at < now() - interval '10 minutes' AS old FROM lane "
                         "WHERE name = %s", lane)  # fmt: skip
    assert found == [{"stop_reason": "second", "old": True}]


def test_a_model_whose_provider_is_gone_stops_its_lane(engine: Engine) -> None:
    upsert(engine, {"a": "one"})
    execute(engine, "UPDATE model SET provider = 'of an earlier release'")
    claim = claimed(engine)
    fresh = replace(runner_of(engine), models=ModelCache())
    assert fresh.run(claim, lambda: True) is WindowOutcome.STOPPED
