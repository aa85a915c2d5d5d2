"""A window from claim to commit: what is skipped, what fails alone, what is embedded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexmill.domain.bodies import MAX_BATCH_BYTES
from indexmill.domain.failure import FailureCode, Stage
from indexmill.domain.job import Item
from indexmill.domain.job_state import JobState, Reason
from indexmill.engine import Engine
from indexmill.models import deterministic
from indexmill.models.embedding_model import Embeddings
from indexmill.pipeline import embed
from indexmill.pipeline.run_window import WindowOutcome
from tests.draining import (
    Deploy,
    assert_conserved,
    claimed,
    delete,
    documents,
    drain,
    embedded_texts,
    execute,
    failures,
    items_of,
    job_of,
    rows,
    run,
    runner_of,
    submit,
    upsert,
)

# Nothing changed, nothing embedded


def test_an_unchanged_second_submission_embeds_and_writes_nothing(
    engine: Engine, deploy: Deploy, tmp_path: Path
) -> None:
    model = deploy()
    texts = {f"d{n}": f"text {n}" for n in range(600)}
    upsert(engine, texts, model=model)
    drain(engine)
    stored = rows(engine, "SELECT xmin::text, * FROM document ORDER BY key")
    chunks = rows(engine, "SELECT xmin::text, * FROM chunk_2_1 ORDER BY document")
    job = upsert(engine, texts, model=model)
    drain(engine)
    done = job_of(engine, job)
    assert (done.state, done.reason) == (JobState.SUCCEEDED, Reason.NOTHING_CHANGED)
    assert (done.counters.unchanged, done.counters.embedded, done.counters.tokens) == (600, 0, 0)
    assert len(embedded_texts(tmp_path)) == 600
    assert rows(engine, "SELECT xmin::text, * FROM chunk_2_1 ORDER BY document") == chunks
    assert rows(engine, "SELECT xmin::text, * FROM document ORDER BY key") == stored


def test_of_what_has_changed_a_window_keeps_what_it_has_the_time_for_and_the_rest_goes_back(engine: Engine) -> None:
    def batches_of(texts: list[str]) -> list[Item]:
        """Each so large that it is a batch."""
        return [Item(f"d{n}", {"text": text}, weight=MAX_BATCH_BYTES) for n, text in enumerate(texts)]

    old = [f"text {n}" for n in range(6)]
    new = [f"new {text}" if n in {1, 3, 4, 5} else text for n, text in enumerate(old)]
    submit(engine, batches_of(old))
    drain(engine)
    job = submit(engine, batches_of(new))
    claim = claimed(engine)
    ranks = rows(engine, "SELECT rank FROM batch WHERE job = %s ORDER BY ordinal", job.id)
    assert run(engine, replace(claim, work_bytes=claim.batches[1].size + claim.batches[3].size)) is WindowOutcome.DONE
    batches = rows(engine, "SELECT * FROM batch WHERE job = %s ORDER BY ordinal", job.id)
    assert [batch["state"] for batch in batches] == ["done"] * 4 + ["ready"] * 2
    assert [batch["unchanged"] for batch in batches] == [1, 0, 1, 0, 0, 0]
    assert {(batch["lease"], batch["losses"], batch["tries"]) for batch in batches[4:]} == {(None, 0, 0)}
    assert rows(engine, "SELECT rank FROM batch WHERE job = %s ORDER BY ordinal", job.id) == ranks
    assert rows(engine, "SELECT token FROM lease") == []
    # At least a batch, however little time there is.
    assert run(engine, replace(claimed(engine), work_bytes=1)) is WindowOutcome.DONE
    drain(engine)
    assert job_of(engine, job).counters.indexed == 4
    assert [row["text"] for row in documents(engine).values()] == new
    assert_conserved(engine)


def test_jobs_whose_batches_were_only_compared_have_not_started(engine: Engine) -> None:
    upsert(engine, {"a": "one", "b": "two", "c": "three"})
    drain(engine)
    jobs = [upsert(engine, {key: text}) for key, text in {"a": "one", "b": "new two", "c": "new three"}.items()]
    assert run(engine, replace(claimed(engine), work_bytes=1)) is WindowOutcome.DONE
    assert [job_of(engine, job).state for job in jobs] == [JobState.SUCCEEDED, JobState.SUCCEEDED, JobState.QUEUED]
    drain(engine)
    assert [[event.state for event in engine.events(job)] for job in jobs] == [["queued", "running", "succeeded"]] * 3
    assert_conserved(engine)


def test_a_window_of_which_nothing_has_changed_says_so(engine: Engine) -> None:
    upsert(engine, {"a": "one"})
    assert drain(engine) == [WindowOutcome.DONE]
    upsert(engine, {"a": "one"})
    assert drain(engine) == [WindowOutcome.UNCHANGED]
    upsert(engine, {"a": "one", "b": "two"})
    assert drain(engine) == [WindowOutcome.DONE]


def test_items_that_are_damaged_behind_what_is_compared_end_their_job_once_they_are_needed(engine: Engine) -> None:
    upsert(engine, {"a": "text"})
    drain(engine)
    items = [Item("a", {"text": "text"}), Item("b", {"text": "new"}, weight=MAX_BATCH_BYTES)]
    job = submit(engine, items)
    # Of the first nobody needs them.
    execute(engine, "UPDATE batch_body SET body = substring(body FOR length(body) - 20) WHERE job = %s", job.id)
    assert run(engine, claimed(engine)) is WindowOutcome.DONE
    ended = job_of(engine, job)
    assert (ended.state, ended.counters.unchanged, ended.counters.cancelled) == (JobState.FAILED, 1, 1)
    assert "missing or damaged" in str(ended.detail)
    assert rows(engine, "SELECT token FROM lease") == []
    assert_conserved(engine)


def test_another_payload_alone_is_written_without_embedding(engine: Engine, deploy: Deploy, tmp_path: Path) -> None:
    model = deploy()
    submit(engine, [Item("a", {"text": "same", "kind": 1}, {"k": 1})], model=model)
    drain(engine)
    before = documents(engine)["a"]
    job = submit(engine, [Item("a", {"text": "same", "kind": 2, "nothing": None})], model=model)
    drain(engine)
    assert job_of(engine, job).counters.payload_updated == 1
    assert job_of(engine, job).reason is Reason.COMPLETE
    after = documents(engine)["a"]
    assert after["payload"] == {"text": "same", "kind": 2, "nothing": None}
    assert after["item_info"] is None
    assert (after["text"], after["vectors"]) == (before["text"], before["vectors"])
    assert len(embedded_texts(tmp_path)) == 1


def test_another_text_is_embedded(engine: Engine, deploy: Deploy) -> None:
    model = deploy()
    upsert(engine, {"a": "one"}, model=model)
    drain(engine)
    before = documents(engine)["a"]
    job = upsert(engine, {"a": "two"}, model=model)
    drain(engine)
    assert job_of(engine, job).counters.indexed == 1
    assert documents(engine)["a"]["vectors"] != before["vectors"]


def test_counters_tell_chunks_tokens_and_what_was_embedded(engine: Engine) -> None:
    job = upsert(engine, [("a", "one two three"), ("b", "four"), ("c", "four")])
    drain(engine)
    counters = job_of(engine, job).counters
    assert (counters.indexed, counters.chunks, counters.tokens, counters.embedded) == (3, 3, 4, 2)
    totals = engine.ledger.workload.totals()
    assert (totals["windows"], totals["items"], totals["embedded"], totals["tokens"]) == (1, 3, 2, 4)


def test_equal_texts_of_a_window_are_embedded_once_over_its_jobs(
    engine: Engine, deploy: Deploy, tmp_path: Path
) -> None:
    model = deploy()
    for job in range(3):
        upsert(engine, {f"{job}-{n}": f"text {n % 2}" for n in range(10)}, model=model)
    assert drain(engine) == [WindowOutcome.DONE]
    assert len(embedded_texts(tmp_path)) == 2
    assert len(documents(engine)) == 30
    assert rows(engine, "SELECT sum(embedded) AS n FROM job") == [{"n": 2}]


# One item fails alone

BAD: dict[str, tuple[Item, Stage, FailureCode, str]] = {
    "no payload": (Item("bad"), Stage.LOAD, FailureCode.NO_CONTENT, "`payload.text`"),
    "no text": (Item("bad", {"title": "x"}), Stage.LOAD, FailureCode.NO_CONTENT, "found neither"),
    "blank text": (Item("bad", {"text": " \n\t"}), Stage.LOAD, FailureCode.NO_CONTENT, "found neither"),
    "a number": (Item("bad", {"text": 7}), Stage.LOAD, FailureCode.NO_CONTENT, "expected a string to embed, got int 7"),
    "a list": (Item("bad", {"text": ["x"]}), Stage.LOAD, FailureCode.NO_CONTENT, "got list"),
    "NUL in the text": (Item("bad", {"text": "a\0b"}), Stage.WRITE, FailureCode.INVALID_TEXT, "NUL"),
    "NUL in a key": (Item("bad", {"text": "a", "k\0": 1}), Stage.WRITE, FailureCode.INVALID_TEXT, "`payload` holds"),
    "NUL deep down": (
        Item("bad", {"text": "a", "x": [{"y": ["\0"]}]}), Stage.WRITE, FailureCode.INVALID_TEXT, "`payload` holds",
    ),
    "NUL in item_info": (
        Item("bad", {"text": "a"}, {"k": "\0"}), Stage.WRITE, FailureCode.INVALID_TEXT, "`item_info` holds",
    ),
    "NUL in the id": (Item("bad\0", {"text": "a"}), Stage.WRITE, FailureCode.INVALID_TEXT, "`object_id` holds"),
    "a source": (
        Item("bad", {"text": "a"}, {"source": "uri"}), Stage.LOAD, FailureCode.SOURCE_UNAVAILABLE, "expected a string",
    ),
    "too large": (Item("bad", {"text": "x" * 1001}), Stage.EXTRACT, FailureCode.TOO_LARGE, "the allowed 1000 bytes"),
    "too large in bytes": (Item("bad", {"text": "ü" * 501}), Stage.EXTRACT, FailureCode.TOO_LARGE, "1000 bytes"),
    "refused by the model": (
        Item("bad", {"text": "please refuse"}), Stage.EMBED, FailureCode.MODEL_REJECTED, "was told to refuse this text",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_one_bad_item_among_16_leaves_the_other_15_and_its_own_past(engine: Engine, deploy: Deploy, kind: str) -> None:
    bad, stage, code, words = BAD[kind]
    model = deploy(fail_on=["refuse"])
    upsert(engine, {"bad": "what was there before"}, model=model)
    drain(engine)
    before = documents(engine)["bad"]
    items = items_of({f"d{n}": f"text {n}" for n in range(15)})
    job = submit(engine, [*items[:7], bad, *items[7:]], model=model)

    drain(engine, runner_of(engine, max_text_bytes=1000))

    done = job_of(engine, job)
    assert (done.state, done.reason) == (JobState.SUCCEEDED, Reason.WITH_FAILURES)
    assert (done.counters.indexed, done.counters.failed) == (15, 1)
    assert set(documents(engine)) == {"bad", *(f"d{n}" for n in range(15))}
    assert documents(engine)["bad"] == before
    failure = failures(engine, job)[bad.object_id.replace("\0", "\\u0000")]
    assert (failure.position, failure.stage, failure.code, failure.retryable) == (7, stage, code, False)
    assert words in failure.sentence
    assert "Traceback" not in failure.sentence
    assert (failure.payload, failure.item_info) == (bad.payload, bad.item_info)
    assert_conserved(engine)


@pytest.mark.parametrize("text", ["x" * 1000, "ü" * 500])
def test_a_text_of_just_the_allowed_size_is_indexed(engine: Engine, text: str) -> None:
    upsert(engine, {"a": text})
    drain(engine, runner_of(engine, max_text_bytes=1000))
    assert documents(engine)["a"]["text"] == text


def test_an_escaped_backslash_before_u0000_is_no_nul(engine: Engine) -> None:
    payload = {"text": "\\u0000", "x": ["\\u0000"]}
    submit(engine, [Item("a", payload)])
    drain(engine)
    assert documents(engine)["a"]["payload"] == payload


def test_a_long_id_is_a_document_like_any_other(engine: Engine) -> None:
    """512 characters of four bytes each: what a front door accepts at most."""
    name = "\U0001f642" * 512
    job = upsert(engine, {name: "text"})
    drain(engine)
    assert job_of(engine, job).counters.indexed == 1
    assert set(documents(engine)) == {name}


@pytest.mark.parametrize(
    "name", ["'; DROP TABLE document; --", '"', "%s %(x)s", "{table}", "\\", "a\tb\nc", "ü…\U0001f642", " "]
)
def test_an_id_is_a_value_whatever_it_looks_like(engine: Engine, name: str) -> None:
    upsert(engine, {name: "text"})
    drain(engine)
    assert [hit.document_id for hit in engine.search("tiny", text="text")] == [name]
    delete(engine, [name])
    drain(engine)
    assert engine.search("tiny", text="text") == []


def test_several_text_keys_are_joined_by_a_line_break(engine: Engine, deploy: Deploy) -> None:
    model = deploy(text_keys=["title", "body"])
    payloads: dict[str, dict[str, Any]] = {
        "both": {"body": "B", "title": "T"},
        "one": {"body": "B"},
        "null": {"title": None, "body": "B"},
        "empty": {"title": "", "body": "B"},
        "neither": {"text": "x"},
        "wrong": {"title": 1, "body": "B"},
    }
    job = submit(engine, [Item(name, payload) for name, payload in payloads.items()], model=model)
    drain(engine)
    texts = {name: row["text"] for name, row in documents(engine).items()}
    assert texts == {"both": "T\nB", "one": "B", "null": "B", "empty": "B"}
    failed = failures(engine, job)
    assert "`payload.title` or `payload.body`" in failed["neither"].sentence
    assert "`payload.title`: expected a string" in failed["wrong"].sentence


def test_item_info_without_a_source_is_stored(engine: Engine) -> None:
    submit(engine, [Item("a", {"text": "t"}, {"lang": "de"})])
    drain(engine)
    assert documents(engine)["a"]["item_info"] == {"lang": "de"}


def test_a_task_whose_every_item_fails_is_failed(engine: Engine) -> None:
    job = upsert(engine, {"a": " ", "b": " "})
    drain(engine)
    assert (job_of(engine, job).state, job_of(engine, job).reason) == (JobState.FAILED, Reason.BY_ITEMS)


# The model's answers


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], list[float]]], None]:
    """Put what the model answers for a text in the place of its hash."""

    def answer_with(vector: Callable[[str], list[float]]) -> None:
        monkeypatch.setattr(deterministic, "_vector", lambda text, dimension: np.array(vector(text), dtype=np.float32))

    return answer_with


@pytest.mark.parametrize("number", [0.0, float("nan"), float("inf"), -float("inf"), 3e38])
def test_a_vector_that_is_no_direction_fails_alone(engine: Engine, answers: Any, number: float) -> None:
    answers(lambda text: [number] * 8 if text == "odd" else [1.0] * 8)
    job = upsert(engine, {"a": "fine", "b": "odd", "c": "odd", "d": "fine too"})
    drain(engine)
    if number == 3e38:
        # Finite, and its direction can be told although its length overflows single precision.
        assert job_of(engine, job).counters.indexed == 4
        return
    assert {failure.code for failure in failures(engine, job).values()} == {FailureCode.INVALID_VECTOR}
    assert set(failures(engine, job)) == {"b", "c"}
    assert set(documents(engine)) == {"a", "d"}


def test_vectors_are_stored_at_unit_length(engine: Engine, answers: Any) -> None:
    answers(lambda text: [3.0, 4.0, 0, 0, 0, 0, 0, 0])
    upsert(engine, {"a": "one"})
    drain(engine)
    assert documents(engine)["a"]["vectors"] == ["[0.6,0.8,0,0,0,0,0,0]"]


def test_a_model_that_answers_with_another_shape_stops_its_lane(engine: Engine, answers: Any) -> None:
    job = upsert(engine, {"a": "one"})
    model = engine.models.get(engine.deployments()[0])
    object.__setattr__(model, "embed", lambda texts: Embeddings(np.ones((1, 7), np.float32), np.ones(1, np.uint32)))
    claim = claimed(engine)
    assert run(engine, claim) is WindowOutcome.STOPPED
    assert job_of(engine, job).state is JobState.RUNNING


# Embedding in sub-batches


def test_sub_batches_are_sorted_by_length_and_bounded(
    engine: Engine, deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = deploy()
    sizes: list[list[int]] = []
    original = deterministic.DeterministicModel.embed

    def noting(self: Any, texts: list[str]) -> Embeddings:
        sizes.append([len(text) for text in texts])
        return original(self, texts)

    monkeypatch.setattr(deterministic.DeterministicModel, "embed", noting)
    upsert(engine, {f"d{n}": "x" * (1 + (n * 37) % 199) for n in range(199)}, model=model)
    drain(engine)
    assert [len(each) for each in sizes] == [64, 64, 64, 7]
    assert [size for each in sizes for size in each] == list(range(1, 200))
    assert embed.SUB_BATCH == 64
