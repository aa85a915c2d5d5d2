"""The rabbitmq broker with `indexmill worker` as a process of its own: it only wakes, whatever happens to it."""

from __future__ import annotations

import time

import httpx
import psutil
import pytest

from tests.acceptance.fixtures import StartService
from tests.acceptance.items import item, long_items, short_items
from tests.acceptance.ledger_view import LedgerView
from tests.acceptance.processes import family_of, is_gone, wait_gone
from tests.rabbitmq_server import RabbitmqServer
from tests.running_service import RunningService, wait_until

pytestmark = pytest.mark.rabbitmq

GRACE = 20.0


def broker(server: RabbitmqServer) -> dict[str, str]:
    return {"INDEXMILL_CELERY__BROKER_MODE": "rabbitmq", "INDEXMILL_CELERY__BROKER_URL": server.url}


def serve_with_worker(
    start_service: StartService, start_worker: StartService, server: RabbitmqServer
) -> tuple[RunningService, RunningService]:
    service = start_service(until_ready=False, **broker(server))
    worker = start_worker(**broker(server))
    wait_until(service.is_ready, 60, "service and worker to be ready")
    return service, worker


def answers(service: RunningService) -> bool:
    try:
        return service.http.get("/healthz").status_code == 200
    except httpx.HTTPError:
        return False


@pytest.mark.chaos
def test_without_a_worker_tasks_wait_and_a_wiped_broker_loses_nothing(
    start_service: StartService, start_worker: StartService, rabbitmq_server: RabbitmqServer, view: LedgerView
) -> None:
    service = start_service(until_ready=False, **broker(rabbitmq_server))
    wait_until(lambda: answers(service), 60, "the API")
    assert service.http.get("/readyz").json()["parts"]["broker"] is None
    service.deploy()
    service.run(short_items(10, "kept"), task_id="kept")
    service.run(short_items(10, "dropped"), task_id="dropped")
    answer = service.http.put("/internal/upsertion-tasks/cancel", params={"task_id": "dropped"})
    assert answer.json()["status"] == "canceled"
    wait_until(lambda: rabbitmq_server.depth("indexmill"), 10, "a wake in the broker")
    # Wakes for ready batches are topped up, not piled up.
    time.sleep(3)
    assert rabbitmq_server.depth("indexmill") == 1
    rabbitmq_server.wipe()
    start_worker(**broker(rabbitmq_server))
    assert service.wait("kept", timeout=40)["status"] == "done"
    assert service.info("dropped")["status"] == "canceled"
    assert set(view.texts()) == {f"kept-{number}" for number in range(10)}
    # Wiped with the worker connected and work queued: a new connection and one wake sweep later it goes on.
    service.deploy("slow", delay_ms_per_text=2)
    service.run(long_items(2000), model="slow", task_id="wiped")
    wait_until(lambda: view.count("slow") >= 256, 30, "the first documents")
    rabbitmq_server.wipe()
    assert service.wait("wiped", timeout=40)["status"] == "done"
    service.run([item("quick", "after the loss")], task_id="quick")
    assert service.wait("quick")["status"] == "done"
    assert view.losses() == 0
    view.check()


def test_submissions_are_taken_while_the_broker_is_down_or_silent(
    start_service: StartService, start_worker: StartService, rabbitmq_server: RabbitmqServer, view: LedgerView
) -> None:
    service, _ = serve_with_worker(start_service, start_worker, rabbitmq_server)
    service.deploy()
    rabbitmq_server.stop()
    for number in range(20):
        asked = time.monotonic()
        assert service.run([item(f"down-{number}", "text")], task_id=f"down-{number}")["status"] == "pending"
        assert time.monotonic() - asked < 1
    answer = service.http.get("/readyz")
    assert answer.status_code == 503
    assert "broker" in answer.json()["parts"]["broker"]
    assert answer.json()["parts"]["database"] is None
    rabbitmq_server.start()
    back = time.monotonic()
    for number in range(20):
        assert service.wait(f"down-{number}", timeout=30)["status"] == "done"
    assert time.monotonic() - back < 20
    wait_until(service.is_ready, 10, "readiness")
    # It accepts connections and says nothing.
    rabbitmq_server.pause()
    for number in range(5):
        asked = time.monotonic()
        service.run([item(f"silent-{number}", "text")], task_id=f"silent-{number}")
        assert time.monotonic() - asked < 1
    asked = time.monotonic()
    assert service.http.get("/readyz").status_code == 503
    assert time.monotonic() - asked < 5
    rabbitmq_server.resume()
    for number in range(5):
        assert service.wait(f"silent-{number}", timeout=40)["status"] == "done"
    assert view.count() == 25
    view.check()


@pytest.mark.chaos
@pytest.mark.timeout(200)
def test_a_killed_child_and_a_killed_parent_of_the_pool_are_replaced(
    start_service: StartService, start_worker: StartService, rabbitmq_server: RabbitmqServer, view: LedgerView
) -> None:
    service, worker = serve_with_worker(start_service, start_worker, rabbitmq_server)
    service.deploy(delay_ms_per_text=2)
    service.run(long_items(8000), task_id="killed")
    wait_until(lambda: view.count() >= 256, 30, "the first documents")
    lease = wait_until(view.leases, 10, "a window")[0]
    child = psutil.Process(int(lease["worker"].rpartition("/")[2]))
    child.kill()
    died = time.monotonic()
    wait_until(lambda: lease["token"] not in {each["token"] for each in view.leases()}, 20, "the rescue")
    assert time.monotonic() - died < 10 + 1 + 2, "lease, sweep, and a busy machine"
    [parent] = worker.workers()
    orphans = parent.children()
    parent.kill()
    assert service.wait("killed", timeout=90)["status"] == "done"
    wait_until(lambda: all(is_gone(each) for each in orphans), 30, "the killed parent's children to end", pause=0.1)
    assert view.count() == 8000
    view.check()


@pytest.mark.chaos
def test_a_broker_that_is_killed_again_and_again_loses_nothing(
    start_service: StartService, start_worker: StartService, rabbitmq_server: RabbitmqServer, view: LedgerView
) -> None:
    service, _ = serve_with_worker(start_service, start_worker, rabbitmq_server)
    service.deploy(delay_ms_per_text=2)
    for number in range(4):
        service.run(long_items(1500, f"round{number}"), task_id=f"round-{number}")
        rabbitmq_server.stop()
        time.sleep(1)
        rabbitmq_server.start()
    for number in range(4):
        assert service.wait(f"round-{number}", timeout=60)["status"] == "done"
    assert view.count() == 6000
    view.check()


@pytest.mark.chaos
def test_a_worker_stops_under_load_without_a_loss(
    start_service: StartService, start_worker: StartService, rabbitmq_server: RabbitmqServer, view: LedgerView
) -> None:
    service, worker = serve_with_worker(start_service, start_worker, rabbitmq_server)
    service.deploy(delay_ms_per_text=2)
    service.run(long_items(4000), task_id="handed-on")
    wait_until(lambda: view.count() >= 256, 30, "the first documents")
    family = family_of(worker)
    assert worker.process is not None
    worker.process.terminate()
    wait_gone(family, GRACE)
    assert worker.process.wait(timeout=5) == 0
    assert not view.leases()
    assert view.losses() == 0
    start_worker(**broker(rabbitmq_server))
    assert service.wait("handed-on", timeout=60)["status"] == "done"
    view.check()
