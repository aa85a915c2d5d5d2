"""The fence: a window that no longer holds its batches commits nothing, and a doubtful commit counts once."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from uuid import UUID

import pytest

from indexmill.domain.job import Job
from indexmill.domain.job_state import JobState
from indexmill.engine import Engine
from indexmill.ledger.batches import Batches, BatchKey
from indexmill.ledger.claims import Claim
from indexmill.ledger.database import Connection
from indexmill.pipeline.run_window import WindowOutcome, WindowRunner
from tests.draining import (
    alter_query,
    assert_conserved,
    claimed,
    documents,
    drain,
    expire,
    job_of,
    lose,
    once,
    rescue,
    rows,
    run,
    runner_of,
    upsert,
)


@dataclass(frozen=True)
class BatchesThatStop(Batches):
    """Does something just before the fence: everything is embedded and staged, nothing is locked."""

    before: Callable[[], None] = lambda: None

    def fence(self, connection: Connection, token: UUID, keys: Collection[BatchKey]) -> set[BatchKey]:
        self.before()
        return super().fence(connection, token, keys)


def runner_stopped_before_its_fence(engine: Engine, before: Callable[[], object]) -> WindowRunner:
    batches = BatchesThatStop(engine.ledger.database, engine.ledger.transitions, once(before))
    return runner_of(engine, replace(engine.ledger, batches=batches))


def rescued(engine: Engine, claim: Claim) -> None:
    expire(engine, claim)
    assert rescue(engine) == len(claim.batches)


def retried(engine: Engine, job: Job) -> None:
    engine.cancel(job)
    assert engine.retry(job_of(engine, job)).state is JobState.QUEUED


def rescued_and_claimed_again(engine: Engine, claim: Claim) -> None:
    """ABA: the same batch is running again, in the same attempt, though not for this window."""
    rescued(engine, claim)
    other = claimed(engine)
    assert [batch.key for batch in other.batches] == [batch.key for batch in claim.batches]


def finished_elsewhere(engine: Engine, claim: Claim) -> None:
    rescued(engine, claim)
    assert run(engine, claimed(engine)) is WindowOutcome.DONE


def rerun_after_it_finished_elsewhere(engine: Engine, claim: Claim, job: Job) -> None:
    finished_elsewhere(engine, claim)
    assert engine.rerun(job_of(engine, job)).state is JobState.QUEUED
    claimed(engine)


WAYS_TO_LOSE: dict[str, Callable[[Engine, Claim, Job], object]] = {
    "rescued": lambda engine, claim, job: rescued(engine, claim),
    "rescued and claimed again": lambda engine, claim, job: rescued_and_claimed_again(engine, claim),
    "finished elsewhere": lambda engine, claim, job: finished_elsewhere(engine, claim),
    "cancelled": lambda engine, claim, job: engine.cancel(job),
    "cancelled and retried": lambda engine, claim, job: retried(engine, job),
    "given back": lambda engine, claim, job: engine.ledger.leases.give_back(claim.token),
    "deferred": lambda engine, claim, job: engine.ledger.batches.defer(claim.token, 0, "later"),
    "run again as a whole": rerun_after_it_finished_elsewhere,
    "withdrawn": lambda engine, claim, job: engine.withdraw("tiny"),
}


def state_of(engine: Engine) -> dict[str, list[dict[str, object]]]:
    tables = ("job", "batch", "failed_item", "job_event", "document", "chunk_1_1", "pipeline_total")
    return {name: rows(engine, f"SELECT * FROM {name} ORDER BY 1, 2") for name in tables}  # noqa: S608


def lose_before_the_fence(engine: Engine, way: str) -> None:
    """Run a window whose batches are taken away before its fence, and compare what it changed after that."""
    job = upsert(engine, {"a": "one", "b": "two"})
    claim = claimed(engine)
    seen = {}

    def take_away() -> None:
        WAYS_TO_LOSE[way](engine, claim, job)
        seen.update(state_of(engine))

    outcome = runner_stopped_before_its_fence(engine, take_away).run(claim, lambda: True)
    assert state_of(engine) == seen, "the window wrote although its lease was gone"
    assert outcome is WindowOutcome.LOST


@pytest.mark.parametrize("way", WAYS_TO_LOSE)
def test_a_window_that_lost_its_lease_writes_nothing(engine: Engine, way: str) -> None:
    lose_before_the_fence(engine, way)
    assert_conserved(engine)
    drain(engine)
    assert_conserved(engine)


@pytest.mark.parametrize("way", ["cancelled", "rescued and claimed again", "run again as a whole"])
def test_without_the_fence_the_lost_window_would_be_seen_writing(
    engine: Engine, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alter_query(
        monkeypatch,
        "fence_batches",
        "WHERE lease = %(token)s AND state = 'running'",
        "WHERE coalesce(%(token)s IS NOT NULL, true)",
    )
    with pytest.raises(AssertionError, match="wrote although its lease was gone"):
        lose_before_the_fence(engine, way)


def test_a_fence_by_state_alone_would_be_caught_by_aba(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    alter_query(monkeypatch, "fence_batches", "lease = %(token)s AND", "%(token)s::uuid IS NOT NULL AND")
    with pytest.raises(AssertionError, match="wrote although its lease was gone"):
        lose_before_the_fence(engine, "rescued and claimed again")


def test_a_cancel_that_left_the_lease_in_place_would_be_caught(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    alter_query(monkeypatch, "close_open_batches", "SET state = 'cancelled', lease = NULL,", "SET state = 'cancelled',")
    alter_query(monkeypatch, "fence_batches", "lease = %(token)s AND state = 'running'", "lease = %(token)s")
    with pytest.raises(AssertionError, match="wrote although its lease was gone"):
        lose_before_the_fence(engine, "cancelled")


def test_a_window_writes_the_batches_that_are_still_its_own(engine: Engine) -> None:
    kept = upsert(engine, {"a": "one"})
    taken = upsert(engine, {"b": "two"})
    claim = claimed(engine)
    assert len(claim.batches) == 2

    outcome = runner_stopped_before_its_fence(engine, lambda: engine.cancel(taken)).run(claim, lambda: True)

    assert outcome is WindowOutcome.DONE
    assert set(documents(engine)) == {"a"}
    assert job_of(engine, kept).state is JobState.SUCCEEDED
    assert job_of(engine, taken).state is JobState.CANCELLED
    assert_conserved(engine)


def test_of_two_items_for_one_document_the_one_that_may_be_written_is(engine: Engine) -> None:
    """The later job is cancelled at the last moment: the earlier one must not have lost to it."""
    earlier = upsert(engine, {"a": "earlier"})
    later = upsert(engine, {"a": "later"})

    runner_stopped_before_its_fence(engine, lambda: engine.cancel(later)).run(claimed(engine), lambda: True)

    assert documents(engine)["a"]["text"] == "earlier"
    assert job_of(engine, earlier).counters.indexed == 1
    assert_conserved(engine)


def test_the_lease_of_a_window_that_ended_is_gone(engine: Engine) -> None:
    upsert(engine, {"a": "one"})
    run(engine, claimed(engine))
    assert rows(engine, "SELECT token FROM lease") == []
    assert rows(engine, "SELECT lease IS NOT NULL AS kept FROM batch") == [{"kept": True}]


def test_a_token_never_comes_again(engine: Engine) -> None:
    upsert(engine, {"a": "one"})
    tokens = set()
    for _ in range(4):
        claim = claimed(engine)
        tokens.add(claim.token)
        lose(engine, claim)
    assert len(tokens) == 4
