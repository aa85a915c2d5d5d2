"""Many one-item tasks at once, and one that overtakes a large one."""

from __future__ import annotations

import time

import pytest

from tests.acceptance.items import item, long_items
from tests.acceptance.ledger_view import LedgerView
from tests.acceptance.load import submit_one_item_tasks
from tests.running_service import RunningService

pytestmark = [pytest.mark.acceptance, pytest.mark.timed]


def test_three_hundred_one_item_tasks_from_eight_clients_are_all_done(shared_service: RunningService) -> None:
    submit_one_item_tasks(shared_service, LedgerView(shared_service.database_url), tasks=300, clients=8)


def test_a_one_item_task_overtakes_a_large_one(shared_service: RunningService) -> None:
    service = shared_service
    service.deploy("slow", delay_ms_per_text=1)
    large = service.run(long_items(6000, "large"), model="slow", task_id="large")["id"]
    waits: list[float] = []
    for number in range(5):
        started = time.monotonic()
        service.run([item(f"small-{number}", f"small {number}")], model="slow", task_id=f"small-{number}")
        service.wait(f"small-{number}")
        waits.append(time.monotonic() - started)
        assert service.info(large)["status"] in ("pending", "processing"), "the large task is over: nothing was shown"
    assert sorted(waits)[len(waits) // 2] < 1.5, waits
    assert service.wait(large, timeout=60)["status"] == "done"
