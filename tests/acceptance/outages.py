"""A service on a PostgreSQL of its own that is killed, or whose sessions are."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

import psutil
import psycopg

from indexmill.ledger.embedded_postgres import EmbeddedPostgres
from tests.acceptance.items import item, long_items
from tests.acceptance.ledger_view import LedgerView
from tests.acceptance.processes import family_of, kill_all, wait_gone
from tests.running_service import RunningService, wait_until

__all__ = ["Outage", "outage_during_a_task", "stop_during_an_outage", "terminate_backends"]


class Outage:
    """`service` runs on `server`, which is not its own."""

    def __init__(self, server: EmbeddedPostgres, url: str, folder: Path) -> None:
        self.server = server
        self.service = RunningService(url, folder / "service")
        self.view = LedgerView(url)

    def __enter__(self) -> Outage:
        self.service.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self.service.process
        assert process is not None
        family = family_of(self.service) if process.poll() is None else []
        self.service.stop()
        kill_all(family)
        self.service.http.close()
        process.wait(timeout=10)

    def kill(self) -> None:
        """SIGKILL to every process of the server."""
        assert self.server.pid is not None
        parent = psutil.Process(self.server.pid)
        kill_all([parent, *parent.children(recursive=True)])
        wait_until(lambda: not self.server.is_alive(), 60, "PostgreSQL to be gone")

    def bring_back(self) -> None:
        assert self.server.start() == self.view.url


def outage_during_a_task(outage: Outage, *, seconds: float, items: int) -> None:
    service, view = outage.service, outage.view
    service.deploy(delay_ms_per_text=2)
    service.run(long_items(items), task_id="outlived")
    wait_until(lambda: view.count() >= 256, 30, "the first documents")
    wait_until(view.leases, 60, "a window")
    supervised = {process.pid for process in service.workers()}
    outage.kill()
    answer = service.http.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["parts"]["database"]
    refused = service.http.get("/jobs/outlived")
    assert refused.status_code == 503, refused.text
    time.sleep(seconds)
    outage.bring_back()
    back = time.monotonic()
    wait_until(service.is_ready, 30, "the service to be ready again without a restart")
    assert service.run([item("after", "the outage")], task_id="after")["id"] == "after"
    assert service.wait("after", timeout=30)["status"] == "done"
    assert time.monotonic() - back < 30
    assert service.wait("outlived", timeout=90)["status"] == "done"
    assert {process.pid for process in service.workers()} == supervised, "a worker had to be restarted"
    assert view.count() == items + 1
    assert view.losses() == 0, "the outage was counted against the items"
    assert "Traceback" not in service.log.read_text()
    view.check()


def terminate_backends(outage: Outage, *, items: int, times: int) -> None:
    """Every session of the service is ended, five times a second."""
    service, view = outage.service, outage.view
    service.deploy(delay_ms_per_text=1)
    service.run(long_items(items), task_id="interrupted")
    wait_until(view.count, 30, "the first documents")
    with psycopg.connect(view.url, autocommit=True) as connection:
        for _ in range(times):
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'indexmill'"
            )
            time.sleep(0.2)
    assert service.wait("interrupted", timeout=90)["status"] == "done"
    assert view.count() == items
    view.check()


def stop_during_an_outage(outage: Outage) -> None:
    service, view = outage.service, outage.view
    service.deploy(delay_ms_per_text=2)
    service.run(long_items(3000), task_id="left")
    wait_until(view.leases, 60, "a window")
    family = family_of(service)
    outage.kill()
    assert service.process is not None
    service.process.terminate()
    wait_gone(family, 60)
    outage.bring_back()
    service.process.wait(timeout=10)
    service.start()
    assert service.wait("left", timeout=60)["status"] == "done"
    assert view.count() == 3000
    view.check()
