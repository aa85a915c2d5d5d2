"""A real `indexmill serve` as a child process, with its workers, and what tests ask of it."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

__all__ = ["RunningService", "wait_until"]

_ENDED = {"done", "failed", "canceled", "refused"}


def wait_until(condition: Any, timeout: float, what: str, pause: float = 0.02) -> Any:
    """The condition's first true value; fails the test when it does not come in time."""
    until = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < until, f"waited {timeout:g} s in vain for {what}"
        time.sleep(pause)


def free_port() -> int:
    """A port that nobody listens on, and that the system gives to no connection while its server is not up."""
    while True:
        # Not `random`: tests that seed it would all get the same ones.
        port = 10_000 + secrets.randbelow(_first_port_of_connections() - 10_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _first_port_of_connections() -> int:
    """Of those that the system chooses itself, as Linux says."""
    said = Path("/proc/sys/net/ipv4/ip_local_port_range")
    return max(int(said.read_text().split()[0]), 20_000) if said.exists() else 32_768


class RunningService:
    """`environment` are further INDEXMILL_... settings. `http` is a client of its API."""

    def __init__(self, database_url: str, data_folder: Path, environment: dict[str, str] | None = None) -> None:
        self.data_folder = data_folder
        self.port = free_port()
        self.database_url = database_url
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("INDEXMILL_")},
            "INDEXMILL_DATA_FOLDER": str(data_folder),
            "INDEXMILL_DATABASE__URL": database_url,
            "INDEXMILL_DATABASE__DIRECT_URL": database_url,
            "INDEXMILL_SERVER__PORT": str(self.port),
            "INDEXMILL_MODELS__ALLOW_FAULTS": "true",
            # What hosts that share a database must share too.
            "INDEXMILL_SERVER__SECRET_KEY": base64.b64encode(b"k" * 32).decode(),
            **(environment or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)
        self.log = data_folder / "serve.log"

    def start(self, *arguments: str, until_ready: bool = True) -> None:
        self.data_folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "indexmill", *(arguments or ("serve",))],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if until_ready:
            wait_until(self.is_ready, 100, "the service to be ready")

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.http.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to whatever is left of its processes after 40 s."""
        self.http.close()
        if self.process is None or self.process.poll() is not None:
            return
        family = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        self.process.send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs(family, timeout=40)
        for survivor in alive:
            survivor.kill()
        self.process.wait(timeout=10)

    def workers(self) -> list[psutil.Process]:
        """The Celery processes (solo ones, or the prefork parent)."""
        assert self.process is not None
        found: list[psutil.Process] = []
        for child in psutil.Process(self.process.pid).children():
            # One that was just killed is gone, or a zombie that nobody has waited for.
            with contextlib.suppress(psutil.NoSuchProcess):
                if "indexmill.worker.celery_process" in " ".join(child.cmdline()):
                    found.append(child)
        return found

    def deploy(self, model: str = "tiny", provider: str = "deterministic", **settings: Any) -> None:
        if provider == "deterministic":
            settings = {"dimension": 8, **settings}
        answer = self.http.post("/models", json={"id": model, "provider": provider, "settings": settings})
        assert answer.status_code in (200, 201), answer.text

    def run(self, items: list[dict[str, Any]], model: str = "tiny", task_id: str | None = None) -> dict[str, Any]:
        """Submit an upsertion task."""
        body = {"embedding_model_id": model, "items": items} | ({"task_id": task_id} if task_id else {})
        answer = self.http.post("/internal/upsertion-tasks/run", json=body)
        assert answer.status_code == 200, answer.text
        task: dict[str, Any] = answer.json()
        return task

    def delete(self, object_ids: list[str], model: str = "tiny", task_id: str | None = None) -> dict[str, Any]:
        """Submit a deletion task."""
        body = {"embedding_model_id": model, "object_ids": object_ids} | ({"task_id": task_id} if task_id else {})
        answer = self.http.post("/internal/deletion-tasks/run", json=body)
        assert answer.status_code == 200, answer.text
        task: dict[str, Any] = answer.json()
        return task

    def info(self, task_id: str, kind: str = "upsertion") -> dict[str, Any]:
        answer = self.http.get(f"/internal/{kind}-tasks/info", params={"task_id": task_id})
        assert answer.status_code == 200, answer.text
        task: dict[str, Any] = answer.json()
        return task

    def wait(self, task_id: str, timeout: float = 60, kind: str = "upsertion") -> dict[str, Any]:
        """The task when it has ended."""

        def ended() -> dict[str, Any] | None:
            task = self.info(task_id, kind)
            return task if task["status"] in _ENDED else None

        task: dict[str, Any] = wait_until(ended, timeout, f"task {task_id} to end")
        return task
