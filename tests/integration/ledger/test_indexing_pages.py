"""Pages of indexing jobs: every page from either end, exact totals, and a last page that costs what the first does."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg
import pytest

from indexmill.domain.knowledge_base import DataSourceKind, NewDataSource
from indexmill.engine import Engine
from indexmill.knowledge_bases import KnowledgeBases
from indexmill.ledger.sql_files import query_text
from tests.draining import execute, rows

SOURCE = NewDataSource(DataSourceKind.SPACES, {"bucket_name": "shelf"})
#: Ended jobs like the one that is there, each a second older, several of the same moment.
MORE = """
    INSERT INTO job (id, tenant, kind, seq, state, reason, events, collection, model, lane, knowledge_base, queued_at,
                     created_at, finished_at)
    SELECT gen_random_uuid(), tenant, kind, nextval('job_seq'), 'succeeded', 'complete', 1, collection, model, lane,
           knowledge_base, queued_at, created_at - n / 3 * interval '1 second', created_at
    FROM job, generate_series(1, %s) AS n (n) WHERE id = %s"""


@pytest.fixture
def bases(engine: Engine) -> KnowledgeBases:
    engine.deploy("tiny", "deterministic", {"dimension": 8})
    return KnowledgeBases(engine, lambda *_: b"", lambda *_: None)


def _with_jobs(bases: KnowledgeBases, count: int) -> UUID:
    made = bases.create("shelf", "tiny", [SOURCE], {})
    assert made.last_job is not None
    execute(bases.engine, MORE, count - 1, made.last_job.job.id)
    return made.id


def test_every_page_has_what_its_place_says(bases: KnowledgeBases) -> None:
    first, second = _with_jobs(bases, 23), _with_jobs(bases, 11)
    for base, total in ((None, 34), (first, 23), (second, 11)):
        newest = [
            row["id"]
            for row in rows(bases.engine, "SELECT id, knowledge_base FROM job ORDER BY created_at DESC, id DESC")
            if base in (None, row["knowledge_base"])
        ]
        assert len(newest) == total
        for limit in (1, 4, 7, 50):
            for offset in range(total + 3):
                found, counted = bases.jobs(limit, offset, base)
                assert [each.job.id for each in found] == newest[offset : offset + limit]
                assert counted == total


@pytest.mark.parametrize("count", [3_000, pytest.param(100_000, marks=pytest.mark.chaos)])
def test_the_last_page_costs_what_the_first_does(bases: KnowledgeBases, count: int) -> None:
    base = _with_jobs(bases, count)
    with psycopg.connect(bases.engine.ledger.database.url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE job")
    queries: dict[str, dict[str, Any]] = {
        "page_of_indexing_jobs": {"tenant": 1},
        "page_of_indexing_jobs_of_knowledge_base": {"knowledge_base": base},
    }
    for name, values in queries.items():
        first = _rows_read(bases, name, {**values, "limit": 20, "offset": 0, "from_end": False})
        last = _rows_read(bases, name, {**values, "limit": 20, "offset": 0, "from_end": True})
        naive = _rows_read(bases, name, {**values, "limit": 20, "offset": count - 20, "from_end": False})
        assert first <= last <= 3 * first
        assert naive > count / 2
    for wanted in (None, base):
        found, total = bases.jobs(20, count - 20, wanted)
        assert (len(found), total) == (20, count)


def _rows_read(bases: KnowledgeBases, name: str, values: dict[str, Any]) -> float:
    """Rows that the plan's deepest nodes, those that read tables and indexes, have given."""
    query = query_text("indexmill.ledger", name)
    with bases.engine.ledger.database.connection() as connection:
        (row,) = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", values, prepare=False).fetchall()
    (plan,) = next(iter(row.values()))
    return _read_by(plan["Plan"])


def _read_by(node: dict[str, Any]) -> float:
    if "Plans" in node:
        return sum(map(_read_by, node["Plans"]))
    return float(node["Actual Rows"] * node["Actual Loops"])
