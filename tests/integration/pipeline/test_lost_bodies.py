"""Batches whose stored items are gone or damaged: their job ends and says so, whatever is claimed with them goes on."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest

from indexmill.domain.bodies import DistinctIds, RequestDigest, pack
from indexmill.domain.job import Item
from indexmill.domain.job_state import JobState, Reason
from indexmill.engine import Engine
from indexmill.pipeline.run_window import WindowOutcome
from tests.draining import assert_conserved, claimed, documents, drain, execute, job_of, lose, rows, run, upsert


def other(names: str) -> bytes:
    """The body of another job."""
    (body,) = pack([Item(name, {"text": "x"}) for name in names], RequestDigest(), DistinctIds())
    return body.data


#: What can have become of a stored body; None: its row is gone.
DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "gone": lambda _: None,
    "empty": lambda _: b"",
    "another format": lambda _: b'[["a",2,null]]\n{}',
    "cut in its head": lambda body: body[:30],
    "cut behind its head": lambda body: body[: body.index(b"[[")],
    "another id": lambda body: body.replace(b'["a"', b'["z"'),
    "ids that are no JSON": lambda body: body.replace(b'["a"', b'["a '),
    "lengths that are none": lambda body: body.replace(b"[[", b"[("),
    "not compressed": lambda body: body[: body.index(b"[[")] + b"\x01",
    "fewer": lambda _: other("a"),
    "more": lambda _: other("abc"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_job_whose_items_are_lost_fails_with_a_sentence_and_its_neighbour_is_done(
    engine: Engine, damage: Callable[[bytes], bytes | None]
) -> None:
    broken = upsert(engine, {"a": "one", "b": "two"})
    whole = upsert(engine, {"c": "three"})
    [stored] = rows(engine, "SELECT body FROM batch_body WHERE job = %s", broken.id)
    body = damage(bytes(stored["body"]))
    assert body != stored["body"]
    if body is None:
        execute(engine, "DELETE FROM batch_body WHERE job = %s", broken.id)
    else:
        execute(engine, "UPDATE batch_body SET body = %s WHERE job = %s", body, broken.id)

    assert drain(engine) == [WindowOutcome.DONE]

    ended = job_of(engine, broken)
    assert (ended.state, ended.reason, ended.counters.cancelled) == (JobState.FAILED, Reason.SYSTEM, 2)
    assert "missing or damaged" in str(ended.detail)
    assert job_of(engine, whole).state is JobState.SUCCEEDED
    assert set(documents(engine)) == {"c"}
    assert rows(engine, "SELECT token FROM lease") == []
    assert_conserved(engine)


def test_a_job_of_which_one_batch_is_lost_keeps_what_it_has_written_and_ends(engine: Engine) -> None:
    job = upsert(engine, {f"d{number:03}": f"text {number}" for number in range(600)})
    execute(engine, "DELETE FROM batch_body WHERE ordinal = 1")
    while (outcome := run(engine, claimed(engine))) is not WindowOutcome.LOST:
        assert outcome is WindowOutcome.DONE
    ended = job_of(engine, job)
    assert (ended.state, ended.counters.indexed + ended.counters.cancelled) == (JobState.FAILED, 600)
    assert engine.ledger.claims.lane_heads() == []
    assert rows(engine, "SELECT token FROM lease") == []
    assert_conserved(engine)


def test_a_batch_that_loses_its_items_while_it_takes_workers_with_it_is_no_lease_for_ever(engine: Engine) -> None:
    job = upsert(engine, {"a": "one"})
    for _ in range(5):
        assert lose(engine, claimed(engine), position=0) == 1
        execute(engine, "DELETE FROM batch_body")
    assert drain(engine) == [WindowOutcome.LOST]
    assert job_of(engine, job).state is JobState.FAILED
    assert_conserved(engine)


def test_a_job_whose_items_are_damaged_is_still_shown(engine: Engine) -> None:
    job = upsert(engine, {"a": "one"})
    execute(engine, "UPDATE batch_body SET body = %s", zlib.compress(b"[1]"))
    assert engine.first_item(job) is None
