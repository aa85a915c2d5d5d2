"""A commit whose answer is lost, and transactions that must be repeated: nothing twice, nothing lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import psycopg
import pytest

from indexmill.domain.job import Item, JobKind, Submission
from indexmill.domain.job_state import JobState
from indexmill.engine import Engine
from indexmill.errors import ServiceError
from indexmill.ledger.batches import BatchEnd, Batches, BatchKey
from indexmill.ledger.database import Connection
from indexmill.ledger.ledger import Ledger, open_ledger
from indexmill.pipeline.run_window import WindowOutcome
from indexmill.pipeline.write import _RETRY_PATIENCE
from indexmill.settings import Settings
from tests.draining import (
    alter_query,
    assert_conserved,
    claimed,
    documents,
    drain,
    embedded_texts,
    job_of,
    log_path,
    rows,
    run,
    runner_of,
    upsert,
    waiting_for_locks,
)
from tests.integration.pipeline.lossy_proxy import LossyProxy, lossy_proxy
from tests.running_service import wait_until

#: In every commit of a window, and in no other transaction.
_WINDOW = b"idle_in_transaction_session_timeout"


@pytest.fixture
def proxy(database_url: str) -> Iterator[LossyProxy]:
    with lossy_proxy(database_url) as running:
        running.marker = _WINDOW
        yield running


@pytest.fixture
def far_ledger(proxy: LossyProxy, settings: Settings) -> Iterator[Ledger]:
    """A worker's ledger, behind the proxy."""
    opened = open_ledger(proxy.url, settings, pool_size=3)
    yield opened
    opened.database.close()


def run_behind(engine: Engine, far_ledger: Ledger) -> WindowOutcome:
    """The window's commits go through the proxy; vectors too, since they are written in its transaction."""
    claim = claimed(engine)
    return runner_of(engine, far_ledger).run(claim, lambda: True)


def totals(engine: Engine) -> dict[str, int]:
    return dict(engine.ledger.workload.totals())


@pytest.mark.parametrize("losses", [["after"], ["before"], ["before", "after"], ["before", "before", "before"]])
def test_a_commit_whose_answer_was_lost_counts_once(
    engine: Engine, far_ledger: Ledger, proxy: LossyProxy, losses: list[str]
) -> None:
    job = upsert(engine, {f"d{n}": f"text {n}" for n in range(20)})
    proxy.losses.extend(losses)  # type: ignore[arg-type]

    assert run_behind(engine, far_ledger) is WindowOutcome.DONE

    assert proxy.lost == len(losses)
    done = job_of(engine, job)
    assert (done.state, done.counters.indexed, done.counters.embedded) == (JobState.SUCCEEDED, 20, 20)
    assert len(documents(engine)) == 20
    assert totals(engine)["items"] == 20
    assert [event.state for event in engine.events(done)] == ["queued", "running", "succeeded"]
    assert_conserved(engine)


@pytest.mark.parametrize("loss", ["after", "before"])
def test_a_lost_commit_with_failures_keeps_them_once(
    engine: Engine, far_ledger: Ledger, proxy: LossyProxy, loss: str
) -> None:
    job = upsert(engine, {"good": "text", "bad": " "})
    proxy.losses.append(loss)  # type: ignore[arg-type]
    run_behind(engine, far_ledger)
    assert job_of(engine, job).counters.failed == 1
    assert_conserved(engine)


def test_a_lost_commit_embeds_nothing_again(
    engine: Engine, far_ledger: Ledger, proxy: LossyProxy, tmp_path: object
) -> None:
    engine.deploy("logged", "deterministic", {"dimension": 8, "log_path": log_path(tmp_path)})  # type: ignore[arg-type]
    before = len(embedded_texts(tmp_path))  # type: ignore[arg-type]
    upsert(engine, {f"d{n}": f"text {n}" for n in range(10)}, model="logged")
    proxy.losses.extend(["before", "before", "after"])
    run_behind(engine, far_ledger)
    assert len(embedded_texts(tmp_path)) - before == 10  # type: ignore[arg-type]


def test_without_the_re_reading_a_lost_answer_would_be_seen(
    engine: Engine, far_ledger: Ledger, proxy: LossyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The window believes that nothing was committed and that its batches went to somebody else."""
    alter_query(monkeypatch, "reread_batches", "WHERE b.lease = %(token)s", "WHERE false AND b.lease = %(token)s")
    with pytest.raises(AssertionError):
        test_a_commit_whose_answer_was_lost_counts_once(engine, far_ledger, proxy, ["after"])


@dataclass(frozen=True)
class BatchesThatFail(Batches):
    """`fail` is called inside the transaction, behind the fence, before anything of it is committed."""

    fail: Callable[[Connection], None] = lambda connection: None

    def end(self, connection: Connection, ends: list[BatchEnd]) -> None:  # type: ignore[override]
        super().end(connection, ends)
        self.fail(connection)


def raising(statement: str, times: int) -> Callable[[Connection], None]:
    left = [times]

    def fail(connection: Connection) -> None:
        if left[0]:
            left[0] -= 1
            connection.execute(statement)

    return fail


def sqlstate(code: str) -> str:
    return f"DO $$ BEGIN RAISE EXCEPTION 'made by a test' USING ERRCODE = '{code}'; END $$"


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param(sqlstate("40001"), id="serialization failure"),
        pytest.param(sqlstate("40P01"), id="deadlock"),
        pytest.param(sqlstate("55P03"), id="lock not available"),
        pytest.param(sqlstate("57014"), id="statement time-out"),
        pytest.param("SELECT pg_terminate_backend(pg_backend_pid())", id="backend terminated"),
    ],
)
def test_a_commit_that_fails_for_a_passing_cause_is_repeated(engine: Engine, statement: str) -> None:
    job = upsert(engine, {"a": "one", "b": "two"})
    batches = BatchesThatFail(engine.ledger.database, engine.ledger.transitions, raising(statement, 3))
    runner = runner_of(engine, replace(engine.ledger, batches=batches))

    drain(engine, runner)

    assert job_of(engine, job).state is JobState.SUCCEEDED
    counts = rows(engine, "SELECT claims, tries, losses FROM batch")
    assert counts == [{"claims": 1, "tries": 0, "losses": 0}], "a passing cause of the store counts nothing"
    assert totals(engine)["items"] == 2
    assert_conserved(engine)


def test_a_commit_that_never_goes_through_leaves_the_batch_to_the_rescue(engine: Engine) -> None:
    upsert(engine, {"a": "one"})
    batches = BatchesThatFail(engine.ledger.database, engine.ledger.transitions, raising(sqlstate("40001"), 100))
    runner = runner_of(engine, replace(engine.ledger, batches=batches), deadline_seconds=0.2)
    claim = claimed(engine)
    with pytest.raises(ServiceError, match="before its deadline"):
        runner.run(claim, lambda: True)
    assert documents(engine) == {}
    assert rows(engine, "SELECT state FROM batch") == [{"state": "running"}]


def test_a_commit_that_is_repeated_ends_when_the_worker_stops(engine: Engine) -> None:
    """Its supervisor would kill it else; and what it did not commit is rescued."""
    upsert(engine, {"a": "one"})
    batches = BatchesThatFail(engine.ledger.database, engine.ledger.transitions, raising(sqlstate("40001"), 100))
    runner = runner_of(engine, replace(engine.ledger, batches=batches), deadline_seconds=5)
    tried = iter([False] * 3)
    with pytest.raises(ServiceError, match="before the worker stops"):
        # Asked between the stages too: the first answers are theirs.
        runner.run(claimed(engine), lambda: True, lambda: next(tried, True))
    assert documents(engine) == {}
    assert rows(engine, "SELECT state FROM batch") == [{"state": "running"}]


def test_a_repeated_commit_asks_often_whether_the_worker_stops_while_the_database_is_away(engine: Engine) -> None:
    """One who waits for a connection as long as a request may has no time left for anything else."""
    upsert(engine, {"a": "one"})
    waits: list[float | None] = []
    database = engine.ledger.database

    class Away:
        def transaction(self, patience: float | None = None) -> None:
            waits.append(patience)
            raise ServiceError("database: away")

        def __getattr__(self, name: str) -> object:
            return getattr(database, name)

    away: Any = Away()
    runner = runner_of(engine, replace(engine.ledger, database=away), deadline_seconds=5)
    with pytest.raises(ServiceError, match="before the worker stops"):
        runner.run(claimed(engine), lambda: True, lambda: len(waits) >= 3)
    assert waits == [None, _RETRY_PATIENCE, _RETRY_PATIENCE]


@dataclass(frozen=True)
class ImpatientBatches(Batches):
    """Gives up a lock after 50 ms; from the second fence on, what is in its way has let go."""

    holder: psycopg.Connection[tuple[object, ...]] | None = None
    fences: list[UUID] = field(default_factory=list)

    def fence(self, connection: Connection, token: UUID, keys: Collection[BatchKey]) -> set[BatchKey]:
        held = super().fence(connection, token, keys)
        connection.execute("SET LOCAL lock_timeout = '50ms'")
        if self.fences and self.holder is not None:
            self.holder.rollback()
        self.fences.append(token)
        return held


def test_a_document_that_somebody_has_locked_is_waited_for_by_repeating(engine: Engine) -> None:
    upsert(engine, {"a": "old"})
    drain(engine)
    job = upsert(engine, {"a": "new"})
    with psycopg.connect(engine.ledger.database.url) as holder:
        holder.execute("SELECT 1 FROM document FOR UPDATE")
        batches = ImpatientBatches(engine.ledger.database, engine.ledger.transitions, holder)
        drain(engine, runner_of(engine, replace(engine.ledger, batches=batches)))
    assert len(batches.fences) == 2
    assert job_of(engine, job).counters.indexed == 1
    assert documents(engine)["a"]["text"] == "new"


def test_a_submission_whose_answer_was_lost_is_stored_once(
    engine: Engine, proxy: LossyProxy, far_ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The small path is one statement in autocommit: the connection dies right after it went through."""
    original = type(far_ledger.database).connection
    lost: list[bool] = []

    def connection(database: object, patience: float | None = None) -> object:
        manager = original(database, patience)  # type: ignore[arg-type]
        return manager if lost else _LostAfterwards(manager, lost)

    monkeypatch.setattr(type(far_ledger.database), "connection", connection)
    submissions = far_ledger.submissions
    named = submissions.submit(Submission(JobKind.UPSERTION, "tiny", [Item("a", {"text": "t"})], "once"))
    lost.clear()
    unnamed = submissions.submit(Submission(JobKind.UPSERTION, "tiny", [Item("b", {"text": "t"})]))

    assert lost == [True]
    assert {named.job.total_items, unnamed.job.total_items} == {1}
    assert rows(engine, "SELECT count(*) AS n FROM job") == [{"n": 2}]
    drain(engine)
    assert set(documents(engine)) == {"a", "b"}


class _LostAfterwards:
    def __init__(self, manager: object, lost: list[bool]) -> None:
        self._manager = manager
        self._lost = lost

    def __enter__(self) -> object:
        return self._manager.__enter__()  # type: ignore[attr-defined]

    def __exit__(self, *error: object) -> None:
        self._manager.__exit__(*error)  # type: ignore[attr-defined]
        self._lost.append(True)
        raise psycopg.OperationalError("server closed the connection unexpectedly (made by a test)")


def test_a_rescue_whose_answer_was_lost_counts_one_loss(engine: Engine, proxy: LossyProxy, far_ledger: Ledger) -> None:
    upsert(engine, {"a": "one"})
    claimed(engine)
    with engine.ledger.database.connection() as connection:
        connection.execute("UPDATE lease SET expires_at = now() - interval '1 s'")
    proxy.marker = b""
    proxy.losses.append("after")
    replace(far_ledger.leases, lease_seconds=0).rescue()
    assert proxy.lost == 1
    assert rows(engine, "SELECT state, losses FROM batch") == [{"state": "ready", "losses": 1}]


@pytest.mark.parametrize("loss", ["after", "before"])
@pytest.mark.parametrize("verb", ["cancel", "retry", "rerun"])
def test_a_verb_whose_answer_was_lost_happens_once(
    engine: Engine, proxy: LossyProxy, far_ledger: Ledger, verb: str, loss: str
) -> None:
    job = upsert(engine, {"a": "one", "b": " " if verb == "retry" else "two"})
    if verb != "cancel":
        drain(engine)
    far_engine = Engine(far_ledger, engine.vectors, engine.models, lambda: None)
    proxy.marker = b""
    proxy.losses.append(loss)  # type: ignore[arg-type]

    changed = getattr(far_engine, verb)(job_of(engine, job))

    assert proxy.lost == 1
    assert changed.attempt == (1 if verb == "cancel" else 2)
    assert changed.state is (JobState.CANCELLED if verb == "cancel" else JobState.QUEUED)
    numbers = [event.number for event in engine.events(changed)]
    assert numbers == list(range(1, len(numbers) + 1))
    run_all = drain(engine)
    assert len(run_all) == (0 if verb == "cancel" else 1)
    assert_conserved(engine)


def test_a_doubtful_commit_that_is_still_under_way_is_waited_for(engine: Engine) -> None:
    """The answer `not committed` must be final: the re-reading waits for the transaction that is in doubt."""
    upsert(engine, {"a": "one"})
    claim = claimed(engine)
    keys = {batch.key for batch in claim.batches}
    answers: list[bool] = []
    has_committed = engine.ledger.batches.has_committed
    asking = threading.Thread(target=lambda: answers.append(has_committed(claim.token, keys)))
    with psycopg.connect(engine.ledger.database.url) as doubtful:
        doubtful.execute("SELECT 1 FROM batch FOR UPDATE")
        asking.start()
        wait_until(lambda: waiting_for_locks(engine), 60, "the re-reading to wait for a lock")
        assert answers == []
        doubtful.rollback()
    asking.join(timeout=60)
    assert answers == [False]
    assert run(engine, claim) is WindowOutcome.DONE
