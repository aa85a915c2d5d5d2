"""The last submitted wins: one decision at a time, in the order that would go wrong."""

from __future__ import annotations

import threading

import psycopg
import pytest

from indexmill.domain.job_state import JobState, Reason
from indexmill.engine import Engine
from tests.draining import (
    assert_conserved,
    claim_next,
    delete,
    documents,
    drain,
    execute,
    job_of,
    rows,
    run,
    run_last_submitted_first,
    upsert,
    waiting_for_locks,
)
from tests.running_service import wait_until


def test_a_later_submission_that_ran_first_is_not_overwritten(engine: Engine) -> None:
    earlier = upsert(engine, {"a": "earlier"})
    later = upsert(engine, {"a": "later"}, external_id="the-winner")
    run_last_submitted_first(engine)
    assert documents(engine)["a"]["text"] == "later"
    lost = job_of(engine, earlier)
    assert (lost.state, lost.reason, lost.counters.superseded) == (JobState.CANCELLED, Reason.SUPERSEDED, 1)
    assert lost.detail is not None
    assert "`the-winner`" in lost.detail
    assert job_of(engine, later).counters.indexed == 1


def test_a_winner_without_a_name_is_named_by_its_id(engine: Engine) -> None:
    earlier = upsert(engine, {"a": "earlier"})
    later = upsert(engine, {"a": "later"})
    run_last_submitted_first(engine)
    assert f"`{later.id}`" in str(job_of(engine, earlier).detail)


def test_an_older_item_is_superseded_although_its_content_is_what_is_stored(engine: Engine) -> None:
    earlier = upsert(engine, {"a": "same"})
    upsert(engine, {"a": "same"})
    run_last_submitted_first(engine)
    assert job_of(engine, earlier).counters.superseded == 1
    assert job_of(engine, earlier).counters.unchanged == 0


def test_the_same_document_twice_in_a_task_ends_as_the_last_one(engine: Engine) -> None:
    job = upsert(engine, [("a", "first"), ("b", "other"), ("a", "second"), ("a", "third")])
    drain(engine)
    counters = job_of(engine, job).counters
    assert (counters.indexed, counters.superseded) == (2, 2)
    assert documents(engine)["a"]["text"] == "third"


def test_the_same_document_in_two_batches_of_a_task_ends_as_the_last_one(engine: Engine) -> None:
    texts = [("a", "first"), *((f"d{n}", f"text {n}") for n in range(300)), ("a", "last")]
    job = upsert(engine, texts)
    run_last_submitted_first(engine)
    assert documents(engine)["a"]["text"] == "last"
    assert job_of(engine, job).counters.superseded == 1
    assert_conserved(engine)


def test_a_delete_leaves_a_tombstone_that_holds_off_what_was_submitted_before_it(engine: Engine) -> None:
    earlier = upsert(engine, {"a": "late to run"})
    delete(engine, ["a"])
    run_last_submitted_first(engine)
    assert documents(engine) == {}
    assert job_of(engine, earlier).counters.superseded == 1
    stored = rows(engine, "SELECT fingerprint, payload, text, chunks, deleted_at IS NOT NULL AS gone FROM document")
    assert stored == [{"fingerprint": None, "payload": None, "text": None, "chunks": 0, "gone": True}]


def test_deletes_tell_what_was_there_from_what_was_not(engine: Engine) -> None:
    upsert(engine, {"a": "one", "b": "two"})
    drain(engine)
    first = delete(engine, ["a", "never-there", "a"])
    drain(engine)
    again = delete(engine, ["a", "b"])
    drain(engine)
    counters = job_of(engine, first).counters
    assert (counters.removed, counters.absent, counters.superseded) == (1, 1, 1)
    counters = job_of(engine, again).counters
    assert (counters.removed, counters.absent) == (1, 1)


def test_deletes_of_what_is_not_there_change_nothing(engine: Engine) -> None:
    job = delete(engine, ["never-there"])
    drain(engine)
    done = job_of(engine, job)
    assert (done.state, done.reason) == (JobState.SUCCEEDED, Reason.NOTHING_CHANGED)


def test_an_upsert_after_a_delete_brings_the_document_back(engine: Engine) -> None:
    upsert(engine, {"a": "one"})
    delete(engine, ["a"])
    drain(engine)
    back = upsert(engine, {"a": "one"})
    drain(engine)
    assert job_of(engine, back).counters.indexed == 1
    assert len(documents(engine)["a"]["vectors"]) == 1


def test_what_supersedes_a_skip_supersedes_its_version_too(engine: Engine) -> None:
    """A skip moves the version up: what was submitted between the first write and the skip has lost."""
    upsert(engine, {"a": "same"})
    drain(engine)
    between = upsert(engine, {"a": "between"})
    skipping = upsert(engine, {"a": "same"})
    run_last_submitted_first(engine)
    assert job_of(engine, skipping).counters.unchanged == 1
    assert job_of(engine, between).counters.superseded == 1
    assert documents(engine)["a"]["text"] == "same"


def test_a_reset_collection_takes_nothing_older(engine: Engine) -> None:
    """`min_seq`: nothing sets it yet; the guard is in place for a reset."""
    old = upsert(engine, {"a": "old"})
    execute(engine, "UPDATE collection SET min_seq = nextval('job_seq')")
    new = upsert(engine, {"b": "new"})
    drain(engine)
    assert set(documents(engine)) == {"b"}
    assert job_of(engine, old).counters.superseded == 1
    assert job_of(engine, new).counters.indexed == 1


def test_windows_on_the_same_documents_at_the_same_time_end_as_submitted(engine: Engine) -> None:
    """Two windows over the same ids in other orders, committing at once: no deadlock, the later one wins."""
    for round_ in range(5):
        upsert(engine, {f"d{n}": f"first {round_}" for n in range(60)})
        one = claim_next(engine)
        upsert(engine, {f"d{n}": f"second {round_}" for n in reversed(range(60))})
        two = claim_next(engine)
        assert one is not None
        assert two is not None
        threads = [threading.Thread(target=run, args=(engine, claim)) for claim in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
        assert {row["text"] for row in documents(engine).values()} == {f"second {round_}"}
    assert rows(engine, "SELECT sum(losses) + sum(tries) AS n FROM batch") == [{"n": 0}]
    assert_conserved(engine)


@pytest.mark.parametrize("deletes", [False, True])
def test_two_connections_never_hold_a_version_lower_than_what_was_there(engine: Engine, deletes: bool) -> None:
    """The guard is in the row's own lock: a transaction that waited re-reads what the other one wrote."""
    upsert(engine, {"a": "zero"})
    drain(engine)
    with psycopg.connect(engine.ledger.database.url) as holder:
        holder.execute("UPDATE document SET seq = 1000000 WHERE id = 'a'")
        job = delete(engine, ["a"]) if deletes else upsert(engine, {"a": "one"})
        thread = threading.Thread(target=drain, args=(engine,))
        thread.start()
        wait_until(lambda: waiting_for_locks(engine), 60, "the window to wait for the document")
        holder.commit()
        thread.join(timeout=60)
    assert job_of(engine, job).counters.superseded == 1
    assert documents(engine)["a"]["text"] == "zero"
