"""Starting and ending: SIGTERM under load, Ctrl-C, a killed supervisor, a killed API, a second service."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from indexmill.cli.exit_codes import ExitCode
from tests.acceptance.embedding_log import EmbeddingLog
from tests.acceptance.fixtures import StartService
from tests.acceptance.items import item, long_items, short_items
from tests.acceptance.ledger_view import LedgerView
from tests.acceptance.processes import api_of, family_of, wait_gone
from tests.running_service import RunningService, wait_until

pytestmark = pytest.mark.timed

#: API, then windows, with room for a busy machine. The command's own limit is 15 s + 30 s.
GRACE = 20.0


def restart(service: RunningService) -> None:
    assert service.process is not None
    service.process.wait(timeout=10)
    service.start()


@pytest.mark.parametrize(
    "number",
    [pytest.param(signal.SIGTERM, id="SIGTERM"), pytest.param(signal.SIGINT, id="SIGINT", marks=pytest.mark.chaos)],
)
def test_a_stop_under_load_gives_the_leases_back_and_the_next_start_finishes(
    start_service: StartService, view: LedgerView, embedding_log: EmbeddingLog, number: signal.Signals
) -> None:
    service = start_service()
    service.deploy(log_path=str(embedding_log.path), delay_ms_per_text=2)
    service.run(long_items(5000), task_id="interrupted")
    wait_until(lambda: view.count() >= 256, 30, "the first documents")
    wait_until(view.leases, 60, "a window")
    family = family_of(service)
    assert service.process is not None
    asked = time.monotonic()
    service.process.send_signal(number)
    wait_gone(family, GRACE)
    assert time.monotonic() - asked < GRACE
    assert service.process.wait(timeout=5) == 0
    assert not view.leases(), "a lease was not given back"
    assert view.losses() == 0
    assert view.value("SELECT count(*) FROM batch WHERE state = 'running'") == 0
    assert view.count() < 5000
    assert "Traceback" not in service.log.read_text()
    restart(service)
    assert service.wait("interrupted", timeout=60)["status"] == "done"
    assert view.count() == 5000
    assert embedding_log.repeated() == 0, "a window that could be finished was embedded again"
    assert view.losses() == 0
    view.check()


@pytest.mark.chaos
def test_a_stop_gives_a_window_back_that_takes_too_long(
    start_service: StartService, view: LedgerView, embedding_log: EmbeddingLog
) -> None:
    service = start_service()
    # A window of 40 s, in calls of 10 s.
    service.deploy(log_path=str(embedding_log.path), delay_ms_per_text=160)
    service.run(long_items(250), task_id="slow")
    wait_until(lambda: embedding_log.total() > 0, 60, "the window to run")
    family = family_of(service)
    assert service.process is not None
    service.process.terminate()
    wait_gone(family, 40)
    assert not view.leases()
    assert view.losses() == 0
    assert view.value("SELECT count(*) FROM batch WHERE state = 'ready'") == 1


@pytest.mark.chaos
def test_a_supervisor_killed_with_sigkill_takes_its_processes_along_and_a_new_one_goes_on(
    start_service: StartService, view: LedgerView, embedding_log: EmbeddingLog
) -> None:
    service = start_service()
    service.deploy(log_path=str(embedding_log.path), delay_ms_per_text=2)
    service.run(long_items(3000), task_id="orphaned")
    wait_until(lambda: view.count() >= 256, 30, "the first documents")
    supervisor, *others = family_of(service)
    supervisor.kill()
    wait_gone(others, GRACE)
    restart(service)
    assert service.wait("orphaned", timeout=60)["status"] == "done"
    assert view.count() == 3000
    view.check()


@pytest.mark.chaos
def test_a_supervisor_killed_with_sigkill_leaves_no_process_that_hangs(
    start_service: StartService, view: LedgerView
) -> None:
    service = start_service(
        INDEXMILL_WORKER__WINDOW_DEADLINE_SECONDS="3",
        INDEXMILL_WORKER__LEASE_SECONDS="3",
        INDEXMILL_SOURCES__TIMEOUT_SECONDS="1",
        INDEXMILL_READERS__TIMEOUT_SECONDS="1",
        INDEXMILL_CRAWL__TIMEOUT_SECONDS="1",
    )
    service.deploy(hang_on=["HANG"])
    service.run([item("hang", "HANG")])
    wait_until(view.leases, 60, "the window that hangs")
    supervisor, *others = family_of(service)
    supervisor.kill()
    wait_gone(others, GRACE)


def test_the_api_killed_under_load_is_back_and_every_answered_task_is_done(
    start_service: StartService, view: LedgerView
) -> None:
    service = start_service()
    service.deploy()
    answered: list[str] = []

    enough = threading.Event()

    def client(number: int) -> None:
        with httpx.Client(base_url=str(service.http.base_url), timeout=10) as http:
            for task in itertools.count():
                if enough.is_set():
                    return
                name = f"kept-{number}-{task}"
                body = {"embedding_model_id": "tiny", "task_id": name, "items": [item(name, name)]}
                try:
                    if http.post("/internal/upsertion-tasks/run", json=body).status_code == 200:
                        answered.append(name)
                except httpx.HTTPError:
                    time.sleep(0.05)

    with ThreadPoolExecutor(4) as clients:
        running = [clients.submit(client, number) for number in range(4)]
        try:
            for _ in range(2):
                before = len(answered)
                wait_until(lambda start=before: len(answered) > start + 20, 30, "tasks to be answered")
                api_of(service).kill()
                wait_until(service.is_ready, 60, "the API to be back")
        finally:
            enough.set()
        for each in running:
            each.result()
    assert len(answered) > 40
    for name in answered:
        assert service.wait(name)["status"] == "done"
    texts = view.texts()
    assert all(texts[name] == name for name in answered)
    view.check()


@pytest.mark.chaos
def test_a_large_upload_cut_off_by_the_death_of_the_api_leaves_nothing_claimable(
    start_service: StartService, view: LedgerView
) -> None:
    service = start_service()
    service.deploy()
    body = {"embedding_model_id": "tiny", "task_id": "cut", "items": long_items(40_000)}

    def upload() -> int | None:
        try:
            return httpx.post(
                f"{service.http.base_url}/internal/upsertion-tasks/run", json=body, timeout=60
            ).status_code
        except httpx.HTTPError:
            return None

    with ThreadPoolExecutor(1) as clients:
        answer = clients.submit(upload)
        wait_until(lambda: view.value("SELECT count(*) FROM batch"), 30, "the upload to be staged", pause=0.005)
        api_of(service).kill()
        assert answer.result() is None
    wait_until(service.is_ready, 60, "the API to be back")
    assert view.rows("SELECT state, external_id, seq FROM job") == [
        {"state": "receiving", "external_id": None, "seq": None}
    ]
    assert service.http.get("/jobs").json()["total"] == 0
    assert service.http.get("/internal/upsertion-tasks/info", params={"task_id": "cut"}).status_code == 404
    assert service.run(short_items(10), task_id="cut")["total_items"] == 10
    assert service.wait("cut")["status"] == "done"
    assert view.count() == 10


def test_a_second_service_on_the_same_data_folder_is_refused_with_a_sentence(start_service: StartService) -> None:
    service = start_service()
    second = subprocess.run(
        [sys.executable, "-m", "indexmill", "serve"],
        env={**service.environment, "INDEXMILL_SERVER__PORT": "0"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode != 0
    words = second.stderr.strip()
    assert "data_folder" in words
    assert "in use" in words
    assert "Traceback" not in words
    assert len(words.splitlines()) == 1, words
    assert service.is_ready()


@pytest.mark.chaos
def test_a_taken_port_ends_the_second_service_with_a_sentence(start_service: StartService) -> None:
    service = start_service()
    second = start_service(INDEXMILL_SERVER__PORT=str(service.port), until_ready=False)
    assert second.process is not None
    assert second.process.wait(30) == ExitCode.SERVICE_FAILED
    assert "server.port: expected a free port" in second.log.read_text()
    assert "Traceback" not in second.log.read_text()
    assert service.is_ready()


@pytest.mark.chaos
def test_an_idle_service_stops_at_once(start_service: StartService) -> None:
    service = start_service()
    service.deploy()
    service.wait(service.run(short_items(10))["id"])
    family = family_of(service)
    assert service.process is not None
    asked = time.monotonic()
    service.process.terminate()
    wait_gone(family, GRACE)
    assert time.monotonic() - asked < 8
