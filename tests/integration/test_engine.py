"""The engine's verbs on a real ledger: restart by state, retry, rerun, force, and items in = sum of outcomes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexmill.domain.job import Item, Job, JobFilter, JobKind
from indexmill.domain.job_state import JobState, Reason
from indexmill.engine import Engine
from indexmill.errors import BodiesExpired, CollectionNotFound, InvalidRequest, ModelExists, ModelNotFound
from tests.draining import (
    alter_query,
    assert_conserved,
    claim_next,
    delete,
    documents,
    drain,
    embedded_texts,
    execute,
    job_of,
    log_path,
    lose,
    rows,
    run,
    submit,
    upsert,
)


def seq_of(engine: Engine, job: Job) -> int:
    return int(rows(engine, "SELECT seq FROM job WHERE id = %s", job.id)[0]["seq"])


# Restart, by state


def test_restart_of_a_pending_task_makes_no_second_run(engine: Engine) -> None:
    job = upsert(engine, {"a": "one"})
    assert engine.restart(job) == job
    assert len(drain(engine)) == 1
    assert job_of(engine, job).attempt == 1


def test_restart_of_a_task_in_progress_changes_nothing(engine: Engine) -> None:
    job = upsert(engine, {"a": "one"})
    claim = claim_next(engine)
    assert claim is not None
    engine.ledger.transitions.start([job.id])
    before = job_of(engine, job)
    assert engine.restart(before) == before
    run(engine, claim)
    assert job_of(engine, job).state is JobState.SUCCEEDED


def test_restart_of_a_done_task_runs_all_items_again_at_a_new_place_and_skips_them(engine: Engine) -> None:
    job = upsert(engine, {"a": "one", "b": "two"})
    drain(engine)
    old = seq_of(engine, job)
    restarted = engine.restart(job_of(engine, job))
    assert (restarted.state, restarted.attempt, restarted.finished_at) == (JobState.QUEUED, 2, None)
    assert seq_of(engine, job) > old
    drain(engine)
    done = job_of(engine, job)
    assert (done.state, done.reason) == (JobState.SUCCEEDED, Reason.NOTHING_CHANGED)
    assert (done.counters.unchanged, done.counters.indexed, done.counters.embedded) == (2, 0, 0)


def test_a_forced_restart_embeds_again(engine: Engine) -> None:
    job = upsert(engine, {"a": "one", "b": "two"})
    drain(engine)
    engine.restart(job_of(engine, job), force=True)
    drain(engine)
    assert job_of(engine, job).counters.embedded == 2
    assert job_of(engine, job).counters.indexed == 2
    # Force is of that run, not of the task.
    engine.restart(job_of(engine, job))
    drain(engine)
    assert job_of(engine, job).counters.unchanged == 2


def test_a_rerun_beats_what_was_submitted_in_between(engine: Engine) -> None:
    job = upsert(engine, {"a": "first"})
    drain(engine)
    upsert(engine, {"a": "second"})
    drain(engine)
    engine.restart(job_of(engine, job))
    drain(engine)
    assert documents(engine)["a"]["text"] == "first"


@pytest.fixture
def mending(engine: Engine, tmp_path: Path) -> Callable[[], None]:
    """The model `mending` refuses texts with `bad` until it is mended; what it was given is in the log."""
    broken = tmp_path / "broken"
    broken.touch()
    options = {"dimension": 8, "fail_on": ["bad"], "only_while": str(broken), "log_path": log_path(tmp_path)}
    engine.deploy("mending", "deterministic", options)
    return broken.unlink


def test_restart_of_a_task_with_failures_retries_only_those_at_its_old_place(
    engine: Engine, mending: Callable[[], None], tmp_path: Path
) -> None:
    job = upsert(engine, {"a": "good", "b": "bad one", "c": "bad two"}, model="mending")
    drain(engine)
    failed = job_of(engine, job)
    assert (failed.state, failed.reason) == (JobState.SUCCEEDED, Reason.WITH_FAILURES)
    assert [each.object_id for each in engine.failed_items(failed, limit=9)] == ["b", "c"]
    old, calls = seq_of(engine, job), len(embedded_texts(tmp_path))
    upsert(engine, {"c": "newer"}, model="mending")
    drain(engine)
    mending()

    restarted = engine.restart(failed)

    assert (restarted.state, restarted.attempt, restarted.detail) == (JobState.QUEUED, 2, None)
    assert engine.failed_items(restarted, limit=9) == []
    assert seq_of(engine, job) == old
    assert restarted.counters.indexed == 1
    assert_conserved(engine)
    drain(engine)
    done = job_of(engine, job)
    assert (done.counters.indexed, done.counters.superseded, done.counters.failed) == (2, 1, 0)
    assert {name: row["text"] for name, row in documents(engine).items()} == {"a": "good", "b": "bad one", "c": "newer"}
    assert len(embedded_texts(tmp_path)) - calls == 2, "`newer` and `bad one`; what was good is not embedded again"
    assert_conserved(engine)


def test_restart_of_a_failed_task_retries_it(engine: Engine, mending: Callable[[], None]) -> None:
    job = upsert(engine, {"a": "bad"}, model="mending")
    drain(engine)
    assert job_of(engine, job).state is JobState.FAILED
    mending()
    engine.restart(job_of(engine, job))
    drain(engine)
    assert job_of(engine, job).state is JobState.SUCCEEDED


def test_restart_of_a_cancelled_task_runs_what_was_not_done(engine: Engine) -> None:
    job = upsert(engine, {f"d{n}": f"text {n}" for n in range(300)})
    claim = claim_next(engine, max_bytes=1)
    assert claim is not None
    run(engine, claim)
    engine.cancel(job)
    upsert(engine, {"d299": "newer"})
    drain(engine)
    restarted = engine.restart(job_of(engine, job))
    assert (restarted.counters.indexed, restarted.counters.cancelled) == (256, 0)
    drain(engine)
    done = job_of(engine, job)
    assert (done.state, done.counters.indexed, done.counters.superseded) == (JobState.SUCCEEDED, 299, 1)
    assert done.counters.embedded == 299
    assert documents(engine)["d299"]["text"] == "newer"
    assert_conserved(engine)


def test_restart_of_a_refused_task_waits_for_its_model(engine: Engine) -> None:
    job = upsert(engine, {"a": "one"})
    engine.withdraw("tiny")
    refused = job_of(engine, job)
    assert (refused.state, refused.counters.cancelled) == (JobState.REFUSED, 1)
    with pytest.raises(ModelNotFound):
        engine.restart(refused)
    assert job_of(engine, job) == refused
    engine.deploy("tiny", "deterministic", {"dimension": 8})
    engine.restart(refused)
    drain(engine)
    assert job_of(engine, job).state is JobState.SUCCEEDED


def test_restart_of_a_task_that_later_ones_superseded_changes_nothing(engine: Engine) -> None:
    job = upsert(engine, {"a": "earlier"})
    later = upsert(engine, {"a": "later"})
    execute(engine, "UPDATE batch SET rank = rank - interval '1 hour' WHERE job = %s", later.id)
    drain(engine, max_bytes=1)
    ended = job_of(engine, job)
    assert ended.reason is Reason.SUPERSEDED
    assert engine.restart(ended) == ended


def test_restart_of_an_empty_task_changes_nothing(engine: Engine) -> None:
    job = submit(engine, [])
    assert engine.restart(job) == job


@pytest.mark.parametrize("text", ["fine", " "])
def test_restart_after_the_items_are_gone_says_so(engine: Engine, text: str) -> None:
    job = upsert(engine, {"a": text}, external_id="old")
    drain(engine)
    execute(engine, "UPDATE job SET finished_at = now() - interval '8 days'")
    engine.ledger.retention.prune()
    before = job_of(engine, job)
    with pytest.raises(BodiesExpired, match="`old` cannot run again: its items are no longer kept"):
        engine.restart(before)
    assert job_of(engine, job) == before


def test_a_deletion_restarts_too(engine: Engine) -> None:
    upsert(engine, {"a": "one"})
    job = delete(engine, ["a"])
    drain(engine)
    upsert(engine, {"a": "back"})
    drain(engine)
    engine.restart(job_of(engine, job))
    drain(engine)
    assert documents(engine) == {}
    assert job_of(engine, job).counters.removed == 1


@pytest.mark.parametrize("ended", ["done", "cancelled"])
def test_a_deletion_restarts_without_its_model(engine: Engine, ended: str) -> None:
    upsert(engine, {"a": "one"})
    drain(engine)
    job = delete(engine, ["a", "x"])
    if ended == "done":
        drain(engine)
        upsert(engine, {"a": "back"})
    else:
        engine.cancel(job)
    drain(engine)
    assert set(documents(engine)) == {"a"}
    engine.withdraw("tiny")
    assert engine.restart(job_of(engine, job)).state is JobState.QUEUED
    engine.ledger.withdrawal.end_jobs()
    drain(engine)
    done = job_of(engine, job)
    assert (done.state, done.counters.removed, done.counters.absent) == (JobState.SUCCEEDED, 1, 1)
    assert documents(engine) == {}


def test_every_transition_leaves_a_numbered_event(engine: Engine) -> None:
    job = upsert(engine, {"a": " "})
    drain(engine)
    engine.retry(job_of(engine, job))
    engine.cancel(job)
    events = engine.events(job)
    assert [event.number for event in events] == [1, 2, 3, 4, 5]
    assert [event.state for event in events] == ["queued", "running", "failed", "queued", "cancelled"]
    assert [event.reason for event in events] == [None, None, "by_items", None, "by_request"]


# Items in = sum of outcomes, whatever happens

step = st.tuples(
    st.sampled_from(["run", "lose", "defer", "cancel", "retry", "rerun", "wake", "finish"]), st.integers(0, 5)
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(step, min_size=3, max_size=15))
def test_items_in_are_the_sum_of_outcomes_at_every_moment(engine: Engine, steps: list[tuple[str, int]]) -> None:
    play(engine, steps)


def play(engine: Engine, steps: list[tuple[str, int]]) -> None:
    execute(
        engine,
        "TRUNCATE job, document, lease, chunk_1_1 CASCADE",
    )
    jobs = [
        upsert(engine, {"a": "one", "b": " ", "c": "three"}),
        upsert(engine, {"c": "four"}),
        delete(engine, ["a", "x"]),
    ]
    for action, number in steps:
        act(engine, action, jobs[number % len(jobs)])
        assert_conserved(engine)
    execute(engine, "UPDATE batch SET available_at = now() WHERE state = 'waiting'")
    engine.ledger.workload.wake_waiting()
    drain(engine)
    assert_conserved(engine)
    assert all(job_of(engine, job).is_terminal for job in jobs)


def act(engine: Engine, action: str, job: Job) -> None:
    if action in {"cancel", "retry", "rerun"}:
        getattr(engine, action)(job_of(engine, job))
    elif action == "wake":
        execute(engine, "UPDATE batch SET available_at = now() WHERE state = 'waiting'")
        engine.ledger.workload.wake_waiting()
    elif action == "finish":
        engine.ledger.transitions.finish(engine.ledger.workload.finishable_jobs()[0])
    elif (claim := claim_next(engine, max_bytes=1)) is not None:
        if action == "run":
            run(engine, claim)
        elif action == "lose":
            batch = claim.batches[0]
            # Where an earlier attempt has decided items, the first one may not be what runs.
            lose(engine, claim, position=batch.first_position if batch.outcomes is None else None)
        else:
            engine.ledger.transitions.start(claim.job_ids)
            engine.ledger.batches.defer(claim.token, 60, "later")


def test_a_retry_that_forgot_to_reset_its_counters_would_be_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    alter_query(monkeypatch, "reopen_unfinished_batches", "failed = 0, cancelled = 0", "failed = failed")
    with pytest.raises(AssertionError):
        play(engine, [("run", 0), ("run", 0), ("run", 0), ("retry", 0), ("cancel", 0)])


# Models, lists, search


def test_a_model_is_deployed_once_and_its_id_stands_for_one_definition(engine: Engine) -> None:
    assert engine.deploy("m", "deterministic", {"dimension": 4})[1] is True
    assert engine.deploy("m", "deterministic", {"dimension": 4})[1] is False
    with pytest.raises(ModelExists, match="exists with provider `deterministic` and other settings"):
        engine.deploy("m", "deterministic", {"dimension": 5})
    assert [(each.name, each.model, each.documents) for each in engine.collections()] == [
        ("m", "m", 0),
        ("tiny", "tiny", 0),
    ]


def test_a_withdrawn_model_fails_what_runs_and_keeps_its_vectors(engine: Engine) -> None:
    upsert(engine, {"a": "one"})
    drain(engine)
    job = upsert(engine, {"b": "two"})
    claim = claim_next(engine)
    assert claim is not None
    engine.ledger.transitions.start([job.id])
    deletion = delete(engine, ["a"])
    engine.withdraw("tiny")
    ended = job_of(engine, job)
    assert (ended.state, ended.reason, ended.detail) == (
        JobState.FAILED, Reason.SYSTEM, "Embedding model `tiny` was withdrawn",
    )  # fmt: skip
    run(engine, claim)
    assert set(documents(engine)) == {"a"}
    drain(engine)
    assert job_of(engine, deletion).counters.removed == 1


def test_jobs_are_listed_newest_first_by_state_kind_collection_and_model(engine: Engine) -> None:
    done = upsert(engine, {"a": "one"})
    drain(engine)
    deletion = delete(engine, ["a"])
    queued = upsert(engine, {"a": "two"})

    def listed(wanted: JobFilter) -> list[object]:
        page = engine.list_jobs(wanted, limit=10)
        assert page.total == len(page.jobs)
        return [job.id for job in page.jobs]

    assert listed(JobFilter()) == [queued.id, deletion.id, done.id]
    assert listed(JobFilter(states=(JobState.QUEUED,))) == [queued.id, deletion.id]
    assert listed(JobFilter(kinds=(JobKind.DELETION,))) == [deletion.id]
    assert listed(JobFilter(collection="tiny", model="tiny")) == [queued.id, deletion.id, done.id]
    assert listed(JobFilter(collection="none")) == []
    assert listed(JobFilter(created_before=queued.created_at)) == [deletion.id, done.id]
    assert listed(JobFilter(created_from=queued.created_at)) == [queued.id]


def test_pages_by_offset_and_by_the_last_job_meet(engine: Engine) -> None:
    for number in range(7):
        upsert(engine, {f"d{number}": "text"}, external_id=f"t{number}")
    everything = engine.list_jobs(JobFilter(), limit=10).jobs
    by_offset = [job for offset in (0, 3, 6) for job in engine.list_jobs(JobFilter(), limit=3, offset=offset).jobs]
    first = engine.list_jobs(JobFilter(), limit=3)
    second = engine.list_jobs(JobFilter(), limit=10, after=first.jobs[-1].name)
    assert by_offset == everything == first.jobs + second.jobs
    assert (first.has_more, second.has_more) == (True, False)


def test_failed_items_come_in_pages_by_position_and_within_their_bytes(engine: Engine) -> None:
    job = submit(engine, [Item(f"d{n}", {"text": " ", "pad": str(n) * 50}) for n in range(30)])
    drain(engine)
    first = engine.failed_items(job, limit=10)
    rest = engine.failed_items(job, limit=100, after_position=first[-1].position)
    assert [each.position for each in first + rest] == list(range(30))
    assert 1 <= len(engine.failed_items(job, limit=100, max_bytes=2000)) < 10
    assert len(engine.failed_items(job, limit=100, max_bytes=1)) == 1
    assert len(engine.failed_items_of([job_of(engine, job)], limit=4)[job.id]) == 4


def test_a_failed_item_s_large_payload_is_left_out_and_a_nul_in_it_kept(engine: Engine) -> None:
    noise = "".join(chr(0x4E00 + (n * 7919) % 20000) for n in range(5000))
    job = submit(engine, [Item("large", {"text": " ", "x": noise}), Item("nul", {"text": "a\0b"}, {"k": "\0"})])
    drain(engine)
    large, nul = engine.failed_items(job, limit=10)
    assert (large.payload, large.item_info) == (None, None)
    assert (nul.payload, nul.item_info) == ({"text": "a\0b"}, {"k": "\0"})


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ({}, "exactly one of"),
        ({"text": "a", "vector": [1.0] * 8}, "exactly one of"),
        ({"vector": [1.0] * 7}, "expected 8 numbers, got 7"),
        ({"vector": [0.0] * 8}, "not all zero"),
        ({"vector": [float("nan")] * 8}, "finite"),
        ({"vector": [1.0] * 8, "limit": 0}, "expected 1 to 1000"),
        ({"vector": [1.0] * 8, "equal": {"x": [1]}}, "expected a string, number, boolean or null"),
        ({"vector": [1.0] * 8, "equal": {"a\0": 1}}, "expected a string, number, boolean or null"),
        ({"text": " "}, "something to embed"),
    ],
)
def test_a_search_that_makes_no_sense_says_why(engine: Engine, query: dict[str, object], complaint: str) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        engine.search("tiny", **query)  # type: ignore[arg-type]


def test_a_collection_that_is_not_there_is_answered_with_those_that_are(engine: Engine) -> None:
    with pytest.raises(CollectionNotFound, match=r"`none` not found; collections: `tiny`"):
        engine.search("none", text="a")


# Embedding for callers


def test_texts_are_embedded_as_documents_are(engine: Engine) -> None:
    upsert(engine, {"a": "one text"})
    drain(engine)
    embedded = engine.embed("tiny", ["other", "one text"])
    stored = rows(engine, "SELECT embedding::real[] AS vector FROM chunk_1_1")[0]["vector"]
    assert embedded.vectors[1].tolist() == pytest.approx(stored)
    assert (len(embedded.tokens), int(embedded.tokens[1])) == (2, rows(engine, "SELECT tokens FROM job")[0]["tokens"])


@pytest.mark.parametrize(
    ("texts", "message"),
    [([], "expected 1 to 2048, got 0"), (["x"] * 2049, "got 2049"), (["x" * 8_000_001], "at most 8000000 characters")],
)
def test_too_few_and_too_many_texts_are_refused(engine: Engine, texts: list[str], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        engine.embed("tiny", texts)
    with pytest.raises(ModelNotFound):
        engine.embed("nobody", ["x"])


def test_how_much_of_a_text_fits_is_counted_no_further_than_that(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []
    model = engine.models.get(engine.ledger.models.require("tiny", 1))
    count = model.count_tokens

    def counting(texts: list[str]) -> list[int]:
        counted.append(sum(map(len, texts)))
        return count(texts)

    monkeypatch.setattr(model, "count_tokens", counting)
    text = "word " * 1_000_000
    assert text[: engine.fitting("tiny", text, 4)].split() == ["word"] * 4
    assert sum(counted) < 200_000
    # A word that lies on the border of what is counted together counts twice.
    assert 9_990 < len(text[: engine.fitting("tiny", text, 10_000)].split()) <= 10_000
    assert sum(counted) < 1_000_000
    assert engine.fitting("tiny", "some words", 2) == len("some words")
    assert engine.fitting("tiny", "", 2) == 0
