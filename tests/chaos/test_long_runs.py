"""The acceptance scenarios at full size."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexmill.ledger.embedded_postgres import EmbeddedPostgres
from tests.acceptance.embedding_log import EmbeddingLog
from tests.acceptance.fixtures import StartService
from tests.acceptance.items import item, long_items
from tests.acceptance.kills import run_with_kills
from tests.acceptance.ledger_view import LedgerView
from tests.acceptance.load import submit_one_item_tasks
from tests.acceptance.outages import Outage, outage_during_a_task, terminate_backends
from tests.acceptance.queues import work_through_a_queue
from tests.acceptance.races import race_cancel
from tests.acceptance.schedules import Operation, run_schedule, schedules
from tests.running_service import RunningService

_numbers = itertools.count(1)


def test_twenty_thousand_items_while_every_worker_is_killed_three_times(
    start_service: StartService, view: LedgerView, embedding_log: EmbeddingLog
) -> None:
    run_with_kills(start_service(), view, embedding_log, items=20_000, kills=3)


def test_twenty_thousand_items_while_every_worker_is_killed_twelve_times(
    start_service: StartService, view: LedgerView, embedding_log: EmbeddingLog
) -> None:
    run_with_kills(start_service(), view, embedding_log, items=20_000, kills=12, between=lambda: time.sleep(1))


def test_a_cancel_races_the_last_commit_a_thousand_times(shared_service: RunningService) -> None:
    race_cancel(shared_service, LedgerView(shared_service.database_url), times=1000)


def test_two_thousand_one_item_tasks_from_eight_clients_are_all_done(shared_service: RunningService) -> None:
    submit_one_item_tasks(shared_service, LedgerView(shared_service.database_url), tasks=2000, clients=8)


def test_a_one_item_task_is_done_within_a_second_while_twenty_thousand_items_run(
    shared_service: RunningService,
) -> None:
    service = shared_service
    service.deploy("slow", delay_ms_per_text=1)
    service.run(long_items(20_000, "large"), model="slow", task_id="large")
    waits: list[float] = []
    for number in range(20):
        started = time.monotonic()
        service.run([item(f"small-{number}", f"small {number}")], model="slow", task_id=f"small-{number}")
        service.wait(f"small-{number}")
        waits.append(time.monotonic() - started)
    assert service.info("large")["status"] in ("pending", "processing"), "the large task is over: nothing was shown"
    assert max(waits) < 1, waits
    assert service.wait("large", timeout=120)["status"] == "done"


@settings(
    max_examples=40,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(schedule=schedules(operations=30), seed=st.integers(0, 2**16))
def test_upserts_and_deletes_with_kills_end_as_the_last_submitted(
    shared_service: RunningService, schedule: list[Operation], seed: int
) -> None:
    run_schedule(shared_service, schedule, model=f"order-{next(_numbers)}", seed=seed)


def test_no_worker_is_killed_for_working_through_a_queue_for_two_minutes(
    start_service: StartService, view: LedgerView
) -> None:
    work_through_a_queue(start_service(INDEXMILL_WORKER__WINDOW_SECONDS="0.01"), view, seconds=120)


def test_a_database_that_is_gone_for_a_minute_loses_nothing(tmp_path: Path, postgres_folder: Path) -> None:
    server = EmbeddedPostgres(postgres_folder, start_timeout=120)
    try:
        with Outage(server, server.start(), tmp_path) as outage:
            outage_during_a_task(outage, seconds=60, items=8000)
    finally:
        server.stop()


def test_sessions_terminated_for_a_minute_lose_nothing(tmp_path: Path, postgres_folder: Path) -> None:
    server = EmbeddedPostgres(postgres_folder, start_timeout=120)
    try:
        with Outage(server, server.start(), tmp_path) as outage:
            terminate_backends(outage, items=20_000, times=300)
    finally:
        server.stop()
