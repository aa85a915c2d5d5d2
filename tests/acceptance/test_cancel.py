"""Cancel: after the answer nothing of the task is written, whoever was in the middle of what."""

from __future__ import annotations

import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.acceptance.broken_build import broken_build
from tests.acceptance.embedding_log import EmbeddingLog
from tests.acceptance.fixtures import StartService
from tests.acceptance.items import item, long_items, short_items
from tests.acceptance.ledger_view import LedgerView
from tests.acceptance.races import race_cancel
from tests.running_service import RunningService, wait_until

pytestmark = pytest.mark.timed

ONE_WORKER = {"INDEXMILL_WORKER__PROCESSES": "1"}


def cancel(service: RunningService, task_id: str) -> str:
    answer = service.http.put("/internal/upsertion-tasks/cancel", params={"task_id": task_id})
    assert answer.status_code == 200, answer.text
    status: str = answer.json()["status"]
    return status


def test_a_running_task_changes_nothing_after_its_cancel(
    start_service: StartService, view: LedgerView, embedding_log: EmbeddingLog
) -> None:
    service = start_service()
    service.deploy(log_path=str(embedding_log.path), delay_ms_per_text=2)
    task_id = service.run(long_items(5000))["id"]
    wait_until(lambda: view.count() >= 512, 30, "the first documents")
    assert cancel(service, task_id) == "canceled"
    before = view.dump()
    embedded = embedding_log.total()
    # A later task is done by the same workers, so they have left the cancelled windows behind.
    for number in range(6):
        service.wait(service.run(short_items(1, f"after{number}"))["id"])
    wait_until(lambda: not view.leases(), 60, "the workers to be idle")
    assert [row for row in view.dump() if not row[0].startswith("after")] == before
    assert embedding_log.total() - embedded < 5000 - len(before) - 1000, "the workers went on embedding"
    task = service.info(task_id)
    assert task["status"] == "canceled"
    assert task["done_items"] == len(before)
    assert view.count() < 5000
    view.check()


def stop_in_a_window(service: RunningService, view: LedgerView) -> psutil.Process:
    """SIGSTOP to a worker that holds a window."""
    lease = wait_until(view.leases, 60, "a window")[0]
    worker = psutil.Process(int(lease["worker"].rpartition("/")[2]))
    worker.send_signal(signal.SIGSTOP)
    wait_until(lambda: worker.status() == psutil.STATUS_STOPPED, 60, "the worker to stop")
    return worker


def cancel_while_the_worker_is_stopped(service: RunningService, view: LedgerView) -> None:
    service.deploy(delay_ms_per_text=4)
    task_id = service.run(long_items(256))["id"]
    worker = stop_in_a_window(service, view)
    asked = time.monotonic()
    assert cancel(service, task_id) == "canceled"
    # Not when the stopped one's lease is over.
    assert time.monotonic() - asked < 6
    before = view.dump()
    assert not before
    worker.send_signal(signal.SIGCONT)
    wait_until(lambda: not view.leases(), 60, "the resumed worker to end its window")
    service.wait(service.run([item("after", "one more")])["id"])
    assert [row for row in view.dump() if row[0] != "after"] == before, "a resumed worker wrote a cancelled task"
    assert service.info(task_id)["status"] == "canceled"
    view.check()


def test_a_worker_that_was_stopped_in_a_window_writes_nothing_of_a_cancelled_task(
    start_service: StartService, view: LedgerView
) -> None:
    cancel_while_the_worker_is_stopped(start_service(**ONE_WORKER), view)


@pytest.mark.chaos
def test_a_build_without_the_fence_writes_cancelled_tasks(
    start_service: StartService, view: LedgerView, tmp_path: Path
) -> None:
    broken = broken_build(
        tmp_path,
        {
            "ledger/queries/close_open_batches.sql": (
                "SET state = 'cancelled', lease = NULL,",
                "SET state = 'cancelled',",
            ),
            "ledger/queries/fence_batches.sql": (
                "WHERE lease = %(token)s AND state = 'running'",
                "WHERE lease = %(token)s",
            ),
            "pipeline/embed.py": ("texts):\n        check()\n", "texts):\n"),
        },
    )
    with pytest.raises(AssertionError, match="wrote a cancelled task"):
        cancel_while_the_worker_is_stopped(start_service(**ONE_WORKER, **broken), view)


def stop_in_a_commit(service: RunningService, view: LedgerView, task_items: int) -> tuple[str, psutil.Process]:
    """A task whose worker is stopped behind the fence, holding row locks: a lock of ours on a document that its
    write waits for makes the moment certain."""
    with psycopg.connect(view.url) as blocker:
        blocker.execute("SELECT key FROM document WHERE id = 'doc-0' FOR UPDATE")
        task_id = service.run(short_items(task_items, version="second"))["id"]
        query = """SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'
                     AND query LIKE '%%INSERT INTO document%%'"""
        wait_until(lambda: view.value(query), 60, "the worker to wait for the document")
        worker = psutil.Process(int(view.leases()[0]["worker"].rpartition("/")[2]))
        worker.send_signal(signal.SIGSTOP)
        wait_until(lambda: worker.status() == psutil.STATUS_STOPPED, 60, "the worker to stop")
    return task_id, worker


def test_a_worker_stopped_in_its_commit_delays_a_cancel_by_less_than_its_lease(
    start_service: StartService, view: LedgerView
) -> None:
    service = start_service(**ONE_WORKER)
    service.deploy()
    service.wait(service.run(short_items(20))["id"])
    before = view.dump()
    task_id, worker = stop_in_a_commit(service, view, 20)
    asked = time.monotonic()
    status = cancel(service, task_id)
    assert time.monotonic() - asked < 10
    assert status == "canceled"
    assert view.dump() == before
    worker.send_signal(signal.SIGCONT)
    wait_until(lambda: not view.leases(), 60, "the resumed worker to end its window")
    service.wait(service.run([item("after", "one more")])["id"])
    assert [row for row in view.dump() if row[0] != "after"] == before
    assert service.info(task_id)["status"] == "canceled"
    view.check()


@pytest.mark.chaos
def test_a_worker_stopped_in_its_commit_is_replaced_and_changes_nothing_later(
    start_service: StartService, view: LedgerView
) -> None:
    service = start_service()
    service.deploy()
    service.wait(service.run(short_items(20))["id"])
    task_id, worker = stop_in_a_commit(service, view, 20)
    stopped = time.monotonic()
    assert service.wait(task_id, timeout=30)["status"] == "done"
    assert time.monotonic() - stopped < 10 + 1 + 4, "lease, sweep, and the time-out of the silent transaction"
    before = view.dump()
    assert {row[4] for row in before} == {f"doc {number} second" for number in range(20)}
    job = view.rows("SELECT * FROM job WHERE id::text = %(id)s OR external_id = %(id)s", id=task_id)
    events = view.value("SELECT count(*) FROM job_event")
    worker.send_signal(signal.SIGCONT)
    service.wait(service.run(short_items(1, "after"))["id"])
    wait_until(lambda: not view.leases(), 60, "the resumed worker to end its window")
    assert [row for row in view.dump() if not row[0].startswith("after")] == before
    assert view.rows("SELECT * FROM job WHERE id::text = %(id)s OR external_id = %(id)s", id=task_id) == job
    assert view.value("SELECT count(*) FROM job_event") == events + 3
    view.check()


def test_a_cancel_that_races_the_last_commit_has_one_winner(shared_service: RunningService) -> None:
    race_cancel(shared_service, LedgerView(shared_service.database_url), times=100)


def test_cancels_restarts_and_commits_at_once_conserve_every_item(shared_service: RunningService) -> None:
    """Many clients pull at the same tasks; in the end each is ended once an attempt and adds up."""
    service = shared_service
    names = [f"pulled-{number}" for number in range(8)]
    for name in names:
        service.run(short_items(600, name), task_id=name)
    stop = threading.Event()

    def pull(seed: int) -> None:
        chance = random.Random(seed)
        while not stop.is_set():
            verb = chance.choice(["cancel", "restart", "restart"])
            answer = service.http.put(f"/internal/upsertion-tasks/{verb}", params={"task_id": chance.choice(names)})
            assert answer.status_code == 200, answer.text

    with ThreadPoolExecutor(4) as clients:
        pulling = [clients.submit(pull, seed) for seed in range(4)]
        time.sleep(4)
        stop.set()
        for each in pulling:
            each.result()
    for name in names:
        service.http.put("/internal/upsertion-tasks/restart", params={"task_id": name})
        task = service.wait(name, timeout=60)
        assert task["status"] == "done", task
    view = LedgerView(service.database_url)
    texts = view.texts()
    assert all(texts[f"{name}-{number}"] == f"{name} {number} first" for name in names for number in range(600))
    view.check()
