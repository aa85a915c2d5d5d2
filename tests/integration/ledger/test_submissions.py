"""Submissions: one job an external id, streamed ones invisible until they are whole, nothing left of broken ones."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest

from indexmill.domain.job import Item, JobFilter, JobKind, Submission, Submitted
from indexmill.domain.job_state import JobState, Reason
from indexmill.engine import Engine
from indexmill.errors import InvalidRequest, JobExists, JobNotFound, ModelNotFound
from tests.draining import (
    alter_query,
    assert_conserved,
    claim_next,
    delete,
    documents,
    drain,
    execute,
    items_of,
    job_of,
    rows,
    submit,
    upsert,
)

#: More batches than one transaction stores.
MANY = 33 * 256 + 7
#: So many that the first ones are stored while the rest are still being read: two groups are read ahead.
STREAMED = 66 * 256


def tables(engine: Engine) -> dict[str, int]:
    names = ("job", "batch", "batch_body", "job_event")
    return {name: rows(engine, f"SELECT count(*) AS n FROM {name}")[0]["n"] for name in names}  # noqa: S608


def many(count: int = MANY) -> Iterator[Item]:
    return (Item(f"d{n}", {"text": f"text {n % 50}"}) for n in range(count))


# One job an external id


def test_the_same_request_again_gives_the_same_job(engine: Engine) -> None:
    first = engine.submit(Submission(JobKind.UPSERTION, "tiny", items_of({"a": "one"}), "mine"))
    drain(engine)
    again = engine.submit(Submission(JobKind.UPSERTION, "tiny", items_of({"a": "one"}), "mine"))
    assert (first.created, again.created) == (True, False)
    assert again.job == job_of(engine, first.job)
    assert again.job.state is JobState.SUCCEEDED
    assert tables(engine)["job"] == 1


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(items_of({"a": "other"}), id="another text"),
        pytest.param(items_of({"b": "one"}), id="another id"),
        pytest.param(items_of([("a", "one"), ("a", "one")]), id="more items"),
        pytest.param([], id="no items"),
        pytest.param([Item("a", {"text": "one"}, {})], id="an item_info"),
        pytest.param([Item("a", {"text": "one", "x": None})], id="a null"),
    ],
)
def test_another_request_under_the_same_id_is_refused(engine: Engine, other: list[Item]) -> None:
    upsert(engine, {"a": "one"}, external_id="mine")
    before = tables(engine)
    with pytest.raises(JobExists, match="`mine` already exists with different items"):
        submit(engine, other, external_id="mine")
    assert tables(engine) == before


def test_another_model_under_the_same_id_is_refused(engine: Engine) -> None:
    engine.deploy("second", "deterministic", {"dimension": 8})
    upsert(engine, {"a": "one"}, external_id="mine")
    with pytest.raises(JobExists):
        upsert(engine, {"a": "one"}, external_id="mine", model="second")


def test_keys_in_another_order_are_the_same_request(engine: Engine) -> None:
    submit(engine, [Item("a", {"text": "one", "kind": 1})], external_id="mine")
    again = engine.submit(Submission(JobKind.UPSERTION, "tiny", [Item("a", {"kind": 1, "text": "one"})], "mine"))
    assert again.created is False


def test_ids_are_apart_by_kind(engine: Engine) -> None:
    upserted = upsert(engine, {"a": "one"}, external_id="mine")
    deleted = delete(engine, ["a"], external_id="mine")
    assert upserted.id != deleted.id
    assert engine.find("mine", JobKind.UPSERTION).id == upserted.id
    assert engine.find("mine", JobKind.DELETION).id == deleted.id


def test_without_an_id_every_request_is_a_job(engine: Engine) -> None:
    assert upsert(engine, {"a": "one"}).id != upsert(engine, {"a": "one"}).id


def submit_from_50_threads(engine: Engine, count: int) -> tuple[list[Submitted], list[Exception]]:
    start = threading.Barrier(50)
    submitted: list[Submitted] = []
    errors: list[Exception] = []

    def work() -> None:
        start.wait(timeout=30)
        try:
            submitted.append(engine.submit(Submission(JobKind.UPSERTION, "tiny", many(count), "mine")))
        except Exception as error:  # noqa: BLE001 - the test wants to see whatever came
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return submitted, errors


def test_the_same_request_from_50_threads_is_one_job(engine: Engine) -> None:
    submitted, errors = submit_from_50_threads(engine, 3)
    assert errors == []
    assert len({each.job.id for each in submitted}) == 1
    assert sum(each.created for each in submitted) == 1
    assert tables(engine) == {"job": 1, "batch": 1, "batch_body": 1, "job_event": 1}


def test_without_the_unique_index_50_threads_would_be_seen_to_make_more(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a check by query before the insert would."""
    execute(engine, "DROP INDEX job_external_id")
    alter_query(
        monkeypatch,
        "submit_jobs",
        "ON CONFLICT (tenant, kind, external_id) WHERE external_id IS NOT NULL DO NOTHING",
        "",
    )
    with pytest.raises(AssertionError):
        test_the_same_request_from_50_threads_is_one_job(engine)


# What creates nothing, and what is done at once


def test_an_unknown_model_creates_nothing_and_is_answered_with_the_known_ones(engine: Engine) -> None:
    for count in (0, 1, MANY):
        with pytest.raises(ModelNotFound, match=r"`huge` is not deployed; deployed models: `tiny`"):
            submit(engine, many(count), model="huge")
    assert set(tables(engine).values()) == {0}


def test_a_withdrawn_model_creates_nothing(engine: Engine) -> None:
    engine.withdraw("tiny")
    with pytest.raises(ModelNotFound, match="deployed models: none"):
        upsert(engine, {"a": "one"})


def test_a_request_without_items_is_done_at_once(engine: Engine) -> None:
    job = submit(engine, [], external_id="empty")
    assert (job.state, job.reason, job.total_items, job.progress) == (
        JobState.SUCCEEDED, Reason.NOTHING_CHANGED, 0, 1.0,
    )  # fmt: skip
    assert [event.state for event in engine.events(job)] == [JobState.QUEUED, JobState.SUCCEEDED]
    again = engine.submit(Submission(JobKind.UPSERTION, "tiny", [], "empty"))
    assert (again.created, again.job.id) == (False, job.id)


def test_an_empty_task_whose_answer_was_cut_off_is_finished_by_the_sweep(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(engine.ledger.transitions), "finish", lambda self, ids: [])
    job = submit(engine, [])
    monkeypatch.undo()
    assert job.state is JobState.QUEUED
    assert engine.ledger.transitions.finish(engine.ledger.workload.finishable_jobs()[0]) == [job.id]


@pytest.mark.parametrize(
    "value", ["\ud800", float("nan"), float("inf"), {1, 2}, 10**5000], ids=["surrogate", "nan", "inf", "set", "huge"]
)
def test_what_json_cannot_hold_is_refused_whole(engine: Engine, value: object) -> None:
    with pytest.raises(InvalidRequest, match="expected values that JSON can hold"):
        submit(engine, [Item("a", {"text": "fine"}), Item("b", {"x": value})])
    assert set(tables(engine).values()) == {0}


@pytest.mark.parametrize("model", ["embed-123", "6f1c…", "ünï.cødé", "a'b\"c; DROP TABLE job; --", "%s %(x)s {table}"])
def test_model_and_task_ids_are_values_never_sql(engine: Engine, model: str) -> None:
    engine.deploy(model, "deterministic", {"dimension": 3})
    job = upsert(engine, {model: "text"}, model=model, external_id=model)
    drain(engine)
    assert engine.find(model).id == job.id
    assert job_of(engine, job).counters.indexed == 1
    assert engine.search(model, text="text")[0].document_id == model


# Streamed requests


def test_a_large_request_is_stored_whole_in_order(engine: Engine) -> None:
    job = submit(engine, many(), external_id="large")
    assert (job.state, job.total_items, job.external_id) == (JobState.QUEUED, MANY, "large")
    batches = rows(engine, "SELECT ordinal, first_position, items, rank FROM batch ORDER BY ordinal")
    assert [row["ordinal"] for row in batches] == list(range(34))
    assert [row["first_position"] for row in batches] == [256 * n for n in range(34)]
    assert sum(row["items"] for row in batches) == MANY
    assert {(after["rank"] - before["rank"]).total_seconds() for before, after in itertools.pairwise(batches)} == {30}
    drain(engine)
    assert job_of(engine, job).counters.indexed == MANY
    assert_conserved(engine)


def test_a_large_request_is_neither_seen_nor_claimed_before_it_is_whole(engine: Engine) -> None:
    looked: list[dict[str, int]] = []

    def items() -> Iterator[Item]:
        for number, item in enumerate(many(STREAMED)):
            if number == STREAMED - 1:
                looked.append(tables(engine))
                assert engine.list_jobs(JobFilter(), limit=10).jobs == []
                assert claim_next(engine) is None
                assert engine.ledger.workload.ready().batches == 0
                assert engine.ledger.workload.wake_waiting() == 0
                assert engine.ledger.workload.finishable_jobs()[0] == []
                with pytest.raises(JobNotFound):
                    engine.find("large")
                with pytest.raises(JobNotFound):
                    engine.find(str(rows(engine, "SELECT id FROM job")[0]["id"]))
            yield item

    submit(engine, items(), external_id="large")
    assert looked == [{"job": 1, "batch": 64, "batch_body": 64, "job_event": 0}]


def test_a_large_job_takes_its_place_in_the_order_when_it_is_whole(engine: Engine) -> None:
    between: list[int] = []

    def items() -> Iterator[Item]:
        for number, item in enumerate(many(STREAMED)):
            if number == STREAMED - 1:
                between.append(seq_of(engine, upsert(engine, {"d0": "between"}).id))
            yield item

    job = submit(engine, items())
    assert between
    assert seq_of(engine, job.id) > between[0]
    drain(engine)
    assert documents(engine)["d0"]["text"] == "text 0"


def seq_of(engine: Engine, job_id: object) -> int:
    return int(rows(engine, "SELECT seq FROM job WHERE id = %s", job_id)[0]["seq"])


class ClientWentAway(BaseException):
    """As a cancelled request does."""


@pytest.mark.parametrize("error", [ValueError, ClientWentAway])
@pytest.mark.parametrize("after", [100, STREAMED - 1])
def test_a_request_that_breaks_off_leaves_nothing(engine: Engine, error: type[BaseException], after: int) -> None:
    def items() -> Iterator[Item]:
        for number, item in enumerate(many(STREAMED)):
            if number == after:
                raise error("the connection is gone")
            yield item

    with pytest.raises(error):
        submit(engine, items(), external_id="broken")
    assert set(tables(engine).values()) == {0}
    assert upsert(engine, {"a": "one"}, external_id="broken").state is JobState.QUEUED


def test_a_large_request_that_was_sent_before_gives_the_same_job_and_drops_its_staging(engine: Engine) -> None:
    first = submit(engine, many(), external_id="large")
    before = tables(engine)
    again = engine.submit(Submission(JobKind.UPSERTION, "tiny", many(), "large"))
    assert (again.created, again.job.id) == (False, first.id)
    assert tables(engine) == before


def test_a_large_request_under_a_taken_id_is_refused_and_drops_its_staging(engine: Engine) -> None:
    upsert(engine, {"a": "one"}, external_id="large")
    before = tables(engine)
    with pytest.raises(JobExists):
        submit(engine, many(), external_id="large")
    assert tables(engine) == before


def test_large_and_small_requests_have_the_same_fingerprint(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """How a request is stored does not decide whether it is the same."""
    from indexmill.ledger import submissions

    submit(engine, many(600), external_id="mine")
    monkeypatch.setattr(submissions, "_BATCHES_AT_ONCE", 1)
    again = engine.submit(Submission(JobKind.UPSERTION, "tiny", many(600), "mine"))
    assert again.created is False


def test_a_model_withdrawn_during_a_large_request_refuses_the_job_at_the_next_sweep(engine: Engine) -> None:
    def items() -> Iterator[Item]:
        for number, item in enumerate(many(STREAMED)):
            if number == STREAMED - 1:
                engine.withdraw("tiny")
            yield item

    job = submit(engine, items())
    engine.ledger.withdrawal.end_jobs()
    assert job_of(engine, job).state is JobState.REFUSED
    assert job_of(engine, job).counters.cancelled == STREAMED
    assert_conserved(engine)


def test_a_group_of_which_none_can_be_stored_asks_the_database_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise AssertionError("there was nothing to store")

    monkeypatch.setattr(engine.ledger.database, "connection", refuse)
    wrong = Submission(JobKind.UPSERTION, "tiny", [Item("\ud800")])
    results = engine.submit_together([wrong, wrong])
    assert [type(each) for each in results] == [InvalidRequest, InvalidRequest]
    assert engine.submit_together([]) == []
