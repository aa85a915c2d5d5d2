"""Killed workers: nothing is lost, nothing is done twice in the index, little is embedded again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.acceptance.broken_build import broken_build
from tests.acceptance.embedding_log import EmbeddingLog
from tests.acceptance.fixtures import StartService
from tests.acceptance.items import long_items
from tests.acceptance.kills import WINDOW, run_with_kills
from tests.acceptance.ledger_view import LedgerView
from tests.acceptance.processes import family_of, kill_all
from tests.running_service import wait_until

pytestmark = pytest.mark.timed


def test_every_worker_killed_three_times_loses_and_doubles_nothing(
    start_service: StartService, view: LedgerView, embedding_log: EmbeddingLog
) -> None:
    run_with_kills(start_service(), view, embedding_log, items=4000, kills=3)


@pytest.mark.chaos
def test_a_build_that_drops_what_killed_workers_held_fails_the_check(
    start_service: StartService, view: LedgerView, embedding_log: EmbeddingLog, tmp_path: Path
) -> None:
    broken = broken_build(
        tmp_path,
        {
            "ledger/queries/return_batches.sql": (
                "SET state = 'ready', lease = NULL",
                "SET state = 'cancelled', cancelled = b.items, lease = NULL",
            )
        },
    )
    with pytest.raises(AssertionError):
        run_with_kills(start_service(**broken), view, embedding_log, items=2000, kills=2)


@pytest.mark.chaos
def test_what_a_lost_machine_held_is_rescued_within_the_lease_and_a_sweep(
    start_service: StartService, view: LedgerView, embedding_log: EmbeddingLog
) -> None:
    """Supervisor and workers die together, so nobody is left to expire their leases."""
    short = {"INDEXMILL_WORKER__LEASE_SECONDS": "3", "INDEXMILL_WORKER__RENEW_SECONDS": "1"}
    lost = start_service(**short)
    lost.deploy(log_path=str(embedding_log.path), delay_ms_per_text=4)
    survivor = start_service(INDEXMILL_WORKER__PROCESSES="1", **short)
    task_id = lost.run(long_items(1500), task_id="lost")["id"]
    assert lost.process is not None
    name = f":{lost.process.pid}:"
    wait_until(lambda: any(name in each["worker"] for each in view.leases()), 60, "a window on the lost machine")
    wait_until(lambda: view.count() >= WINDOW, 60, "the first batch")
    wait_until(lambda: any(name in each["worker"] for each in view.leases()), 60, "a window on the lost machine")
    kill_all(family_of(lost))
    died = time.monotonic()
    wait_until(lambda: not any(name in each["worker"] for each in view.leases()), 60, "the rescue")
    assert time.monotonic() - died <= 3 + 1 + 1, "lease, one sweep, and a second for this busy machine"
    assert survivor.wait(task_id, timeout=60)["status"] == "done"
    assert view.count() == 1500
    assert embedding_log.repeated() <= 2 * WINDOW
    view.check()
