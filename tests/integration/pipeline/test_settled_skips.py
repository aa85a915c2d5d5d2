"""Unchanged batches that write no version: only where nothing older can come; each condition, and without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from indexmill.domain.bodies import DistinctIds
from indexmill.domain.job import Job
from indexmill.engine import Engine
from indexmill.ledger.batches import Batches
from indexmill.ledger.database import Connection, Database
from indexmill.ledger.reopening import Reopening
from indexmill.ledger.submissions import Submissions
from indexmill.pipeline.write import WindowWriter
from tests.draining import (
    alter_query,
    always_ask,
    assert_conserved,
    claimed,
    delete,
    documents,
    drain,
    execute,
    hold_back,
    job_of,
    let_go,
    rows,
    run,
    run_last_submitted_first,
    submit,
    upsert,
)
from tests.draining import items_of as items

STREAMED = 33 * 256


@pytest.fixture(autouse=True)
def ask(monkeypatch: pytest.MonkeyPatch) -> None:
    always_ask(monkeypatch)


def seqs(engine: Engine) -> dict[str, int]:
    return {name: row["seq"] for name, row in documents(engine).items()}


def store(engine: Engine, texts: dict[str, str] | None = None) -> None:
    upsert(engine, texts or {"a": "same"})
    drain(engine)


class OpenTransaction(Database):
    """A database whose every statement is one of the same transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @contextmanager
    def connection(self, patience: float | None = None) -> Iterator[Connection]:
        yield self._connection

    @contextmanager
    def transaction(self, patience: float | None = None) -> Iterator[Connection]:
        with self._connection.transaction():
            yield self._connection


@contextmanager
def uncommitted(engine: Engine) -> Iterator[OpenTransaction]:
    with psycopg.connect(engine.ledger.database.url, row_factory=dict_row) as connection, connection.transaction():
        yield OpenTransaction(connection)


def test_nothing_is_written_to_the_documents(engine: Engine) -> None:
    texts = {f"d{n}": f"text {n}" for n in range(600)}
    store(engine, texts)
    before = rows(engine, "SELECT xmin::text, ctid::text, key FROM document ORDER BY key")
    job = upsert(engine, texts)
    drain(engine)
    counters = job_of(engine, job).counters
    assert (counters.unchanged, counters.chunks, counters.embedded) == (600, 600, 0)
    assert rows(engine, "SELECT xmin::text, ctid::text, key FROM document ORDER BY key") == before
    assert_conserved(engine)


def test_few_items_move_their_versions_without_asking(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    store(engine)
    before = seqs(engine)
    upsert(engine, {"a": "same"})
    drain(engine)
    assert seqs(engine)["a"] > before["a"]


def test_an_older_job_that_is_open_loses_later(engine: Engine) -> None:
    store(engine)
    older = upsert(engine, {"a": "between"})
    hold_back(engine, older)
    job = upsert(engine, {"a": "same"})
    drain(engine)
    assert job_of(engine, job).counters.unchanged == 1
    let_go(engine, older)
    drain(engine)
    assert documents(engine)["a"]["text"] == "same"
    assert job_of(engine, older).counters.superseded == 1


def test_an_older_deletion_that_is_open_loses_later(engine: Engine) -> None:
    store(engine)
    older = delete(engine, ["a"])
    hold_back(engine, older)
    upsert(engine, {"a": "same"})
    drain(engine)
    let_go(engine, older)
    drain(engine)
    assert set(documents(engine)) == {"a"}


def test_an_older_job_that_is_retried_loses_later(engine: Engine) -> None:
    store(engine)
    older = engine.cancel(upsert(engine, {"a": "between"}))
    upsert(engine, {"a": "same"})
    drain(engine)
    engine.retry(older)
    drain(engine)
    assert documents(engine)["a"]["text"] == "same"


def test_an_older_job_whose_items_are_no_longer_kept_holds_nothing_up(engine: Engine) -> None:
    store(engine)
    older = engine.cancel(upsert(engine, {"a": "between"}))
    execute(engine, "UPDATE job SET bodies_deleted_at = now() WHERE id = %s", older.id)
    before = seqs(engine)
    upsert(engine, {"a": "same"})
    drain(engine)
    assert seqs(engine) == before


def test_an_older_change_of_the_whole_collection_holds_nothing_up(engine: Engine) -> None:
    """It writes no document."""
    store(engine)
    hold_back(engine, engine.rebuild("tiny"))
    before = seqs(engine)
    upsert(engine, {"a": "same"})
    drain(engine)
    assert seqs(engine) == before


def submit_small(engine: Engine, database: Database, _earlier: Job) -> None:
    submissions = engine.ledger.submissions
    inside = Submissions(database, submissions.jobs, submissions.models, submissions.transitions)
    submit(_with(engine, inside), items({"a": "between"}))


def submit_streamed(engine: Engine, database: Database, _earlier: Job) -> None:
    submissions = engine.ledger.submissions
    inside = Submissions(database, submissions.jobs, submissions.models, submissions.transitions)
    submit(_with(engine, inside), items([("a", "between")] * STREAMED))


def rerun(engine: Engine, database: Database, earlier: Job) -> None:
    Reopening(database, engine.ledger.models).rerun(earlier.id, force=False)


def _with(engine: Engine, submissions: Submissions) -> Engine:
    return replace(engine, ledger=replace(engine.ledger, submissions=submissions))


WAYS: list[Callable[[Engine, Database, Job], None]] = [submit_small, submit_streamed, rerun]


@pytest.mark.parametrize("way", WAYS)
def test_an_older_submission_that_is_not_committed_yet_loses_later(
    engine: Engine, way: Callable[[Engine, Database, Job], None]
) -> None:
    """It has its number, and nobody sees it yet."""
    earlier = upsert(engine, {"a": "between"})
    drain(engine)
    store(engine)
    with uncommitted(engine) as transaction:
        way(engine, transaction, earlier)
        job = upsert(engine, {"a": "same"})
        drain(engine)
        assert job_of(engine, job).counters.unchanged == 1
    assert len(drain(engine)) > 0
    assert documents(engine)["a"]["text"] == "same"
    assert_conserved(engine)


def test_whoever_is_being_given_a_number_holds_nobody_up(engine: Engine) -> None:
    """A submission that takes its time makes a skip dearer, and no other submission wait."""
    store(engine)
    number = rows(engine, "SELECT id FROM collection ORDER BY id")[0]["id"]
    execute(engine, "INSERT INTO lane (name) VALUES ('other')")
    other = rows(
        engine,
        "INSERT INTO collection (tenant, name, model, lane) SELECT 1, 'other', model, 'other' FROM collection "
        "RETURNING id",
    )[0]["id"]
    open_job = upsert(engine, {"b": "open"})
    collections = engine.ledger.collections
    seq = rows(engine, "SELECT seq FROM job WHERE id = %s", open_job.id)[0]["seq"]
    assert collections.settled([number, other]) == {number: seq}
    with uncommitted(engine) as transaction:
        submit_small(engine, transaction, open_job)
        assert collections.settled([number]) == {}
    assert collections.settled([number]) == {number: seq}


def test_the_same_document_in_two_batches_ends_as_the_last_one(engine: Engine) -> None:
    """The later batch has nothing to change and runs first; the earlier one then comes too late."""
    filling = {f"d{n}": f"text {n}" for n in range(300)}
    store(engine, {**filling, "a": "last"})
    job = upsert(engine, [("a", "first"), *filling.items(), ("a", "last")])
    run_last_submitted_first(engine)
    assert documents(engine)["a"]["text"] == "last"
    assert job_of(engine, job).counters.superseded == 1
    assert_conserved(engine)


def test_what_a_later_job_has_stored_already_supersedes(engine: Engine) -> None:
    store(engine)
    job = upsert(engine, {"a": "same"})
    hold_back(engine, job)
    upsert(engine, {"a": "same"})
    drain(engine)
    let_go(engine, job)
    drain(engine)
    assert job_of(engine, job).counters.superseded == 1


def run_beside(engine: Engine, beside: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a window; `beside` happens once, between its comparison and its commit."""
    pending = [beside]
    fence = Batches.fence

    def fence_later(self: Batches, connection: Any, token: Any, keys: Any) -> Any:
        if pending:
            pending.pop()()
        return fence(self, connection, token, keys)

    claim = claimed(engine)
    with monkeypatch.context() as patch:
        patch.setattr(Batches, "fence", fence_later)
        run(engine, claim)


def test_a_later_submission_that_is_written_meanwhile_stays(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    store(engine)
    job = upsert(engine, {"a": "same"})

    def overtake() -> None:
        upsert(engine, {"a": "later"})
        drain(engine)

    run_beside(engine, overtake, monkeypatch)
    assert documents(engine)["a"]["text"] == "later"
    assert job_of(engine, job).counters.finished == 1
    assert_conserved(engine)


def test_a_job_that_is_cancelled_meanwhile_ends_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    store(engine)
    job = upsert(engine, {"a": "same"})
    run_beside(engine, lambda: engine.cancel(job), monkeypatch)
    counters = job_of(engine, job).counters
    assert (counters.cancelled, counters.unchanged) == (1, 0)
    assert_conserved(engine)


def test_a_reset_that_comes_meanwhile_is_noticed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reset is older than the job, which was submitted before it was committed: so the document must come back."""
    store(engine)
    execute(engine, "SELECT nextval('job_seq')")
    job = upsert(engine, {"a": "same"})

    def reset() -> None:
        execute(engine, "UPDATE collection SET min_seq = (SELECT max(seq) - 1 FROM job)")
        execute(engine, "DELETE FROM chunk_1_1")
        execute(engine, "DELETE FROM document")

    run_beside(engine, reset, monkeypatch)
    assert set(documents(engine)) == {"a"}
    assert job_of(engine, job).counters.indexed == 1
    assert_conserved(engine)


def test_a_job_from_before_a_reset_skips_nothing(engine: Engine) -> None:
    store(engine)
    job = upsert(engine, {"a": "same"})
    execute(engine, "UPDATE collection SET min_seq = nextval('job_seq')")
    drain(engine)
    assert job_of(engine, job).counters.superseded == 1


# Without a condition, its test fails


def forget_open_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    alter_query(monkeypatch, "oldest_open_seqs", "j.finished_at IS NULL OR", "j.state = 'running' OR")


def forget_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    alter_query(monkeypatch, "oldest_open_seqs", "OR j.failed + j.cancelled > 0", "OR false")


def forget_kept_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    alter_query(monkeypatch, "oldest_open_seqs", "AND j.bodies_deleted_at IS NULL", "")


def forget_uncommitted(monkeypatch: pytest.MonkeyPatch) -> None:
    alter_query(monkeypatch, "settle_collections", "pg_try_advisory_xact_lock(1229867861, id)", "id > 0")


def forget_repeated_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DistinctIds, "value", lambda _: True)


def forget_newer_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    alter_query(monkeypatch, "compare_documents", "max(seq) AS seq", "min(seq) - 1000 AS seq")


def forget_resets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WindowWriter, "_move_versions", lambda *_: None)


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (forget_open_jobs, test_an_older_job_that_is_open_loses_later),
        (forget_open_jobs, test_an_older_deletion_that_is_open_loses_later),
        (forget_retries, test_an_older_job_that_is_retried_loses_later),
        (forget_kept_bodies, test_an_older_job_whose_items_are_no_longer_kept_holds_nothing_up),
        (forget_repeated_ids, test_the_same_document_in_two_batches_ends_as_the_last_one),
        (forget_newer_versions, test_what_a_later_job_has_stored_already_supersedes),
    ],
)
def test_without_a_condition_something_older_would_be_seen_to_win(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    broken: Callable[[pytest.MonkeyPatch], None],
    test: Callable[[Engine], None],
) -> None:
    broken(monkeypatch)
    with pytest.raises(AssertionError):
        test(engine)


@pytest.mark.parametrize("way", WAYS)
def test_without_the_lock_an_uncommitted_submission_would_be_seen_to_win(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, way: Callable[[Engine, Database, Job], None]
) -> None:
    forget_uncommitted(monkeypatch)
    with pytest.raises(AssertionError):
        test_an_older_submission_that_is_not_committed_yet_loses_later(engine, way)


@pytest.mark.parametrize("way", WAYS)
def test_without_the_lock_at_the_number_an_uncommitted_submission_would_be_seen_to_win(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, way: Callable[[Engine, Database, Job], None]
) -> None:
    query = dict(zip(WAYS, ("submit_jobs", "queue_job", "rerun_job"), strict=True))[way]
    alter_query(monkeypatch, query, "next_job_seq(collection)", "nextval('job_seq')")
    with pytest.raises(AssertionError):
        test_an_older_submission_that_is_not_committed_yet_loses_later(engine, way)


def test_without_the_look_at_the_collection_a_reset_would_be_seen_to_be_missed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_resets(monkeypatch)
    with pytest.raises(AssertionError):
        test_a_reset_that_comes_meanwhile_is_noticed(engine, monkeypatch)
