"""Retention: each rule deletes what it says and nothing that is still needed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from indexmill.corpora import Corpora
from indexmill.domain.corpus import DocumentPart, NewDocument
from indexmill.domain.filter_attributes import AttributeLevel, AttributeType, FilterAttribute
from indexmill.domain.job import Item, Job, JobFilter
from indexmill.domain.job_state import JobState
from indexmill.engine import Engine
from indexmill.vectors.chunk_tables import drop_retired
from tests.draining import (
    alter_query,
    claim_next,
    delete,
    documents,
    drain,
    execute,
    job_of,
    rows,
    run,
    submit,
    upsert,
)


def count(engine: Engine, table: str) -> int:
    return int(rows(engine, f"SELECT count(*) AS n FROM {table}")[0]["n"])  # noqa: S608


def age(engine: Engine, days: float) -> None:
    """As if everything that has ended had ended so many days earlier."""
    past = timedelta(days=days)
    execute(engine, "UPDATE job SET finished_at = finished_at - %s WHERE finished_at IS NOT NULL", past)
    execute(engine, "UPDATE document SET deleted_at = deleted_at - %s WHERE deleted_at IS NOT NULL", past)


# Bodies and jobs


def test_bodies_go_7_days_after_the_end_and_the_job_stays(engine: Engine) -> None:
    job = upsert(engine, {"a": "one", "b": " "})
    drain(engine)
    unfinished = upsert(engine, {"c": "three"})
    age(engine, 6.9)
    assert engine.ledger.retention.prune()["prune_bodies"] == 0
    age(engine, 0.2)
    assert engine.ledger.retention.prune()["prune_bodies"] == 1
    assert rows(engine, "SELECT job FROM batch_body") == [{"job": unfinished.id}]
    assert job_of(engine, job).counters.indexed == 1
    assert len(engine.failed_items(job, limit=10)) == 1
    assert engine.ledger.retention.prune()["prune_bodies"] == 0


def test_the_bodies_of_a_job_that_runs_again_stay(engine: Engine) -> None:
    job = upsert(engine, {"a": "one"})
    drain(engine)
    age(engine, 8)
    engine.rerun(job_of(engine, job))
    engine.ledger.retention.prune()
    drain(engine)
    assert job_of(engine, job).state is JobState.SUCCEEDED


def test_jobs_go_180_days_after_the_end_and_vectors_stay(engine: Engine) -> None:
    upsert(engine, {"a": "one", "b": " "}, external_id="old")
    drain(engine)
    open_job = upsert(engine, {"c": "three"})
    age(engine, 179)
    assert engine.ledger.retention.prune()["prune_jobs"] == 0
    age(engine, 2)
    assert engine.ledger.retention.prune()["prune_jobs"] == 1
    assert [row["id"] for row in rows(engine, "SELECT id FROM job")] == [open_job.id]
    assert (count(engine, "batch"), count(engine, "failed_item"), count(engine, "job_event")) == (1, 0, 1)
    assert set(documents(engine)) == {"a"}
    assert upsert(engine, {"other": "text"}, external_id="old").state is JobState.QUEUED


def test_finished_jobs_are_deleted_by_filter(engine: Engine) -> None:
    failed = upsert(engine, {"b": " "})
    succeeded = upsert(engine, {"a": "one"})
    drain(engine)
    open_job = upsert(engine, {"c": "three"})
    assert engine.delete_finished(JobFilter(states=(JobState.FAILED,))) == 1
    left = {row["id"] for row in rows(engine, "SELECT id FROM job")}
    assert left == {succeeded.id, open_job.id}
    assert failed.id not in left
    assert engine.delete_finished(JobFilter(collection="none")) == 0
    assert engine.delete_finished(JobFilter()) == 1
    assert rows(engine, "SELECT id FROM job") == [{"id": open_job.id}]
    assert set(documents(engine)) == {"a"}


def test_more_finished_jobs_than_one_statement_deletes_all_go(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    from indexmill.ledger import retention

    monkeypatch.setattr(retention, "_AT_ONCE", 3)
    for _ in range(8):
        submit(engine, [])
    assert engine.delete_finished(JobFilter()) == 8


# Uploads


def test_an_abandoned_upload_goes_an_hour_after_its_last_sign_of_life(engine: Engine) -> None:
    stopped_in_the_middle(engine)
    execute(engine, "UPDATE job SET created_at = now() - interval '1 day', updated_at = now() - interval '50 minutes'")
    assert engine.ledger.retention.prune()["prune_receiving_jobs"] == 0
    execute(engine, "UPDATE job SET updated_at = now() - interval '70 minutes'")
    assert engine.ledger.retention.prune()["prune_receiving_jobs"] == 1
    assert (count(engine, "job"), count(engine, "batch"), count(engine, "batch_body")) == (0, 0, 0)


def stopped_in_the_middle(engine: Engine) -> None:
    """The process that was receiving died: its staging is left behind."""
    job = upsert(engine, {"a": "one"})
    execute(
        engine,
        "UPDATE job SET state = 'receiving', seq = NULL, external_id = NULL, queued_at = NULL WHERE id = %s",
        job.id,
    )
    execute(engine, "UPDATE batch SET state = 'waiting', rank = 'infinity', available_at = 'infinity'")


def test_an_upload_that_outlives_its_own_pruning_leaves_no_job(engine: Engine) -> None:
    """Slow for more than an hour without a batch: what comes after finds no job in `receiving`."""
    items = iter(Item(f"d{n}", {"text": "text"}) for n in range(66 * 256))

    def slow() -> object:
        for number, item in enumerate(items):
            if number == 66 * 256 - 1:
                execute(engine, "UPDATE job SET updated_at = now() - interval '2 hours'")
                assert engine.ledger.retention.prune()["prune_receiving_jobs"] == 1
            yield item

    with pytest.raises(Exception, match="send the request again"):
        submit(engine, slow())  # type: ignore[arg-type]
    assert count(engine, "job") == 0


# Collections and models


def test_deleted_collections_and_withdrawn_models_go_when_nothing_names_them_any_more(engine: Engine) -> None:
    corpora = Corpora(engine, "tiny", "whole")
    for key in ("gone", "stays"):
        corpora.create(key, key, "", [FilterAttribute("year", AttributeLevel.DOCUMENT, AttributeType.INTEGER)])
        corpora.submit(key, NewDocument("d", (DocumentPart("one"),), {}))
    drain(engine)
    corpora.delete("gone")
    engine.withdraw("tiny")

    def pruned() -> tuple[int, int]:
        found = engine.ledger.retention.prune()
        return found["prune_collections"], found["prune_models"]

    execute(engine, "UPDATE collection SET deleted_at = deleted_at - interval '181 days'")
    execute(engine, "UPDATE model SET withdrawn_at = withdrawn_at - interval '181 days'")
    # Its jobs are there, and then its tables, which only a collection's row leads to.
    assert pruned() == (0, 0)
    age(engine, 181)
    assert pruned() == (0, 0)
    assert count(engine, "job") == 0
    drop_retired(engine.ledger.database, 60)
    assert pruned() == (0, 0)
    assert len(engine.vectors.attribute_sets.drop_abandoned(60)) == 1
    assert pruned() == (1, 0)
    assert [each.key for each in corpora.page(10)] == ["tiny", "stays"]
    assert (count(engine, "collection"), count(engine, "corpus"), count(engine, "model")) == (2, 1, 1)
    corpora.delete("stays")
    # The model's own.
    corpora.delete("tiny")
    execute(engine, "UPDATE collection SET deleted_at = deleted_at - interval '181 days'")
    drop_retired(engine.ledger.database, 60)
    engine.vectors.attribute_sets.drop_abandoned(60)
    lanes = count(engine, "lane")
    assert pruned() == (2, 1)
    assert (count(engine, "collection"), count(engine, "model"), count(engine, "lane")) == (0, 0, lanes - 1)
    # The id may stand for something else now.
    assert engine.deploy("tiny", "deterministic", {"dimension": 3})[0].dimension == 3


# Tombstones


def tombstones(engine: Engine) -> int:
    return int(rows(engine, "SELECT count(*) AS n FROM document WHERE deleted_at IS NOT NULL")[0]["n"])


def unfinished(engine: Engine) -> Job:
    return upsert(engine, {"a": "older"})


def waiting(engine: Engine) -> Job:
    job = upsert(engine, {"a": "older"})
    claim = claim_next(engine)
    assert claim is not None
    engine.ledger.batches.defer(claim.token, 1e6, "later")
    return job


def failed(engine: Engine) -> Job:
    job = upsert(engine, {"a": "older", "b": " "})
    drain(engine)
    return job


def cancelled(engine: Engine) -> Job:
    job = upsert(engine, {"a": "older"})
    engine.cancel(job)
    return job


@pytest.mark.parametrize("older", [unfinished, waiting, failed, cancelled])
def test_a_tombstone_stays_while_an_older_job_could_bring_the_document_back(
    engine: Engine, older: Callable[[Engine], Job]
) -> None:
    job = older(engine)
    delete(engine, ["a"])
    claim = engine.ledger.claims.claim("delete", "test/deletes", 1 << 30)
    assert claim is not None
    run(engine, claim)
    age(engine, 2)
    assert engine.ledger.retention.prune()["prune_tombstones"] == 0
    engine.retry(job_of(engine, job))
    execute(engine, "UPDATE batch SET available_at = now() WHERE state = 'waiting'")
    engine.ledger.workload.wake_waiting()
    drain(engine)
    assert "a" not in documents(engine)


def test_a_tombstone_goes_when_nothing_older_can_run_any_more(engine: Engine) -> None:
    job = failed(engine)
    delete(engine, ["a"])
    drain(engine)
    age(engine, 7.1)
    # Its bodies go in the same round, before.
    pruned = engine.ledger.retention.prune()
    assert (pruned["prune_bodies"], pruned["prune_tombstones"]) == (2, 1)
    assert tombstones(engine) == 0
    assert job_of(engine, job).counters.failed == 1


def test_a_tombstone_is_kept_for_a_day(engine: Engine) -> None:
    delete(engine, ["a", "b"])
    drain(engine)
    upsert(engine, {"newer": " "})
    age(engine, 0.9)
    assert engine.ledger.retention.prune()["prune_tombstones"] == 0
    age(engine, 0.2)
    assert engine.ledger.retention.prune()["prune_tombstones"] == 2


def test_a_pruning_that_forgot_the_older_jobs_would_be_caught(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    alter_query(monkeypatch, "prune_tombstones", "j.seq < d.seq", "false")
    with pytest.raises(AssertionError):
        test_a_tombstone_stays_while_an_older_job_could_bring_the_document_back(engine, unfinished)


def test_a_living_document_is_never_pruned(engine: Engine) -> None:
    upsert(engine, {"a": "one"})
    drain(engine)
    execute(engine, "UPDATE document SET updated_at = now() - interval '5 years'")
    age(engine, 365)
    engine.ledger.retention.prune()
    assert set(documents(engine)) == {"a"}


# Transactions that must not happen twice


def test_an_idempotency_key_is_kept_as_long_as_its_commit_may_be_in_doubt(engine: Engine) -> None:
    for number in range(2):
        engine.ledger.database.once(lambda connection: connection.execute("SELECT 1"))
        if number == 0:
            execute(engine, "UPDATE idempotency_key SET created_at = now() - interval '61 minutes'")
    assert engine.ledger.retention.prune()["prune_idempotency_keys"] == 1
    assert len(rows(engine, "SELECT id FROM idempotency_key WHERE created_at > now() - interval '1 minute'")) == 1


# Workers


def test_a_worker_that_is_silent_for_an_hour_is_forgotten(engine: Engine) -> None:
    engine.ledger.workload.report("silent", 2)
    engine.ledger.workload.report("here", 2)
    execute(engine, "UPDATE worker SET seen_at = now() - interval '61 minutes' WHERE id = 'silent'")
    assert engine.ledger.retention.prune()["prune_workers"] == 1
    assert rows(engine, "SELECT id FROM worker") == [{"id": "here"}]


def test_the_totals_of_processes_that_are_gone_are_folded_and_nothing_is_lost(engine: Engine) -> None:
    for _ in range(3):
        upsert(engine, {"a": "one", "b": "two"})
        drain(engine)
    before = engine.ledger.workload.totals()
    execute(engine, "UPDATE pipeline_total SET updated_at = now() - interval '2 hours'")
    engine.ledger.retention.prune()
    assert rows(engine, "SELECT worker FROM pipeline_total") == [{"worker": "earlier"}]
    upsert(engine, {"c": "three"})
    drain(engine)
    execute(engine, "UPDATE pipeline_total SET updated_at = now() - interval '2 hours'")
    engine.ledger.retention.prune()
    engine.ledger.retention.prune()
    after = engine.ledger.workload.totals()
    assert (after["items"], after["windows"]) == (before["items"] + 1, before["windows"] + 1)


# Turns


def test_of_many_processes_one_takes_the_turn(engine: Engine) -> None:
    sweeps = engine.ledger.sweeps
    sweeps.register(["prune", "wake"])
    sweeps.register(["prune"])
    assert [sweeps.take_turn("prune", 60) for _ in range(3)] == [True, False, False]
    assert sweeps.take_turn("wake", 60) is True
    execute(engine, "UPDATE sweep SET next_due_at = now()")
    assert sweeps.take_turn("prune", 60) is True
