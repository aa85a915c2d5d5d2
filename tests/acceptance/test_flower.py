"""`indexmill flower` for real: it shows the workers of any broker, and nobody looks from outside without a password."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.acceptance.fixtures import StartService
from tests.acceptance.items import short_items
from tests.rabbitmq_server import RabbitmqServer
from tests.running_service import RunningService, free_port, wait_until


def environment(**settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INDEXMILL_")}
    # Flower's own variables would open what our settings close.
    return {**kept, "FLOWER_ADDRESS": "0.0.0.0", "FLOWER_UNAUTHENTICATED_API": "true", **settings}  # noqa: S104


@contextmanager
def flower(*arguments: str, **settings: str) -> Iterator[httpx.Client]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "indexmill", "flower", "--port", str(port), *arguments],
        env=environment(**settings),
        stderr=subprocess.DEVNULL,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            wait_until(lambda: answers(client), 30, "Flower")
            yield client
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0
    finally:
        process.kill()
        process.wait(timeout=10)


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthcheck").status_code == 200
    except httpx.HTTPError:
        return False


def settings_of(service: RunningService) -> dict[str, str]:
    return {name: value for name, value in service.environment.items() if name.startswith("INDEXMILL_")}


def shows_work(client: httpx.Client, workers: int) -> bool:
    page = client.get("/workers", params={"json": "1"}).json()["data"]
    return len(page) >= workers and sum(each.get("task-succeeded", 0) for each in page) > 0


def test_flower_shows_the_workers_of_the_local_broker(start_service: StartService) -> None:
    service = start_service(INDEXMILL_WORKER__PROCESSES="2")
    service.deploy()
    with flower(**settings_of(service)) as client:
        wait_until(lambda: list((service.data_folder / "broker").glob("celeryev.*")), 60, "a listener")
        service.run(short_items(20), task_id="seen")
        assert service.wait("seen")["status"] == "done"
        wait_until(lambda: shows_work(client, 1), 60, "a worker that has worked", pause=0.2)
        assert client.get("/api/workers").status_code in (401, 403)


@pytest.mark.chaos
@pytest.mark.rabbitmq
def test_flower_shows_the_workers_of_rabbitmq(
    start_service: StartService, start_worker: StartService, rabbitmq_server: RabbitmqServer
) -> None:
    broker = {"INDEXMILL_CELERY__BROKER_MODE": "rabbitmq", "INDEXMILL_CELERY__BROKER_URL": rabbitmq_server.url}
    service = start_service(until_ready=False, **broker)
    start_worker(**broker)
    wait_until(service.is_ready, 100, "service and worker to be ready")
    service.deploy()
    with flower(**settings_of(service)) as client:
        wait_until(lambda: client.get("/workers", params={"json": "1"}).json()["data"], 60, "a worker", pause=0.2)
        service.run(short_items(20), task_id="seen")
        assert service.wait("seen")["status"] == "done"
        wait_until(lambda: shows_work(client, 1), 60, "a worker that has worked", pause=0.2)


def test_a_password_that_is_set_is_asked_for(tmp_path: Path) -> None:
    settings = {
        "INDEXMILL_DATA_FOLDER": str(tmp_path),
        "INDEXMILL_FLOWER__BASIC_AUTH": "watcher:a long, good password",
    }
    with flower("--host", "0.0.0.0", **settings) as client:  # noqa: S104 - what is tested
        assert client.get("/workers").status_code == 401
        assert client.get("/workers", auth=("watcher", "a long, good password")).status_code == 200
        assert client.get("/workers", auth=("watcher", "another password")).status_code == 401


@pytest.mark.parametrize("password", [None, "watcher:", ":a long, good password", "watcher:short"])
def test_without_a_password_only_this_machine_can_look(tmp_path: Path, password: str | None) -> None:
    given = {} if password is None else {"INDEXMILL_FLOWER__BASIC_AUTH": password}
    ended = subprocess.run(
        [sys.executable, "-m", "indexmill", "flower", "--host", "0.0.0.0"],  # noqa: S104 - what is tested
        env=environment(INDEXMILL_DATA_FOLDER=str(tmp_path), **given),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 2
    assert "flower.basic_auth: expected USER:PASSWORD" in ended.stderr
    assert "long, good" not in ended.stderr
