"""How long a page of `list-jobs` takes over HTTP, filter by filter, with few jobs in the ledger and with a million; and
what PostgreSQL reads for it.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from benchmarks.clients import call, request_times
from benchmarks.generated_jobs import add_jobs, add_tenants
from benchmarks.walk_plans import WalkPlan, walk_plan
from indexmill.domain.job import JobPlace, JobWalk
from indexmill.domain.job_state import OPEN_STATES, JobState
from indexmill.ledger.ledger import Ledger, open_ledger
from indexmill.ledger.migrate import migrate
from indexmill.settings import DatabaseSettings, Settings

__all__ = ["MeasuredPage", "measure_pages"]

_TENANTS: Final = 50
_FEW: Final = 1_000
#: Who lists: without a key it is the first one.
_TENANT: Final = 1
_PATH: Final = "/v1/list-jobs"
#: Jobs of a page, as clients ask for them; there are so many for each filter, with few jobs as with many.
_LIMIT: Final = 100
_PAGES: Final = 10
_TURNS: Final = 10


@dataclass(frozen=True)
class MeasuredPage:
    """Median seconds of a page with 1,000 jobs, and with many; `plan`: with many."""

    few: float
    many: float
    plan: WalkPlan


@dataclass(frozen=True)
class _Listed:
    """A ledger, and the port of an API over it."""

    ledger: Ledger
    connection: psycopg.Connection[dict[str, Any]]
    port: int


@dataclass(frozen=True)
class _Filter:
    """What is asked for, and the walk that it becomes."""

    body: dict[str, Any]
    walk: JobWalk
    jobs: int = _LIMIT
    after: JobPlace | None = None


def measure_pages(url: str, jobs: int, free_port: Callable[[], int]) -> dict[str, MeasuredPage]:
    """By filter; in two databases of their own, asked in turns. All of the 1,000 jobs are one tenant's, of the many a
    fiftieth.
    """
    now = datetime.now(UTC)
    with _listed(url, "few", free_port()) as few, _listed(url, "many", free_port()) as many:
        add_jobs(few.connection, _FEW, now, tenants=1, rare=_rare(_FEW))
        add_jobs(many.connection, jobs, now, rare=_rare(jobs // _TENANTS))
        wanted_of_few, wanted = _filters(few), _filters(many)
        found = {}
        for name, each in wanted.items():
            with many.ledger.database.connection() as as_the_ledger:
                plan = walk_plan(as_the_ledger, each.walk, each.after, each.jobs + 1)
            times = _page_times((few, wanted_of_few[name]), (many, each))
            found[name] = MeasuredPage(*times, plan)
    return found


def _rare(jobs: int) -> int:
    """How many in a hundred are in each rare state, so that of so many jobs there is a page of them."""
    return min(25, max(1, round(140 * _LIMIT / jobs)))


def _filters(listed: _Listed) -> dict[str, _Filter]:
    """Each field that a request may have, and some together."""
    listed.connection.execute("VACUUM ANALYZE job")
    rows = listed.connection.execute("SELECT id FROM collection WHERE tenant = %s ORDER BY id", [_TENANT]).fetchall()
    numbers = [row["id"] for row in rows]
    newest = listed.ledger.jobs.walk(JobWalk(_TENANT), after=None, limit=_LIMIT + 20)
    since = newest[-1].created_at.replace(microsecond=0)
    oldest = datetime.now(UTC) - timedelta(days=180)

    def walk(**conditions: Any) -> JobWalk:
        return JobWalk(_TENANT, **({"created_from": oldest} | conditions))

    completed, failed = (JobState.SUCCEEDED,), (JobState.FAILED, JobState.REFUSED)
    states = {"completed": ["JOB_STATE__COMPLETED"], "failed": ["JOB_STATE__FAILED"]}
    states["active"] = ["JOB_STATE__QUEUED", "JOB_STATE__STARTED", "JOB_STATE__TRANSIENT_FAILURE_RETRY_IMMINENT"]
    one, several, both = walk(collections=(numbers[0],)), walk(collections=tuple(numbers)), (*completed, *failed)
    key, place = _deep(listed)
    return {
        "no field": _Filter({}, walk()),
        "jobId": _Filter({"jobId": f"job_{newest[0].id}"}, walk(ids=(newest[0].id,)), jobs=1),
        "epochSecs": _Filter({"epochSecs": str(int(since.timestamp()))}, walk(created_from=since)),
        "state: completed": _Filter({"state": states["completed"]}, walk(states=completed)),
        "state: failed": _Filter({"state": states["failed"]}, walk(states=failed)),
        "state: active": _Filter({"state": states["active"]}, walk(states=tuple(OPEN_STATES))),
        "state: several": _Filter({"state": states["completed"] + states["failed"]}, walk(states=both)),
        "corpusId: one": _Filter({"corpusId": numbers[:1]}, one),
        "corpusId: several": _Filter({"corpusId": numbers}, several),
        "corpusId, state": _Filter(
            {"corpusId": numbers[:1], "state": states["completed"]}, walk(collections=(numbers[0],), states=completed)
        ),
        "numResults": _Filter({"numResults": 10}, walk(), jobs=10),
        "pageKey: the last page": _Filter({"pageKey": key}, walk(), after=place),
    }


def _deep(listed: _Listed) -> tuple[str, JobPlace]:
    """The key of the last page that is full, and the job before it."""
    ends: list[tuple[str, str]] = []
    page = call(listed.port, "POST", _PATH, {})
    while page["pageKey"]:
        ends.append((page["pageKey"], page["job"][-1]["id"]))
        page = call(listed.port, "POST", _PATH, {"pageKey": page["pageKey"]})
    key, before = ends[-1] if len(page["job"]) == _LIMIT else ends[-2]
    job = listed.ledger.jobs.get(UUID(before.removeprefix("job_")))
    assert job is not None
    return key, JobPlace(job.created_at, job.id)


def _page_times(*asked: tuple[_Listed, _Filter]) -> tuple[float, float]:
    """Medians; in turns, so that whatever else the machine does is in all of them."""
    for listed, wanted in asked:
        found = call(listed.port, "POST", _PATH, wanted.body)["job"]
        if len(found) != wanted.jobs:
            raise SystemExit(f"expected a page of {wanted.jobs} jobs for {wanted.body}, got {len(found)}")
    seconds: list[list[float]] = [[] for _ in asked]
    for _ in range(_TURNS):
        for mine, (listed, wanted) in zip(seconds, asked, strict=True):
            mine.extend(request_times(listed.port, "POST", _PATH, wanted.body, _PAGES))
    few, many = map(median, seconds)
    return few, many


@contextmanager
def _api(url: str, port: int) -> Iterator[None]:
    """An API over the database, in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INDEXMILL_")}
    with tempfile.TemporaryDirectory(prefix="indexmill-listing-") as folder:
        environment |= {
            "INDEXMILL_DATA_FOLDER": folder,
            "INDEXMILL_DATABASE__URL": url,
            "INDEXMILL_DATABASE__DIRECT_URL": url,
            "INDEXMILL_SERVER__PORT": str(port),
            "INDEXMILL_SERVER__SECRET_KEY": base64.b64encode(os.urandom(32)).decode(),
            "INDEXMILL_LOG_LEVEL": "warning",
        }
        process = subprocess.Popen([sys.executable, "-m", "benchmarks.api_only"], env=environment)
        try:
            _await(process, port)
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            call(port, "GET", "/healthz")
        except (OSError, EOFError):
            if time.monotonic() > until or process.poll() is not None:
                raise SystemExit("the API did not become ready within 60 s") from None
            time.sleep(0.1)
        else:
            return


@contextmanager
def _listed(url: str, name: str, port: int) -> Iterator[_Listed]:
    """A database with tenants that have no jobs yet, and an API over it."""
    base, _, query = url.partition("?")
    database = f"list_jobs_bench_{name}"
    own = f"{base.rpartition('/')[0]}/{database}" + (f"?{query}" if query else "")
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {database} TEMPLATE template0")
        ledger = open_ledger(own, Settings(database=DatabaseSettings(url=own, direct_url=own)))
        try:
            migrate(ledger.database)
            with _api(own, port), psycopg.connect(own, autocommit=True, row_factory=dict_row) as connection:
                add_tenants(connection, _TENANTS)
                yield _Listed(ledger, connection, port)
        finally:
            ledger.database.close()
            server.execute(f"DROP DATABASE {database} WITH (FORCE)")
