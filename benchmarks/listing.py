"""How long a page of `list-jobs` takes, filter by filter, with few jobs in the ledger and with a million."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from benchmarks.generated_jobs import add_jobs, add_tenants
from indexmill.domain.job import JobPlace, JobWalk
from indexmill.domain.job_state import OPEN_STATES, JobState
from indexmill.ledger.ledger import Ledger, open_ledger
from indexmill.ledger.migrate import migrate
from indexmill.settings import DatabaseSettings, Settings

__all__ = ["page_times"]

_TENANTS: Final = 50
_FEW: Final = 1_000
_TENANT: Final = 7
#: What each tenant, and each of its four collections, has at least: pages are as long with few jobs as with many.
_LIMIT: Final = 5
_PAGES: Final = 200
_DATABASE: Final = "list_jobs_bench"


def page_times(url: str, jobs: int) -> dict[str, tuple[float, float]]:
    """Filter -> median seconds of a page with 1,000 jobs, and with `jobs`; in a database of its own."""
    now = datetime.now(UTC)
    with _database(url) as (ledger, connection):
        add_tenants(connection, _TENANTS)
        add_jobs(connection, _FEW, now)
        few = _times(ledger, connection, now)
        add_jobs(connection, jobs - _FEW, now - timedelta(seconds=_FEW))
        many = _times(ledger, connection, now)
    return {name: (few[name], many[name]) for name in few}


def _times(ledger: Ledger, connection: psycopg.Connection[dict[str, Any]], now: datetime) -> dict[str, float]:
    connection.execute("VACUUM ANALYZE job")
    rows = connection.execute("SELECT id FROM collection WHERE tenant = %s ORDER BY id", [_TENANT]).fetchall()
    numbers = [row["id"] for row in rows]
    newest = ledger.jobs.walk(JobWalk(_TENANT), after=None, limit=_LIMIT)
    oldest = now - timedelta(days=180)
    filters = {
        "no filter": JobWalk(_TENANT, created_from=oldest),
        "job": JobWalk(_TENANT, ids=(newest[0].id,), created_from=oldest),
        "time": JobWalk(_TENANT, created_from=newest[-1].created_at),
        "completed": JobWalk(_TENANT, states=(JobState.SUCCEEDED,), created_from=oldest),
        "active": JobWalk(_TENANT, states=tuple(OPEN_STATES), created_from=oldest),
        "states": JobWalk(_TENANT, states=(JobState.SUCCEEDED, JobState.CANCELLED), created_from=oldest),
        "corpus": JobWalk(_TENANT, collections=(numbers[0],), created_from=oldest),
        "corpora": JobWalk(_TENANT, collections=tuple(numbers), created_from=oldest),
        "corpus and state": JobWalk(
            _TENANT, collections=(numbers[0],), states=(JobState.SUCCEEDED,), created_from=oldest
        ),
    }
    found = {name: _page_time(ledger, wanted, None) for name, wanted in filters.items()}
    last = ledger.jobs.walk(JobWalk(_TENANT), after=None, limit=1_000_000)[-2 * _LIMIT]
    found["deep page"] = _page_time(ledger, filters["no filter"], JobPlace(last.created_at, last.id))
    return found


def _page_time(ledger: Ledger, wanted: JobWalk, after: JobPlace | None) -> float:
    seconds = []
    for _ in range(_PAGES):
        started = time.perf_counter()
        ledger.jobs.walk(wanted, after=after, limit=_LIMIT + 1)
        seconds.append(time.perf_counter() - started)
    return median(seconds)


@contextmanager
def _database(url: str) -> Iterator[tuple[Ledger, psycopg.Connection[dict[str, Any]]]]:
    base, _, query = url.partition("?")
    own = f"{base.rpartition('/')[0]}/{_DATABASE}" + (f"?{query}" if query else "")
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {_DATABASE} TEMPLATE template0")
        ledger = open_ledger(own, Settings(database=DatabaseSettings(url=own, direct_url=own)))
        try:
            migrate(ledger.database)
            with psycopg.connect(own, autocommit=True, row_factory=dict_row) as connection:
                yield ledger, connection
        finally:
            ledger.database.close()
            server.execute(f"DROP DATABASE {_DATABASE} WITH (FORCE)")
