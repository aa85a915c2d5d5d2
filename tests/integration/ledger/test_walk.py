"""Walking through jobs: every condition holds, nothing is met twice or missed, and what does not match is not read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.rows import dict_row

from benchmarks.generated_jobs import add_jobs, add_tenants
from benchmarks.walk_plans import walk_plan
from indexmill.domain.job import Item, Job, JobKind, JobPlace, JobWalk, Submission
from indexmill.domain.job_state import JobState
from indexmill.engine import Engine
from indexmill.ledger.ledger import Ledger

UNTIL = datetime(2026, 1, 2, tzinfo=UTC)
FEW, MANY = 1_000, 12_000
TENANTS = 5
LIMIT = 11


@pytest.fixture
def connection(ledger: Ledger, database_url: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    with psycopg.connect(database_url, autocommit=True, row_factory=dict_row) as made:
        made.execute("SET enable_seqscan = off")
        add_tenants(made, TENANTS)
        yield made


def _walk(ledger: Ledger, wanted: JobWalk, limit: int = 100) -> list[Job]:
    """All of it, page by page."""
    met: list[Job] = []
    while page := ledger.jobs.walk(
        wanted, after=JobPlace(met[-1].created_at, met[-1].id) if met else None, limit=limit
    ):
        met += page
    return met


def _rows(connection: psycopg.Connection[dict[str, Any]]) -> list[dict[str, Any]]:
    return connection.execute("SELECT * FROM job ORDER BY created_at DESC, id DESC").fetchall()


def test_every_condition_must_hold(ledger: Ledger, connection: psycopg.Connection[dict[str, Any]]) -> None:
    add_jobs(connection, 600, UNTIL)
    rows = _rows(connection)
    mine = [row for row in rows if row["tenant"] == 2]
    numbers = sorted({row["collection"] for row in mine})
    foreign = next(row for row in rows if row["tenant"] == 3)
    since = UNTIL - timedelta(seconds=400)
    states = (JobState.FAILED, JobState.RUNNING)
    some = tuple(row["id"] for row in mine[::3])
    name = connection.execute("SELECT name FROM collection WHERE id = %s", [numbers[1]]).fetchall()[0]["name"]

    def expected(*conditions: Any) -> list[UUID]:
        return [row["id"] for row in mine if all(each(row) for each in conditions)]

    def is_young(row: dict[str, Any]) -> bool:
        return bool(row["created_at"] >= since)

    def in_states(row: dict[str, Any]) -> bool:
        return row["state"] in states

    def in_first(row: dict[str, Any]) -> bool:
        return bool(row["collection"] == numbers[0])

    first_two = (numbers[0], name)
    cases: list[tuple[JobWalk, list[UUID]]] = [
        (JobWalk(2), expected()),
        (JobWalk(2, created_from=since), expected(is_young)),
        (JobWalk(2, states=states), expected(in_states)),
        (JobWalk(2, states=(JobState.QUEUED,)), []),
        (JobWalk(2, states=()), []),
        (JobWalk(2, states=states, created_from=since), expected(in_states, is_young)),
        (JobWalk(2, collections=(numbers[0],)), expected(in_first)),
        (JobWalk(2, collections=first_two), expected(lambda row: row["collection"] in numbers[:2])),
        (JobWalk(2, collections=()), []),
        (JobWalk(2, collections=(foreign["collection"], 2**32 - 1, "nowhere")), []),
        (JobWalk(2, collections=(numbers[0],), states=states), expected(in_first, in_states)),
        (JobWalk(2, ids=some), list(some)),
        (JobWalk(2, ids=(*some, foreign["id"], uuid4())), list(some)),
        (JobWalk(2, ids=some, states=states), expected(in_states, lambda row: row["id"] in some)),
        (JobWalk(2, ids=some, collections=(numbers[0],)), expected(in_first, lambda row: row["id"] in some)),
        (JobWalk(2, ids=some, created_from=since), expected(is_young, lambda row: row["id"] in some)),
        (JobWalk(2, ids=(foreign["id"],)), []),
    ]
    for wanted, ids in cases:
        assert [job.id for job in _walk(ledger, wanted, 7)] == ids, wanted
    assert all(len(ids) > 0 for wanted, ids in cases[:3])
    by_id = {row["id"]: row["collection"] for row in mine}
    assert {job.id: job.collection_number for job in _walk(ledger, JobWalk(2))} == by_id


def test_a_page_reads_no_more_where_there_are_many_jobs(
    ledger: Ledger, connection: psycopg.Connection[dict[str, Any]]
) -> None:
    """Counted, not timed: the entries that the plan of each filter touches."""
    numbers = [row["id"] for row in connection.execute("SELECT id FROM collection WHERE tenant = 2").fetchall()]
    oldest = UNTIL - timedelta(days=180)
    filters = {
        "none": JobWalk(2),
        "time": JobWalk(2, created_from=UNTIL - timedelta(seconds=FEW // 2)),
        "one state": JobWalk(2, states=(JobState.SUCCEEDED,), created_from=oldest),
        "a rare state": JobWalk(2, states=(JobState.CANCELLED,), created_from=oldest),
        "a state that no job has": JobWalk(2, states=(JobState.REFUSED,), created_from=oldest),
        "open states": JobWalk(2, states=(JobState.QUEUED, JobState.RUNNING)),
        "all states": JobWalk(2, states=tuple(JobState), created_from=oldest),
        "a corpus": JobWalk(2, collections=(numbers[0],), created_from=oldest),
        "corpora by name": JobWalk(2, collections=("generated-1", "generated-2"), created_from=oldest),
        "a corpus and states": JobWalk(2, collections=(numbers[0],), states=(JobState.FAILED, JobState.QUEUED)),
        "another tenant's corpus": JobWalk(3, collections=(numbers[0],), created_from=oldest),
    }
    add_jobs(connection, FEW, UNTIL)
    connection.execute("ANALYZE job")
    few = {name: walk_plan(connection, wanted, None, LIMIT) for name, wanted in filters.items()}
    add_jobs(connection, MANY, UNTIL - timedelta(seconds=FEW))
    connection.execute("ANALYZE job")
    deep = _walk(ledger, JobWalk(2))[-200]
    place = JobPlace(deep.created_at, deep.id)
    for name, wanted in filters.items():
        for after in (None, place):
            plan = walk_plan(connection, wanted, after, LIMIT)
            assert plan.problem is None, f"{name}: {plan.problem}; of {FEW} jobs it read {few[name].read}"


def test_a_plan_that_reads_all_jobs_is_noticed(connection: psycopg.Connection[dict[str, Any]]) -> None:
    add_jobs(connection, 2 * FEW, UNTIL)
    connection.execute("ANALYZE job")
    connection.execute("SET enable_seqscan = on; SET enable_indexscan = off; SET enable_indexonlyscan = off")
    plan = walk_plan(connection, JobWalk(2), None, LIMIT)
    assert plan.problem is not None
    assert "Seq Scan" in plan.problem
    assert plan.sorted > plan.most_read


def test_a_walk_meets_every_old_job_once_while_others_are_added(engine: Engine, ledger: Ledger) -> None:
    some, begun = threading.Event(), threading.Event()

    def submit(count: int) -> None:
        for first in range(0, count, 25):
            if first == 50:
                # The walk begins at the newest of these; those that come while it goes on are newer.
                some.set()
                assert begun.wait(60)
            engine.submit_together(
                [Submission(JobKind.UPSERTION, "tiny", [Item(f"d{first + n}", {"text": "a"})]) for n in range(25)]
            )

    begun.set()
    submit(200)
    old = [job.id for job in _walk(ledger, JobWalk())]
    assert len(old) == 200
    some.clear()
    begun.clear()
    adding = threading.Thread(target=submit, args=(1_000,))
    adding.start()
    assert some.wait(60)
    met: list[Job] = []
    for number in range(10):
        met += ledger.jobs.walk(
            JobWalk(), after=JobPlace(met[-1].created_at, met[-1].id) if met else None, limit=100 if number else 1
        )
        begun.set()
    adding.join(timeout=60)
    assert not adding.is_alive()
    ids = [job.id for job in met]
    assert len(set(ids)) == len(ids)
    assert set(ids) >= set(old)
