"""The outbox of callbacks: one row an end, written with it; claims that no two senders share; order within a job."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from indexmill.domain.callback import CallbackEvent
from indexmill.domain.job import Item, Job, JobFilter, JobKind, Submission
from indexmill.engine import Engine
from indexmill.ledger.ledger import Ledger
from tests.draining import alter_query, claim_next, drain, execute, items_of, rows, run, upsert

CALLBACK = {
    "amqp": {"exchange": "main", "routing_key_done": "jobs.done"},
    "properties": {"ticket": 7, "name": "Grüße"},
}


#: What an upsertion tells on its way.
STEPS = [(1, "progress")] * 3


def submit(engine: Engine, texts: dict[str, str], callback: dict[str, Any] | None = CALLBACK, **options: Any) -> Job:
    return engine.submit(Submission(JobKind.UPSERTION, "tiny", items_of(texts), callback=callback, **options)).job


def outbox(engine: Engine) -> list[dict[str, Any]]:
    return rows(engine, "SELECT * FROM callback_outbox ORDER BY id")


def kinds(engine: Engine) -> list[tuple[int, str]]:
    return [(row["attempt"], row["event"]) for row in outbox(engine)]


def claim(ledger: Ledger, seconds: float = 60) -> list[CallbackEvent]:
    return ledger.callbacks.claim(50, seconds)


def progress(engine: Engine, job: Job, step: str, percentage: int) -> int:
    with engine.ledger.database.transaction() as connection:
        return engine.ledger.callbacks.progress(connection, [job.id], step, percentage)


# What is written


def test_start_and_end_are_told_with_what_they_need(engine: Engine) -> None:
    job = submit(engine, {"a": "one"})
    assert outbox(engine) == []
    drain(engine)
    first, parse, storage, last = outbox(engine)
    assert (first["event"], first["exchange"], first["routing_key"]) == ("progress", "main", None)
    assert first["data"] == {"current_step": "Validation", "percentage": 0}
    assert parse["data"] == {"current_step": "Parse", "percentage": 20}
    assert storage["data"] == {"current_step": "Storage", "percentage": 60}
    assert (last["event"], last["exchange"], last["routing_key"]) == ("done", "main", "jobs.done")
    assert last["data"] == {"state": "succeeded", "reason": "complete", "detail": None, "failures": []}
    [event] = claim(engine.ledger)
    assert (event.job, event.properties, event.tries) == (job.id, {"ticket": 7, "name": "Grüße"}, 1)


def test_a_job_without_a_callback_writes_nothing(engine: Engine) -> None:
    job = submit(engine, {"a": "one"}, callback=None)
    assert progress(engine, job, "Parse", 30) == 0
    drain(engine)
    assert outbox(engine) == []
    assert not engine.ledger.callbacks.has_due()


def test_several_small_requests_together_keep_their_callbacks_apart(engine: Engine) -> None:
    other = {"amqp": {"exchange": "other"}, "properties": {}}
    engine.submit_together(
        [
            Submission(JobKind.UPSERTION, "tiny", items_of({"a": "one"}), callback=CALLBACK),
            Submission(JobKind.UPSERTION, "tiny", items_of({"b": "two"})),
            Submission(JobKind.DELETION, "tiny", [Item("c")], callback=other),
        ]
    )
    drain(engine)
    assert sorted((row["exchange"], row["event"]) for row in outbox(engine)) == [
        ("main", "done"),
        *[("main", "progress")] * 3,
        ("other", "done"),
    ]


def test_a_streamed_job_keeps_its_callback(engine: Engine) -> None:
    submit(engine, {f"doc-{number}": "text" for number in range(256 * 33)})
    drain(engine)
    assert kinds(engine) == [*STEPS, (1, "done")]


def test_an_end_that_is_no_success_is_an_error_with_its_failures(engine: Engine) -> None:
    engine.submit(Submission(JobKind.UPSERTION, "tiny", [Item("a", {"none": 1})], callback=CALLBACK))
    drain(engine)
    end = outbox(engine)[-1]
    assert (end["event"], end["routing_key"]) == ("error", None)
    assert end["data"]["state"] == "failed"
    assert end["data"]["failures"] == [{"stage": "load", "code": "no_content"}]


def test_every_way_to_end_writes_exactly_one_row(engine: Engine) -> None:
    cancelled = submit(engine, {"a": "one"})
    engine.cancel(cancelled)
    engine.cancel(cancelled)
    failed = submit(engine, {"b": "two"})
    engine.ledger.transitions.fail(failed.id, "The embedding model does not work")
    submit(engine, {})
    submit(engine, {"c": "three"})
    engine.withdraw("tiny")
    ends = [(row["event"], row["data"]["state"], row["data"]["reason"]) for row in outbox(engine)]
    assert ends == [
        ("error", "cancelled", "by_request"),
        ("error", "failed", "system"),
        ("done", "succeeded", "nothing_changed"),
        ("error", "refused", "withdrawn"),
    ]


def test_a_cancel_of_a_running_job_and_its_late_window_write_one_row(engine: Engine) -> None:
    job = submit(engine, {"a": "one"})
    window = claim_next(engine)
    assert window is not None
    engine.ledger.transitions.start([job.id])
    engine.cancel(job)
    run(engine, window)
    engine.ledger.transitions.finish([job.id])
    assert kinds(engine) == [(1, "progress"), (1, "error")]


def test_no_end_is_told_that_was_not_committed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    job = submit(engine, {"a": "one"})
    with pytest.raises(psycopg.errors.RaiseException), engine.ledger.database.transaction() as connection:  # noqa: PT012
        engine.ledger.transitions.close(connection, job.id, _cancelled(), None)
        assert connection.execute("SELECT count(*) AS n FROM callback_outbox").fetchone() == {"n": 1}
        connection.execute("DO $$ BEGIN RAISE EXCEPTION 'the transaction fails'; END $$")
    assert outbox(engine) == []
    drain(engine)
    assert kinds(engine) == [*STEPS, (1, "done")]


def _cancelled() -> Any:
    from indexmill.domain.job_state import JobState, Reason
    from indexmill.domain.outcome import Ending

    return Ending(JobState.CANCELLED, Reason.BY_REQUEST)


def test_a_job_that_runs_again_ends_again_and_says_so(engine: Engine) -> None:
    job = submit(engine, {"a": "one"})
    drain(engine)
    engine.rerun(job)  # Nothing has changed: after the first step there is nothing to do.
    drain(engine)
    assert kinds(engine) == [*STEPS, (1, "done"), (2, "progress"), (2, "done")]
    ids = {event.message_id for event in claim(engine.ledger)}
    assert ids == {f"{job.id}.1.progress.Validation"}


# Progress


def test_a_step_is_told_once_an_attempt_and_not_after_the_end(engine: Engine) -> None:
    job = submit(engine, {"a": "one"})
    engine.ledger.transitions.start([job.id])
    assert progress(engine, job, "Parse", 30) == 1
    assert progress(engine, job, "Parse", 35) == 0
    assert progress(engine, job, "Storage", 60) == 1
    drain(engine)
    assert progress(engine, job, "Late", 99) == 0
    assert [row["data"].get("current_step") for row in outbox(engine)] == ["Validation", "Parse", "Storage", None]


def test_a_step_that_is_told_while_the_job_ends_waits_and_then_says_nothing(engine: Engine, database_url: str) -> None:
    job = submit(engine, {"a": "one"})
    with engine.ledger.database.transaction() as ending:
        engine.ledger.transitions.close(ending, job.id, _cancelled(), None)
        with psycopg.connect(database_url) as late, pytest.raises(psycopg.errors.LockNotAvailable):  # noqa: PT012
            late.execute("SET lock_timeout = '200ms'")
            engine.ledger.callbacks.progress(late, [job.id], "Parse", 30)  # type: ignore[arg-type]
    assert progress(engine, job, "Parse", 30) == 0
    assert kinds(engine) == [(1, "error")]


def test_a_deletion_has_no_steps(engine: Engine) -> None:
    engine.submit(Submission(JobKind.DELETION, "tiny", [Item("a")], callback=CALLBACK))
    drain(engine)
    assert kinds(engine) == [(1, "done")]


# Claiming and settling


def test_a_claimed_callback_is_nobody_else_s_until_its_time_is_over(engine: Engine) -> None:
    submit(engine, {"a": "one"})
    drain(engine)
    [first] = claim(engine.ledger, 60)
    assert claim(engine.ledger) == []
    execute(engine, "UPDATE callback_outbox SET due_at = ledger_now() - interval '1 s' WHERE id = %s", first.id)
    [again] = claim(engine.ledger)
    assert (again.id, again.tries) == (first.id, 2)


def test_a_job_s_callbacks_come_one_after_the_other(engine: Engine) -> None:
    submit(engine, {"a": "one"})
    submit(engine, {"b": "two"})
    drain(engine)
    first, second = claim(engine.ledger)
    assert {first.kind, second.kind} == {"progress"}
    engine.ledger.callbacks.delivered(first)
    [next_one] = claim(engine.ledger)
    assert (next_one.job, next_one.data["current_step"]) == (first.job, "Parse")


def test_a_broken_build_without_the_order_is_noticed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    alter_query(monkeypatch, "claim_callbacks", "e.id < o.id", "false")
    submit(engine, {"a": "one"})
    drain(engine)
    assert [event.kind for event in claim(engine.ledger)] == ["progress", "progress", "progress", "done"]


def test_a_broken_build_without_the_claim_is_noticed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    alter_query(monkeypatch, "claim_callbacks", "SET due_at = ledger_now() + make_interval(secs => %(seconds)s)",
                "SET due_at = ledger_now() + 0 * make_interval(secs => %(seconds)s)")  # fmt: skip
    submit(engine, {"a": "one"})
    drain(engine)
    assert [event.id for event in claim(engine.ledger)] == [event.id for event in claim(engine.ledger)]


def test_a_refused_callback_and_what_follows_it_wait_together(engine: Engine) -> None:
    submit(engine, {"a": "one"})
    drain(engine)
    [event] = claim(engine.ledger)
    engine.ledger.callbacks.postpone(event, 30, "no exchange 'main'")
    assert not engine.ledger.callbacks.has_due()
    assert [row["problem"] for row in outbox(engine)] == ["no exchange 'main'", None, None, None]
    execute(engine, "UPDATE callback_outbox SET due_at = ledger_now(), refused_at = refused_at - interval '1 h'")
    [event] = claim(engine.ledger)
    assert 3590 < event.refused_seconds < 3700
    engine.ledger.callbacks.give_up(event, "no exchange 'main'")
    [following] = claim(engine.ledger)
    assert following.data["current_step"] == "Parse"


def test_a_released_callback_is_due_at_once_and_was_no_try(engine: Engine) -> None:
    submit(engine, {"a": "one"})
    drain(engine)
    events = claim(engine.ledger)
    engine.ledger.callbacks.release(events)
    [event] = claim(engine.ledger)
    assert event.tries == 1


# Keeping


def test_a_job_is_kept_until_its_callbacks_are_sent_and_they_for_a_day(engine: Engine) -> None:
    submit(engine, {"a": "one"})
    upsert(engine, {"b": "two"})
    drain(engine)
    execute(engine, "UPDATE job SET finished_at = finished_at - interval '200 days'")
    assert engine.delete_finished(JobFilter()) == 1
    assert engine.ledger.retention.prune()["prune_jobs"] == 0
    for _ in range(4):
        [event] = claim(engine.ledger)
        engine.ledger.callbacks.delivered(event)
    execute(engine, "UPDATE callback_outbox SET settled_at = settled_at - interval '25 h' WHERE event = 'progress'")
    pruned = engine.ledger.retention.prune()
    assert (pruned["prune_callbacks"], pruned["prune_jobs"]) == (3, 1)
    assert outbox(engine) == []


def test_the_metrics_count_what_waits(engine: Engine) -> None:
    from indexmill.ledger.metrics import metrics_text

    submit(engine, {"a": "one"})
    drain(engine)
    assert b"indexmill_waiting_callbacks 4.0" in metrics_text(engine.ledger.workload)
