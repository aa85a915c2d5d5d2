"""Items that hang or kill their worker fail alone, in time; a healthy worker is left alone."""

from __future__ import annotations

import psutil
import pytest

from tests.acceptance.embedding_log import EmbeddingLog
from tests.acceptance.fixtures import StartService
from tests.acceptance.items import item, short_items
from tests.acceptance.ledger_view import LedgerView
from tests.acceptance.processes import is_gone
from tests.acceptance.queues import work_through_a_queue
from tests.running_service import wait_until

pytestmark = pytest.mark.timed

QUICK = {
    "INDEXMILL_WORKER__LEASE_SECONDS": "2",
    "INDEXMILL_WORKER__RENEW_SECONDS": "0.5",
    "INDEXMILL_WORKER__WINDOW_DEADLINE_SECONDS": "2",
    "INDEXMILL_SOURCES__TIMEOUT_SECONDS": "1",
    "INDEXMILL_READERS__TIMEOUT_SECONDS": "1",
    "INDEXMILL_CRAWL__TIMEOUT_SECONDS": "1",
}


def test_an_item_that_kills_its_worker_fails_alone(start_service: StartService, view: LedgerView) -> None:
    service = start_service()
    service.deploy(crash_on=["POISON"])
    items = short_items(40)
    items[17] = item("bad", "this is POISON")
    service.run(items, task_id="poisoned")
    service.run(short_items(40, "neighbour"), task_id="neighbour")
    task = service.wait("poisoned", timeout=90)
    assert task["status"] == "done"
    assert task["done_items"] == 39
    [failure] = task["failed_items"]
    assert failure["object_id"] == "bad"
    failures = service.http.get("/jobs/poisoned/failed-items").json()["failed_items"]
    assert [each["code"] for each in failures] == ["worker_lost"]
    assert service.wait("neighbour", timeout=30)["status"] == "done"
    assert view.count() == 79
    view.check()


@pytest.mark.chaos
def test_two_items_that_kill_their_worker_fail_alone(start_service: StartService, view: LedgerView) -> None:
    service = start_service()
    service.deploy(crash_on=["POISON"])
    items = short_items(40)
    items[3] = item("bad-1", "this is POISON")
    items[30] = item("bad-2", "this is POISON too")
    service.run(items, task_id="poisoned")
    task = service.wait("poisoned", timeout=120)
    assert task["status"] == "done"
    assert {each["object_id"] for each in task["failed_items"]} == {"bad-1", "bad-2"}
    assert view.count() == 38
    view.check()


@pytest.mark.chaos
def test_an_item_that_hangs_is_ended_by_the_deadline_and_fails_alone(
    start_service: StartService, view: LedgerView
) -> None:
    service = start_service(**QUICK)
    service.deploy(hang_on=["HANG"])
    items = short_items(20)
    items[7] = item("bad", "this will HANG")
    service.run(items, task_id="hung")
    task = service.wait("hung", timeout=180)
    assert task["status"] == "done"
    assert task["done_items"] == 19
    failures = service.http.get("/jobs/hung/failed-items").json()["failed_items"]
    assert [(each["object_id"], each["code"]) for each in failures] == [("bad", "deadline")]
    assert view.count() == 19
    view.check()


@pytest.mark.chaos
def test_a_process_that_hangs_is_killed_soon_after_its_deadline(
    start_service: StartService, view: LedgerView, embedding_log: EmbeddingLog
) -> None:
    """Also where another worker keeps up with all the work, so that nobody misses the one that hangs."""
    service = start_service(**QUICK)
    flag = service.data_folder / "hanging"
    flag.touch()
    service.deploy(hang_on=["HANG"], only_while=str(flag), log_path=str(embedding_log.path))
    for number in range(3):
        flag.touch()
        service.run([item(f"hang-{number}", f"HANG {number}")], task_id=f"hang-{number}")
        text = f"HANG {number}"
        wait_until(lambda hung=text: embedding_log.of([hung]) == [1], 60, "the window that hangs")
        [lease] = view.rows("SELECT worker FROM lease WHERE token IN (SELECT lease FROM batch WHERE state = 'running')")
        process = psutil.Process(int(lease["worker"].rpartition("/")[2]))
        flag.unlink()
        wait_until(lambda hung=process: is_gone(hung), 2 + 2 + 3, "the process that hangs to be ended")
        assert service.wait(f"hang-{number}", timeout=30)["status"] == "done"


@pytest.mark.chaos
def test_no_worker_is_killed_for_working_through_a_queue(start_service: StartService, view: LedgerView) -> None:
    # Many short windows, so that there are many moments between two of them.
    work_through_a_queue(start_service(INDEXMILL_WORKER__WINDOW_SECONDS="0.01"), view, seconds=40)
