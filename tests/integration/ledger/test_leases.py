"""Leases: renewal, expiry, rescue, giving back, and the item that takes its worker with it."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from indexmill.domain.failure import FailureCode, Stage
from indexmill.domain.job_state import JobState, Reason
from indexmill.engine import Engine
from indexmill.ledger.claims import Claims
from indexmill.ledger.leases import LOSSES_OF_AN_ITEM, MAX_LOSSES
from indexmill.pipeline.run_window import WindowOutcome
from tests.draining import (
    alter_query,
    assert_conserved,
    claimed,
    documents,
    drain,
    execute,
    expire,
    job_of,
    lose,
    rescue,
    rows,
    run,
    runner_of,
    upsert,
)
from tests.running_service import wait_until


def batch_states(engine: Engine) -> list[tuple[str, int]]:
    return [(row["state"], row["losses"]) for row in rows(engine, "SELECT * FROM batch ORDER BY job, ordinal")]


# Renewal and expiry


def test_a_renewal_extends_the_lease_and_says_how_many_batches_it_holds(engine: Engine) -> None:
    upsert(engine, {"a": "one"})
    upsert(engine, {"b": "two"})
    claim = claimed(engine)
    expire(engine, claim)
    assert engine.ledger.leases.renew(claim.token) == 2
    assert rows(engine, "SELECT expires_at > now() + interval '9 s' AS later FROM lease") == [{"later": True}]
    assert rescue(engine) == 0


def test_a_renewal_of_a_cancelled_window_says_that_nothing_is_held(engine: Engine) -> None:
    job = upsert(engine, {"a": "one"})
    claim = claimed(engine)
    engine.cancel(job)
    assert engine.ledger.leases.renew(claim.token) == 0


def test_a_renewal_after_the_rescue_revives_nothing(engine: Engine) -> None:
    upsert(engine, {"a": "one"})
    claim = claimed(engine)
    lose(engine, claim)
    assert engine.ledger.leases.renew(claim.token) == 0
    assert rows(engine, "SELECT token FROM lease") == []


def test_a_renewal_does_not_go_past_the_deadline(engine: Engine) -> None:
    """A window that hangs is rescued although its process lives and renews."""
    upsert(engine, {"a": "one"})
    claims = Claims(engine.ledger.database, lease_seconds=10, deadline_seconds=0.05, probe_seconds=30)
    claim = claims.claim(engine.ledger.claims.lane_heads()[0].lane, "test/hangs", 1)
    assert claim is not None
    wait_until(lambda: rows(engine, "SELECT 1 FROM lease WHERE deadline_at < now()"), 60, "the deadline to pass")
    assert engine.ledger.leases.renew(claim.token) == 1
    assert rescue(engine) == 1


def test_a_lease_that_has_not_expired_is_not_rescued(engine: Engine) -> None:
    upsert(engine, {"a": "one"})
    claimed(engine)
    assert rescue(engine) == 0
    assert batch_states(engine) == [("running", 0)]


def test_a_rescue_makes_the_batches_ready_at_their_old_rank_and_counts_a_loss(engine: Engine) -> None:
    upsert(engine, {"a": "one"})
    before = rows(engine, "SELECT rank FROM batch")
    lose(engine, claimed(engine))
    assert batch_states(engine) == [("ready", 1)]
    assert rows(engine, "SELECT rank FROM batch") == before
    assert rows(engine, "SELECT token FROM lease") == []
    assert drain(engine) == [WindowOutcome.DONE]


def test_a_rescue_renewed_at_the_last_moment_leaves_the_lease_alone(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The expired leases are picked without a lock; a renewal comes before the batches are taken."""
    upsert(engine, {"a": "one"})
    claim = claimed(engine)
    expire(engine, claim)
    leases = engine.ledger.leases
    with engine.ledger.database.connection() as connection:
        picked = connection.execute("SELECT token, position, false AS past_deadline FROM lease").fetchall()
    leases.renew(claim.token)
    assert leases._rescue_one(picked[0]) == 0
    assert batch_states(engine) == [("running", 0)]
    assert run(engine, claim) is WindowOutcome.DONE


def test_a_rescue_that_did_not_look_again_would_be_caught(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    alter_query(monkeypatch, "delete_expired_lease", "AND expires_at < ledger_now()", "")
    with pytest.raises(AssertionError):
        test_a_rescue_renewed_at_the_last_moment_leaves_the_lease_alone(engine, monkeypatch)


def test_after_a_restart_of_the_database_everybody_gets_one_lease_to_come_back(engine: Engine) -> None:
    upsert(engine, {"a": "one"})
    expire(engine, claimed(engine))
    since_start = rows(engine, "SELECT extract(epoch FROM now() - pg_postmaster_start_time()) AS s")[0]["s"]
    assert replace(engine.ledger.leases, lease_seconds=float(since_start) + 3600).rescue() == 0
    assert rescue(engine) == 1


# A commit under way


def rescue_during_a_commit(engine: Engine) -> None:
    """Two batches, one of them locked by its commit: the whole lease is left alone, and nobody waits."""
    upsert(engine, {"a": "one"})
    upsert(engine, {"b": "two"})
    claim = claimed(engine)
    expire(engine, claim)
    with psycopg.connect(engine.ledger.database.url) as committing:
        committing.execute("SELECT 1 FROM batch WHERE job = %s FOR UPDATE", (claim.batches[0].job,))
        assert rescue(engine) == 0
        assert batch_states(engine) == [("running", 0)] * 2
        committing.rollback()
    assert rescue(engine) == 2


def test_a_rescue_skips_what_is_in_the_middle_of_its_commit(engine: Engine) -> None:
    rescue_during_a_commit(engine)


def test_a_rescue_that_ignored_a_commit_under_way_would_be_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    alter_query(
        monkeypatch,
        "delete_expired_lease",
        "AND NOT EXISTS (SELECT 1 FROM batch WHERE lease = %(token)s AND state = 'running')",
        "",
    )
    with pytest.raises(AssertionError):
        rescue_during_a_commit(engine)


# Giving back


def test_what_is_given_back_counts_nothing(engine: Engine) -> None:
    job = upsert(engine, {"a": "one"})
    before = rows(engine, "SELECT rank FROM batch")
    claim = claimed(engine)
    assert runner_of(engine).run(claim, lambda: True, lambda: True) is WindowOutcome.RELEASED
    counted = rows(engine, "SELECT state, claims, tries, losses FROM batch")
    assert counted == [{"state": "ready", "claims": 1, "tries": 0, "losses": 0}]
    assert rows(engine, "SELECT rank FROM batch") == before
    assert rows(engine, "SELECT token FROM lease") == []
    drain(engine)
    assert job_of(engine, job).state is JobState.SUCCEEDED


def test_a_window_that_is_given_up_counts_a_loss_at_once_and_fails_in_the_end(engine: Engine) -> None:
    job = upsert(engine, {"a": "one"})
    for number in range(1, MAX_LOSSES):
        assert engine.ledger.leases.lose(claimed(engine).token) == 1
        assert batch_states(engine) == [("ready", number)]
    assert rows(engine, "SELECT token FROM lease") == []
    engine.ledger.leases.lose(claimed(engine).token)
    drain(engine)
    assert job_of(engine, job).counters.failed == 1
    assert_conserved(engine)


def test_a_dead_supervisor_s_leases_expire_at_once_and_no_other_s(engine: Engine) -> None:
    upsert(engine, {"a": "one"})
    lane = engine.ledger.claims.lane_heads()[0].lane
    mine = engine.ledger.claims.claim(lane, "host-1/77", 1)
    upsert(engine, {"b": "two"})
    other = engine.ledger.claims.claim(lane, "host-12/77", 1)
    assert mine is not None
    assert other is not None
    engine.ledger.leases.expire_of("host-1")
    assert rescue(engine) == 1
    assert engine.ledger.leases.renew(other.token) == 1


# The item that takes its worker with it


def crash(engine: Engine, poison: int, **options: bool) -> None:
    """Claim the first batch; its worker dies, on item `poison` where it runs item by item."""
    claim = claimed(engine)
    lose(engine, claim, position=poison if claim.runs_item_by_item else None, **options)


def test_after_two_losses_a_batch_runs_item_by_item_with_the_position_written_down(engine: Engine) -> None:
    upsert(engine, {f"d{n}": f"text {n}" for n in range(4)})
    for _ in range(2):
        claim = claimed(engine)
        assert not claim.runs_item_by_item
        lose(engine, claim)
    claim = claimed(engine)
    assert claim.runs_item_by_item
    noted: list[int | None] = []

    def is_held() -> bool:
        noted.extend(row["position"] for row in rows(engine, "SELECT position FROM lease"))
        return True

    assert runner_of(engine).run(claim, is_held) is WindowOutcome.DONE
    # Looked at before each item: the one before it is written down.
    assert noted == [None, 0, 1, 2]
    assert len(documents(engine)) == 4


def test_an_item_that_runs_alone_starts_with_a_whole_lease(engine: Engine) -> None:
    """The one before it used up the deadline, and renewals do not go past that."""
    upsert(engine, {"a": "one"})
    claim = claimed(engine)
    execute(engine, "UPDATE lease SET deadline_at = now() + interval '0.2 s', expires_at = now() + interval '0.2 s'")
    engine.ledger.leases.note_position(claim.token, 0)
    assert rows(
        engine,
        "SELECT expires_at > now() + interval '9 s' AND deadline_at > now() + interval '59 s' AS whole FROM lease",
    ) == [{"whole": True}]
    short = replace(engine.ledger.leases, deadline_seconds=3)
    short.note_position(claim.token, 0)
    assert rows(engine, "SELECT expires_at <= deadline_at AS within FROM lease") == [{"within": True}]


def test_an_item_is_set_aside_at_its_third_loss_and_its_neighbours_are_done(engine: Engine) -> None:
    job = upsert(engine, {f"d{n}": f"text {n}" for n in range(5)})
    for _ in range(LOSSES_OF_AN_ITEM):
        crash(engine, poison=2)
        assert_conserved(engine)
    drain(engine)
    done = job_of(engine, job)
    assert (done.state, done.reason) == (JobState.SUCCEEDED, Reason.WITH_FAILURES)
    assert (done.counters.indexed, done.counters.failed) == (4, 1)
    assert set(documents(engine)) == {"d0", "d1", "d3", "d4"}
    failure = engine.failed_items(done, limit=10)[0]
    assert (failure.position, failure.object_id, failure.payload) == (2, "d2", {"text": "text 2"})
    assert (failure.stage, failure.code, failure.retryable) == (Stage.ENGINE, FailureCode.WORKER_LOST, True)
    assert failure.sentence.startswith(f"The item ended its worker process {LOSSES_OF_AN_ITEM} times")
    assert_conserved(engine)


def test_a_second_such_item_needs_one_more_loss_only(engine: Engine) -> None:
    job = upsert(engine, {f"d{n}": f"text {n}" for n in range(5)})
    for _ in range(3):
        crash(engine, poison=1)
    crash(engine, poison=3)
    drain(engine)
    assert job_of(engine, job).counters.failed == 2
    assert set(documents(engine)) == {"d0", "d2", "d4"}
    assert_conserved(engine)


def test_an_item_that_ran_past_its_deadline_says_so(engine: Engine) -> None:
    job = upsert(engine, {"a": "one", "b": "two"})
    for _ in range(3):
        crash(engine, poison=0, past_deadline=True)
    drain(engine)
    failure = engine.failed_items(job_of(engine, job), limit=10)[0]
    assert (failure.code, failure.object_id) == (FailureCode.DEADLINE, "a")


def test_a_batch_that_is_lost_with_no_item_to_blame_fails_as_a_whole_in_the_end(engine: Engine) -> None:
    job = upsert(engine, {"a": "one", "b": "two"})
    for _ in range(MAX_LOSSES):
        lose(engine, claimed(engine))
        assert_conserved(engine)
    drain(engine)
    done = job_of(engine, job)
    assert (done.state, done.counters.failed) == (JobState.FAILED, 2)
    words = f"The batch of this item ended its worker process {MAX_LOSSES} times"
    assert all(failure.sentence.startswith(words) for failure in engine.failed_items(job, limit=10))
    assert_conserved(engine)


def test_a_whole_batch_that_fails_keeps_what_an_earlier_attempt_has_decided(engine: Engine) -> None:
    """A retry runs what failed; the items that were indexed before are not lost with the worker."""
    job = upsert(engine, {"good": "text", "bad": " "})
    drain(engine)
    engine.retry(job_of(engine, job))
    for _ in range(MAX_LOSSES):
        lose(engine, claimed(engine))
        assert_conserved(engine)
    drain(engine)
    counters = job_of(engine, job).counters
    assert (counters.indexed, counters.failed) == (1, 1)
    assert [failure.object_id for failure in engine.failed_items(job, limit=10)] == ["bad"]
    assert_conserved(engine)


def test_an_item_that_was_set_aside_can_be_retried(engine: Engine) -> None:
    job = upsert(engine, {"a": "one", "b": "two"})
    for _ in range(3):
        crash(engine, poison=0)
    drain(engine)
    engine.retry(job_of(engine, job))
    drain(engine)
    assert job_of(engine, job).counters.indexed == 2
    assert engine.failed_items(job, limit=10) == []
    assert_conserved(engine)


def test_an_item_that_is_set_aside_is_not_set_aside_again(engine: Engine) -> None:
    """A worker that is lost later may have written down the same position: the item has failed once, not twice."""
    job = upsert(engine, {"a": "one", "b": "two"})
    for _ in range(LOSSES_OF_AN_ITEM + 2):
        crash(engine, poison=0)
        assert_conserved(engine)
    assert rows(engine, "SELECT set_aside, failed FROM batch") == [{"set_aside": [0], "failed": 1}]
    assert [failure.object_id for failure in engine.failed_items(job, limit=10)] == ["a"]
    drain(engine)
    done = job_of(engine, job)
    assert (done.counters.indexed, done.counters.failed) == (1, 1)
    assert_conserved(engine)


def test_a_batch_of_which_everything_is_set_aside_is_ended_and_not_set_aside_again(engine: Engine) -> None:
    job = upsert(engine, {"a": "one"})
    for _ in range(LOSSES_OF_AN_ITEM + MAX_LOSSES):
        crash(engine, poison=0)
        assert_conserved(engine)
    drain(engine)
    done = job_of(engine, job)
    assert (done.state, done.counters.failed) == (JobState.FAILED, 1)
    assert_conserved(engine)


def test_a_cancel_after_an_item_was_set_aside_keeps_the_count(engine: Engine) -> None:
    job = upsert(engine, {"a": "one", "b": "two"})
    for _ in range(3):
        crash(engine, poison=0)
    counters = engine.cancel(job).counters
    assert (counters.failed, counters.cancelled) == (1, 1)
    assert_conserved(engine)


def test_a_loss_that_was_not_counted_would_be_caught(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    alter_query(monkeypatch, "return_batches", "losses = b.losses + %(lost)s::boolean::integer", "losses = 0")
    with pytest.raises(AssertionError):
        test_an_item_is_set_aside_at_its_third_loss_and_its_neighbours_are_done(engine)


def test_a_lost_batch_is_claimed_alone_and_its_neighbours_count_nothing(engine: Engine) -> None:
    for name in "abc":
        upsert(engine, {name: name})
    claim = claimed(engine)
    assert len(claim.batches) == 3
    lose(engine, claim)
    execute(engine, "UPDATE batch SET losses = 0 WHERE job <> %s", claim.batches[1].job)
    first = claimed(engine)
    assert [batch.job for batch in first.batches] == [claim.batches[0].job, claim.batches[2].job]
    alone = claimed(engine)
    assert [batch.job for batch in alone.batches] == [claim.batches[1].job]
