"""What PostgreSQL refuses fails alone: its neighbours in the batch and in the window are written."""

from __future__ import annotations

import random
from typing import Any

import pytest

from indexmill.domain.bodies import MAX_DEPTH
from indexmill.domain.failure import Failure, FailureCode, Stage
from indexmill.domain.job import Item
from indexmill.domain.job_state import JobState
from indexmill.engine import Engine
from indexmill.errors import InvalidRequest
from indexmill.pipeline import load, write
from tests.draining import assert_conserved, delete, documents, drain, items_of, job_of, rows, submit, upsert


def failures(engine: Engine, job: Any) -> list[Failure]:
    return engine.failed_items(job_of(engine, job), limit=1000)


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader checks nothing, so that the store is the first to refuse."""
    monkeypatch.setattr(load, "_holds_nul", lambda value: False)
    monkeypatch.setattr(load, "check_id", lambda item: None)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("place", [0, 7, 15])
def test_one_refused_item_of_16_leaves_the_other_15_written(engine: Engine, place: int) -> None:
    items = items_of({f"d{n:02}": f"text {n}" for n in range(16)})
    items[place] = Item(f"d{place:02}", {"text": "fine", "note": "a\0b"})
    job = submit(engine, items)

    drain(engine)

    done = job_of(engine, job)
    assert (done.state, done.counters.indexed, done.counters.failed) == (JobState.SUCCEEDED, 15, 1)
    assert set(documents(engine)) == {f"d{n:02}" for n in range(16) if n != place}
    failure = failures(engine, job)[0]
    assert (failure.position, failure.stage, failure.code) == (place, Stage.WRITE, FailureCode.STORE_REJECTED)
    assert failure.retryable is False
    assert "database cannot store" in failure.sentence
    assert "Traceback" not in failure.sentence
    assert_conserved(engine)


@pytest.mark.usefixtures("unchecked")
def test_several_refused_items_in_several_batches_of_a_window_fail_alone(engine: Engine) -> None:
    refused = {"j0-d3", "j1-d0", "j1-d9", "j2-d5"}
    jobs = []
    for number in range(4):
        texts = {f"j{number}-d{n}": f"text {n}" for n in range(10)}
        items = [Item(name, {"text": text, "x": "\0" if name in refused else ""}) for name, text in texts.items()]
        jobs.append(submit(engine, items))

    assert len(drain(engine)) == 1

    assert {failure.object_id for job in jobs for failure in failures(engine, job)} == refused
    assert len(documents(engine)) == 36
    assert_conserved(engine)


@pytest.mark.usefixtures("unchecked")
def test_a_refused_item_leaves_the_document_s_previous_vectors(engine: Engine) -> None:
    upsert(engine, {"a": "old"})
    drain(engine)
    before = documents(engine)
    submit(engine, [Item("a", {"text": "new", "x": "\0"}), Item("b", {"text": "fine"})])
    drain(engine)
    after = documents(engine)
    assert after["a"] == before["a"]
    assert set(after) == {"a", "b"}


@pytest.mark.usefixtures("unchecked")
def test_a_refused_winner_gives_the_document_to_the_item_before_it(engine: Engine) -> None:
    """The same document twice in a window: decided among the items that can be written."""
    job = submit(engine, [Item("a", {"text": "first"}), Item("a", {"text": "second", "x": "\0"})])
    drain(engine)
    assert documents(engine)["a"]["text"] == "first"
    counters = job_of(engine, job).counters
    assert (counters.indexed, counters.failed, counters.superseded) == (1, 1, 0)


@pytest.mark.usefixtures("unchecked")
def test_a_delete_of_an_id_that_the_store_refuses_fails_alone(engine: Engine) -> None:
    upsert(engine, {"a": "one", "b": "two"})
    drain(engine)
    job = delete(engine, ["a", "nul\0", "b", "absent"])
    drain(engine)
    counters = job_of(engine, job).counters
    assert (counters.removed, counters.absent, counters.failed) == (2, 1, 1)
    assert documents(engine) == {}
    assert_conserved(engine)


def test_without_the_halving_the_neighbours_would_be_lost(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, unchecked: None
) -> None:
    def fail_all(writer: write.WindowWriter, items: list[Any]) -> None:
        for item in items:
            item.fail(Stage.WRITE, FailureCode.STORE_REJECTED, "database cannot store", retryable=False)

    monkeypatch.setattr(write.WindowWriter, "_fail_rejected", fail_all)
    with pytest.raises(AssertionError):
        test_one_refused_item_of_16_leaves_the_other_15_written(engine, 7)


def test_a_trial_leaves_nothing_behind(engine: Engine, unchecked: None) -> None:
    """The halving writes and rolls back; the versions of the neighbours are written once."""
    submit(engine, [Item("a", {"text": "one"}), Item("b", {"text": "two", "x": "\0"}), Item("c", {"text": "three"})])
    drain(engine)
    assert rows(engine, "SELECT previous_chunks FROM document") == [{"previous_chunks": 0}] * 2


@pytest.mark.parametrize("length", [3000, 100_000])
def test_an_id_that_no_index_can_hold_fails_alone(engine: Engine, length: int) -> None:
    """PostgreSQL answers with SQLSTATE 54000, which is neither a data nor an integrity error."""
    generator = random.Random(7)
    too_long = "".join(chr(generator.randrange(0x4E00, 0x9FFF)) for _ in range(length))
    job = submit(engine, [Item("a", {"text": "one"}), Item(too_long, {"text": "two"}), Item("b", {"text": "three"})])
    drain(engine)
    assert set(documents(engine)) == {"a", "b"}
    assert job_of(engine, job).counters.failed == 1
    assert_conserved(engine)


def _nested(depth: int, leaf: str) -> Any:
    value: Any = leaf
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("leaf", ["plain", "nul\0"])
def test_a_payload_as_deep_as_allowed_leaves_its_neighbour_alone(engine: Engine, leaf: str) -> None:
    deep = {"text": "two", "x": _nested(MAX_DEPTH - 1, leaf)}
    job = submit(engine, [Item("a", {"text": "one"}), Item("deep", deep)])
    drain(engine)
    assert "a" in documents(engine)
    assert job_of(engine, job).counters.failed == ("\0" in leaf)
    assert_conserved(engine)


@pytest.mark.parametrize("depth", [MAX_DEPTH, 900, 100_000])
def test_a_deeper_payload_is_refused_at_once(engine: Engine, depth: int) -> None:
    with pytest.raises(InvalidRequest, match=r"levels of nesting|JSON can hold"):
        submit(engine, [Item("a", {"text": "one"}), Item("deep", {"text": "two", "x": _nested(depth, "leaf")})])
