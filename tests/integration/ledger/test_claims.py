"""Claims: rank order and budgets, lost batches alone, disjoint claims, and which lane's turn it is."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from indexmill.domain.job import Item
from indexmill.engine import Engine
from indexmill.ledger.claims import DELETE_LANE, LaneHead
from indexmill.ledger.collections import lane_of
from indexmill.worker.turns import next_lane
from tests.draining import (
    PLENTY,
    alter_query,
    claim_next,
    claimed,
    delete,
    drain,
    execute,
    job_of,
    lose,
    rows,
    run,
    submit,
    upsert,
)

LANE = lane_of(1, "tiny")


def claim(engine: Engine, max_bytes: int = PLENTY, lane: str = LANE) -> list[tuple[object, int]]:
    taken = engine.ledger.claims.claim(lane, "test/claims", max_bytes)
    return [batch.key for batch in taken.batches] if taken else []


def large(engine: Engine, batches: int = 20) -> object:
    return submit(engine, (Item(f"d{n}", {"text": f"text {n}"}) for n in range(batches * 256))).id


# Rank and budget


def test_a_job_that_has_been_started_is_not_started_by_every_window(engine: Engine) -> None:
    job = upsert(engine, {f"d{n}": "text" for n in range(600)})
    first = claim_next(engine, max_bytes=1)
    assert first is not None
    assert [batch.is_queued for batch in first.batches] == [True]
    run(engine, first)
    second = claimed(engine)
    assert {(batch.job, batch.is_queued) for batch in second.batches} == {(job.id, False)}
    assert [event.state for event in engine.events(job)] == ["queued", "running"]


def test_a_small_job_overtakes_the_tail_of_a_large_one(engine: Engine) -> None:
    first = large(engine)
    assert claim(engine, max_bytes=1) == [(first, 0)]
    small = upsert(engine, {"a": "one"})
    assert claim(engine, max_bytes=1) == [(small.id, 0)]
    assert claim(engine, max_bytes=1) == [(first, 1)]


def test_a_large_job_gets_one_batch_every_30_seconds_under_a_flood(engine: Engine) -> None:
    """Small jobs arrive every five seconds, as many as are worked off: the rank of the large one's next comes up."""
    first = large(engine, batches=5)
    for number in range(30):
        small = upsert(engine, {f"s{number}": "small"})
        execute(engine, "UPDATE batch SET rank = rank + %s WHERE job = %s", timedelta(seconds=5 * number + 1), small.id)
    order = [key for _ in range(35) for key in claim(engine, max_bytes=1)]
    places = [place for place, (job, _) in enumerate(order) if job == first]
    # Between two of them the six small ones of 30 s.
    assert places == [0, 7, 14, 21, 28]


def test_a_claim_takes_batches_in_rank_order_up_to_its_bytes_and_at_least_one(engine: Engine) -> None:
    jobs = [upsert(engine, {f"d{n}": "x" * 1000}) for n in range(6)]
    size = rows(engine, "SELECT max(bytes) AS n FROM batch")[0]["n"]
    assert claim(engine, max_bytes=3 * size) == [(job.id, 0) for job in jobs[:3]]
    assert claim(engine, max_bytes=0) == [(jobs[3].id, 0)]
    assert claim(engine) == [(jobs[4].id, 0), (jobs[5].id, 0)]
    assert claim(engine) == []


def test_a_claim_takes_its_slot_s_share_of_what_is_ready(engine: Engine) -> None:
    for number in range(8):
        upsert(engine, {f"d{number}": "x" * 1000})
    engine.ledger.workload.report("one", 3)
    engine.ledger.workload.report("two", 1)
    assert len(claim(engine, 8000)) == 2
    engine.ledger.workload.report("one", 0)
    assert len(claim(engine, 8000)) == 6


def test_a_quarter_of_a_window_is_never_shared(engine: Engine) -> None:
    for number in range(8):
        upsert(engine, {f"d{number}": "x" * 1000})
    engine.ledger.workload.report("one", 8)
    assert len(claim(engine, 16_000)) == 4


def test_a_worker_that_fell_silent_has_no_share(engine: Engine) -> None:
    for number in range(4):
        upsert(engine, {f"d{number}": "x" * 1000})
    engine.ledger.workload.report("silent", 4)
    execute(engine, "UPDATE worker SET seen_at = now() - interval '11 s'")
    assert len(claim(engine)) == 4


def test_a_claim_knows_all_that_running_needs(engine: Engine) -> None:
    job = upsert(engine, {"a": "one", "b": "two"})
    taken = claim_next(engine)
    assert taken is not None
    batch = taken.batches[0]
    assert (batch.job, batch.ordinal, batch.items, batch.first_position, batch.model) == (job.id, 0, 2, 0, "tiny")
    assert (batch.tries, batch.losses, batch.set_aside, batch.outcomes, batch.force) == (0, 0, (), None, False)
    assert taken.size == batch.size > 0
    stored = rows(engine, "SELECT claims, lease, state FROM batch")
    assert stored == [{"claims": 1, "lease": taken.token, "state": "running"}]
    assert rows(engine, "SELECT token, worker FROM lease") == [{"token": taken.token, "worker": "test/claim"}]


# Lost batches


def test_a_batch_that_was_lost_is_claimed_alone(engine: Engine) -> None:
    jobs = [upsert(engine, {f"d{n}": "text"}) for n in range(4)]
    taken = engine.ledger.claims.claim(LANE, "test/dies", 1)
    assert taken is not None
    assert [batch.job for batch in taken.batches] == [jobs[0].id]
    lose(engine, taken)
    assert claim(engine) == [(jobs[0].id, 0)]
    assert claim(engine) == [(job.id, 0) for job in jobs[1:]]


def test_a_lost_batch_in_the_middle_is_left_for_its_own_turn(engine: Engine) -> None:
    jobs = [upsert(engine, {f"d{n}": "text"}) for n in range(3)]
    execute(engine, "UPDATE batch SET losses = 1 WHERE job = %s", jobs[1].id)
    assert claim(engine) == [(jobs[0].id, 0), (jobs[2].id, 0)]
    assert claim(engine) == [(jobs[1].id, 0)]


# Two at once


def test_two_connections_take_different_batches(engine: Engine) -> None:
    jobs = [upsert(engine, {f"d{n}": "text"}) for n in range(2)]
    with psycopg.connect(engine.ledger.database.url) as other:
        other.execute("SELECT 1 FROM batch WHERE job = %s FOR UPDATE", (jobs[0].id,))
        # Locked by somebody: skipped without a wait, the others are taken.
        assert claim(engine) == [(jobs[1].id, 0)]
        other.rollback()
    assert claim(engine) == [(jobs[0].id, 0)]


def claim_from_threads(engine: Engine) -> None:
    jobs = [upsert(engine, {f"d{n}": "text"}).id for n in range(40)]
    taken: list[object] = []
    start = threading.Barrier(8)

    def work() -> None:
        start.wait(timeout=60)
        for _ in range(40):
            taken.extend(job for job, _ in claim(engine, max_bytes=200))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(taken, key=str) == sorted(jobs, key=str), "every batch is taken exactly once"


def test_eight_threads_take_every_batch_exactly_once(engine: Engine) -> None:
    claim_from_threads(engine)


def test_a_claim_that_did_not_look_at_the_state_again_would_be_caught(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    alter_query(monkeypatch, "claim_batches", "WHERE b.state = 'ready'\n", "")
    alter_query(monkeypatch, "claim_batches", "FOR UPDATE OF b SKIP LOCKED", "")

    def claim_often() -> None:
        # Whether two threads meet in one run is chance.
        for _ in range(30):
            claim_from_threads(engine)

    with pytest.raises(AssertionError):
        claim_often()


# Lanes


def head(lane: str, rank_seconds: float = 0, waited: float = 0) -> LaneHead:
    return LaneHead(lane, datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=rank_seconds), waited)


@pytest.mark.parametrize(
    ("heads", "current", "chosen"),
    [
        pytest.param([], None, None, id="nothing is ready"),
        pytest.param([head("a", 2), head("b", 1)], None, "b", id="the first rank"),
        pytest.param([head("a", 2), head("b", 1, 0.1)], "a", "a", id="the loaded model while nobody has waited"),
        pytest.param([head("a", 2), head("b", 1, 0.3)], "a", "b", id="another has waited and comes first"),
        pytest.param([head("a", 1), head("b", 2, 0.3)], "a", "a", id="another has waited but comes later"),
        pytest.param([head("b", 2), head("c", 1)], "a", "c", id="nothing of the loaded model"),
    ],
)
def test_the_next_lane(heads: list[LaneHead], current: str | None, chosen: str | None) -> None:
    assert next_lane(heads, current) == chosen


def test_lane_heads_come_in_rank_order_with_how_long_they_waited(engine: Engine) -> None:
    engine.deploy("second", "deterministic", {"dimension": 8})
    upsert(engine, {"a": "one"}, model="second")
    upsert(engine, {"a": "one"})
    delete(engine, ["a"])
    execute(engine, "UPDATE batch SET available_at = now() - interval '5 s' WHERE lane = %s", LANE)
    heads = engine.ledger.claims.lane_heads()
    assert [each.lane for each in heads] == [lane_of(1, "second"), LANE, DELETE_LANE]
    assert 5 <= heads[1].waited < 60


def test_a_claim_stays_in_its_lane(engine: Engine) -> None:
    engine.deploy("second", "deterministic", {"dimension": 8})
    other = upsert(engine, {"a": "one"}, model="second")
    mine = upsert(engine, {"a": "one"})
    assert claim(engine) == [(mine.id, 0)]
    assert claim(engine, lane=lane_of(1, "second")) == [(other.id, 0)]


def test_what_is_ready_is_counted_over_the_lanes_that_run(engine: Engine) -> None:
    upsert(engine, {"a": "one"})
    delete(engine, ["b"])
    engine.ledger.workload.report("here", 2)
    ready = engine.ledger.workload.ready()
    assert (ready.batches, ready.slots) == (2, 2)
    engine.ledger.lanes.stop(LANE, "no key")
    assert engine.ledger.workload.ready().batches == 1


def test_a_job_of_several_batches_runs_in_several_windows(engine: Engine) -> None:
    job = submit(engine, (Item(f"d{n}", {"text": "text"}) for n in range(600)))
    first = engine.ledger.claims.claim(LANE, "test/first", 1)
    assert first is not None
    run(engine, first)
    half = job_of(engine, job)
    assert half.counters.finished == 256
    assert round(half.progress, 2) == 0.43
    drain(engine)
    assert job_of(engine, job).progress == 1.0
