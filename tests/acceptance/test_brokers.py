"""Redis and RabbitMQ, with `indexmill worker` as a process of its own: they only wake, whatever happens to them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import TypeAlias

import httpx
import psutil
import pytest

from tests.acceptance.fixtures import StartService
from tests.acceptance.items import item, long_items, short_items
from tests.acceptance.ledger_view import LedgerView
from tests.acceptance.processes import family_of, is_gone, wait_gone
from tests.rabbitmq_server import RabbitmqServer
from tests.redis_server import RedisServer
from tests.running_service import RunningService, wait_until

pytestmark = pytest.mark.timed

GRACE = 20.0
QUEUE = "indexmill"
Server: TypeAlias = RedisServer | RabbitmqServer
_SERVERS: dict[str, type[Server]] = {"redis": RedisServer, "rabbitmq": RabbitmqServer}


def on(*modes: str, quick: str | None = None) -> pytest.MarkDecorator:
    """On these brokers, by default on each; with `make test` on one of them, with `make chaos` on the others."""
    params = [
        pytest.param(mode, marks=[getattr(pytest.mark, mode), *([] if mode == quick else [pytest.mark.chaos])])
        for mode in modes or _SERVERS
    ]
    return pytest.mark.parametrize("server", params, indirect=True)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with _SERVERS[request.param]() as running:
        yield running


@pytest.fixture
def broker(server: Server) -> dict[str, str]:
    """The settings of everybody who uses this broker."""
    mode = next(mode for mode, kind in _SERVERS.items() if isinstance(server, kind))
    return {"INDEXMILL_CELERY__BROKER_MODE": mode, "INDEXMILL_CELERY__BROKER_URL": server.url}


@pytest.fixture
def service(start_service: StartService, broker: dict[str, str]) -> RunningService:
    """`indexmill serve`, whose API answers; no worker yet, so it is not ready."""
    started = start_service(until_ready=False, **broker)
    wait_until(lambda: answers(started), 100, "the API")
    return started


@pytest.fixture
def worker(service: RunningService, start_worker: StartService, broker: dict[str, str]) -> RunningService:
    """`indexmill worker` beside it, and both are ready."""
    started = start_worker(**broker)
    wait_until(service.is_ready, 100, "service and worker to be ready")
    return started


def work_on(service: RunningService, view: LedgerView, items: int, task_id: str) -> None:
    """A task long enough to be disturbed, and its first documents."""
    service.deploy(delay_ms_per_text=2)
    service.run(long_items(items), task_id=task_id)
    wait_until(lambda: view.count() >= 256, 30, "the first documents")


def pool_children(worker: RunningService) -> list[psutil.Process]:
    """The processes that the prefork parent has forked."""
    return [child for parent in worker.workers() for child in parent.children()]


@on(quick="redis")
def test_without_a_worker_tasks_wait_a_cancel_holds_and_a_wiped_broker_loses_nothing(
    service: RunningService,
    start_worker: StartService,
    broker: dict[str, str],
    server: Server,
    view: LedgerView,
) -> None:
    parts = service.http.get("/readyz").json()["parts"]
    assert parts["database"] is None
    assert parts["broker"] is None
    assert "indexmill worker" in parts["workers"]
    assert not service.workers()
    service.deploy()
    service.run(short_items(10, "kept"), task_id="kept")
    service.run(short_items(10, "dropped"), task_id="dropped")
    answer = service.http.put("/internal/upsertion-tasks/cancel", params={"task_id": "dropped"})
    assert answer.json()["status"] == "canceled"
    assert service.info("kept")["status"] == "pending"
    wait_until(lambda: server.depth(QUEUE), 60, "a wake in the broker")
    # Wakes for ready batches are topped up by each sweep, not piled up.
    time.sleep(2)
    assert server.depth(QUEUE) == 1
    server.wipe()
    start_worker(**broker)
    assert service.wait("kept", timeout=40)["status"] == "done"
    assert service.info("dropped")["status"] == "canceled"
    assert set(view.texts()) == {f"kept-{number}" for number in range(10)}
    # Wiped with the worker connected and work queued: one wake sweep later it goes on.
    service.deploy("slow", delay_ms_per_text=2)
    service.run(long_items(2000), model="slow", task_id="wiped")
    wait_until(lambda: view.count("slow") >= 256, 30, "the first documents")
    server.wipe()
    assert service.wait("wiped", timeout=40)["status"] == "done"
    server.wipe()
    service.run([item("quick", "after the loss")], task_id="quick")
    assert service.wait("quick")["status"] == "done"
    assert view.losses() == 0
    view.check()


def answers(service: RunningService) -> bool:
    try:
        return service.http.get("/healthz").status_code == 200
    except httpx.HTTPError:
        return False


@on(quick="rabbitmq")
@pytest.mark.usefixtures("worker")
def test_submissions_are_taken_while_the_broker_is_down_or_silent(
    service: RunningService, server: Server, view: LedgerView
) -> None:
    service.deploy()
    server.stop()
    seconds: list[float] = []
    for number in range(20):
        asked = time.monotonic()
        assert service.run([item(f"down-{number}", "text")], task_id=f"down-{number}")["status"] == "pending"
        seconds.append(time.monotonic() - asked)
    # Some meet a busy machine; those who waited for the broker would all do.
    assert statistics.median(seconds) < 1, seconds
    answer = service.http.get("/readyz")
    assert answer.status_code == 503
    assert "broker" in answer.json()["parts"]["broker"]
    assert answer.json()["parts"]["database"] is None
    server.start()
    back = time.monotonic()
    for number in range(20):
        assert service.wait(f"down-{number}", timeout=30)["status"] == "done"
    assert time.monotonic() - back < 20
    wait_until(service.is_ready, 60, "readiness")
    # It accepts connections and says nothing.
    server.pause()
    seconds.clear()
    for number in range(5):
        asked = time.monotonic()
        service.run([item(f"silent-{number}", "text")], task_id=f"silent-{number}")
        seconds.append(time.monotonic() - asked)
    assert statistics.median(seconds) < 1, seconds
    asked = time.monotonic()
    assert service.http.get("/readyz").status_code == 503
    assert time.monotonic() - asked < 5
    server.resume()
    for number in range(5):
        assert service.wait(f"silent-{number}", timeout=40)["status"] == "done"
    assert view.count() == 25
    view.check()


@on("redis")
def test_wakes_ten_times_over_change_nothing(
    service: RunningService,
    start_worker: StartService,
    broker: dict[str, str],
    server: RedisServer,
    view: LedgerView,
) -> None:
    service.deploy(delay_ms_per_text=1)
    service.run(long_items(1500), task_id="doubled")
    # Nobody is there to take it: an idle worker would have it before anybody could look.
    wake = wait_until(lambda: wake_in(server), 60, "a wake in the broker")
    for _ in range(10):
        push(server, wake)
    start_worker(**broker)
    wait_until(lambda: view.count() >= 256, 60, "the first documents")
    for _ in range(10):
        push(server, wake)
    assert service.wait("doubled", timeout=40)["status"] == "done"
    assert view.count() == 1500
    assert service.http.get("/jobs/doubled").json()["counters"]["embedded"] == 1500
    assert view.losses() == 0
    view.check()
    wait_until(lambda: server.depth(QUEUE) == 0, 60, "the wakes to be used up")


def wake_in(server: RedisServer) -> bytes | None:
    import redis

    with redis.Redis(port=server.port) as client:
        found = client.lindex(QUEUE, 0)
        return found if isinstance(found, bytes) else None


def push(server: RedisServer, message: bytes) -> None:
    import redis

    with redis.Redis(port=server.port) as client:
        client.lpush(QUEUE, message)


@on()
def test_a_killed_child_and_a_killed_parent_of_the_pool_are_replaced(
    service: RunningService, worker: RunningService, view: LedgerView
) -> None:
    # More than one slot does while the other's lease runs out.
    work_on(service, view, 16_000, "killed")
    lease = wait_until(view.leases, 60, "a window")[0]
    child = psutil.Process(int(lease["worker"].rpartition("/")[2]))
    assert child.pid in {each.pid for each in pool_children(worker)}
    child.kill()
    died = time.monotonic()
    wait_until(lambda: lease["token"] not in {each["token"] for each in view.leases()}, 60, "the rescue")
    assert time.monotonic() - died < 10 + 1 + 2, "lease, sweep, and a busy machine"
    wait_until(lambda: len(view.leases()) == 2, 30, "both slots to work again")
    [parent] = worker.workers()
    orphans = pool_children(worker)
    parent.kill()
    assert service.wait("killed", timeout=90)["status"] == "done"
    wait_until(lambda: all(is_gone(each) for each in orphans), 30, "the killed parent's children to end", pause=0.1)
    assert view.count() == 16_000
    view.check()


@on("rabbitmq")
@pytest.mark.usefixtures("worker")
def test_a_broker_that_is_killed_again_and_again_loses_nothing(
    service: RunningService, server: RabbitmqServer, view: LedgerView
) -> None:
    service.deploy(delay_ms_per_text=2)
    for number in range(4):
        service.run(long_items(1500, f"round{number}"), task_id=f"round-{number}")
        server.stop()
        time.sleep(1)
        server.start()
    for number in range(4):
        assert service.wait(f"round-{number}", timeout=60)["status"] == "done"
    assert view.count() == 6000
    view.check()


@on()
def test_a_worker_stops_under_load_without_a_loss(
    service: RunningService,
    worker: RunningService,
    start_worker: StartService,
    broker: dict[str, str],
    view: LedgerView,
) -> None:
    work_on(service, view, 4000, "handed-on")
    wait_until(lambda: len(view.leases()) == 2, 60, "both slots to work")
    family = family_of(worker)
    assert worker.process is not None
    worker.process.terminate()
    wait_gone(family, GRACE)
    assert worker.process.wait(timeout=5) == 0
    assert not view.leases()
    assert view.losses() == 0
    assert view.value("SELECT count(*) FROM batch WHERE state = 'running'") == 0
    assert service.info("handed-on")["status"] == "processing"
    start_worker(**broker)
    assert service.wait("handed-on", timeout=60)["status"] == "done"
    assert service.http.get("/jobs/handed-on").json()["counters"]["embedded"] == 4000
    view.check()
