"""Fixtures of the tests with real processes, for several folders: import them into a conftest."""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg import sql

from tests.acceptance.embedding_log import EmbeddingLog
from tests.acceptance.ledger_view import LedgerView
from tests.acceptance.processes import family_of, is_gone, kill_all
from tests.rabbitmq_server import RabbitmqServer
from tests.redis_server import RedisServer
from tests.running_service import RunningService

__all__ = [
    "StartService",
    "embedding_log",
    "rabbitmq_server",
    "redis_server",
    "running_service",
    "shared_service",
    "start_service",
    "start_worker",
    "view",
]

StartService = Callable[..., RunningService]
_numbers = itertools.count(1)


@pytest.fixture
def view(database_url: str) -> LedgerView:
    return LedgerView(database_url)


@pytest.fixture
def embedding_log(tmp_path: Path) -> EmbeddingLog:
    """Pass its path as the model's `log_path`."""
    return EmbeddingLog(tmp_path / "embedded.log")


@pytest.fixture
def start_service(database_url: str, tmp_path: Path) -> Iterator[StartService]:
    """Start `indexmill serve` on the fresh database; a second call starts a second one. Stopped afterwards."""
    with _stopping() as started:

        def start(*, until_ready: bool = True, **environment: str) -> RunningService:
            service = RunningService(database_url, tmp_path / f"service{len(started)}", environment)
            started.append(service)
            service.start(until_ready=until_ready)
            return service

        yield start


@pytest.fixture
def start_worker(database_url: str, tmp_path: Path) -> Iterator[StartService]:
    """Start `indexmill worker --processes N` on the fresh database; stopped afterwards."""
    with _stopping() as started:

        def start(processes: int = 2, **environment: str) -> RunningService:
            worker = RunningService(database_url, tmp_path / f"worker{len(started)}", environment)
            started.append(worker)
            worker.start("worker", "--processes", str(processes), until_ready=False)
            return worker

        yield start


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def rabbitmq_server() -> Iterator[RabbitmqServer]:
    with RabbitmqServer() as server:
        yield server


@pytest.fixture(scope="module")
def shared_service(postgres_url: str) -> Iterator[RunningService]:
    """One service for a module's tests, with the model `tiny`; each uses object ids, or a model, of its own."""
    with running_service(postgres_url) as service:
        yield service


@contextlib.contextmanager
def running_service(postgres_url: str, **environment: str) -> Iterator[RunningService]:
    """A service on a database of its own, with the model `tiny`; for fixtures of a module."""
    name = f"shared_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE template_indexmill")
        connection.execute(statement.format(sql.Identifier(name)))
    with tempfile.TemporaryDirectory(prefix="indexmill-shared-") as folder, _stopping() as started:
        base, mark, query = postgres_url.partition("?")
        url = f"{base.rpartition('/')[0]}/{name}{mark}{query}"
        service = RunningService(url, Path(folder) / "service", environment)
        started.append(service)
        service.start()
        service.deploy()
        yield service
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


class _stopping:  # noqa: N801 - used as a context manager, like contextlib's
    """Stops what was started, whatever state a test left it in."""

    def __enter__(self) -> list[RunningService]:
        self._started: list[RunningService] = []
        return self._started

    def __exit__(self, *_: object) -> None:
        for service in self._started:
            _end(service)


def _end(service: RunningService) -> None:
    family = family_of(service) if service.process is not None and service.process.poll() is None else []
    for process in family:
        if not is_gone(process) and process.status() == psutil.STATUS_STOPPED:
            process.resume()
    try:
        service.stop()
    finally:
        kill_all([each for each in family if not is_gone(each)])
        service.http.close()
        if service.process is not None:
            service.process.wait(timeout=10)
