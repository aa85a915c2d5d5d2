"""One tenant's flood before another's one-item tasks, on real workers: how many windows are claimed in between."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

import psycopg
import pytest

from indexmill.domain.job import Item, Job, JobKind, Submission, Submitted
from indexmill.engine import Engine
from tests.acceptance.fixtures import StartService
from tests.running_service import wait_until

ITEMS = 20_000
ROUNDS = 10
#: Every claim of a window, when it was made: the ledger itself forgets leases.
LOG = """
CREATE TABLE claim_log (token uuid PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE FUNCTION log_claim() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO claim_log (token) VALUES (NEW.token); RETURN NULL; END $$;
CREATE TRIGGER log_claim AFTER INSERT ON lease FOR EACH ROW EXECUTE FUNCTION log_claim();
"""


def one_task(engine: Engine, items: list[Item]) -> None:
    engine.submit(Submission(JobKind.UPSERTION, "slow", items, tenant=engine.tenant))


def one_item_tasks(engine: Engine, items: list[Item]) -> None:
    for first in range(0, len(items), 64):
        group = items[first : first + 64]
        tasks = [Submission(JobKind.UPSERTION, "slow", [each], tenant=engine.tenant) for each in group]
        assert all(isinstance(each, Submitted) for each in engine.submit_together(tasks))


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("flood", [one_task, one_item_tasks])
def test_a_tenants_flood_delays_another_by_at_most_a_window(
    start_service: StartService, engine: Engine, database_url: str, flood: Any, processes: int
) -> None:
    large, small = (engine.of(engine.ledger.tenants.ensure(name).id) for name in ("large", "small"))
    # More than a minute of work for one process, however busy the machine is.
    large.deploy("slow", "deterministic", {"dimension": 8, "delay_ms_per_text": 5 * processes})
    small.deploy("tiny", "deterministic", {"dimension": 8})
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(LOG)
        flood(large, [Item(f"doc-{number}", {"text": f"text {number} of many"}) for number in range(ITEMS)])
        start_service(INDEXMILL_WORKER__PROCESSES=str(processes))
        wait_until(lambda: _claims(connection) > 2 * processes, 60, "the flood to be worked on")
        found = [_windows_before(connection, small, number) for number in range(ROUNDS)]
        assert _is_open(connection, large.tenant), "the flood was over before the small tasks: it shows nothing"
    # A window that was chosen while the small task was being committed, in each process.
    assert max(found) <= processes, found
    assert sum(found) <= ROUNDS * processes / 2, found


def _windows_before(connection: psycopg.Connection[Any], small: Engine, number: int) -> int:
    """Windows claimed between the moment when the task was submitted, and its own claim."""
    item = Item(f"small-{number}", {"text": f"small {number}"})
    job = small.submit(Submission(JobKind.UPSERTION, "tiny", [item])).job
    submitted_at = _row(connection, "SELECT clock_timestamp()")[0]

    def ended() -> Job | None:
        found = small.find(str(job.id))
        return found if found.is_terminal else None

    wait_until(ended, 30, "the small task")
    lease: UUID = _row(connection, "SELECT lease FROM batch WHERE job = %s", job.id)[0]
    # Not in step with the windows.
    time.sleep(0.037 * (number % 7))
    count: int = _row(
        connection,
        "SELECT count(*) FROM claim_log WHERE at > %s AND at < (SELECT at FROM claim_log WHERE token = %s)",
        submitted_at,
        lease,
    )[0]
    return count


def _claims(connection: psycopg.Connection[Any]) -> int:
    return int(_row(connection, "SELECT count(*) FROM claim_log")[0])


def _is_open(connection: psycopg.Connection[Any], tenant: int) -> bool:
    row = _row(connection, "SELECT EXISTS (SELECT FROM job WHERE tenant = %s AND finished_at IS NULL)", tenant)
    return bool(row[0])


def _row(connection: psycopg.Connection[Any], statement: str, *values: object) -> Any:
    row = connection.execute(statement, values).fetchone()
    assert row is not None
    return row
