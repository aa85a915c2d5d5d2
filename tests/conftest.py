"""Fixtures for every speed: one embedded PostgreSQL a session, a fresh migrated database a test, real services."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import psycopg
import pytest
from psycopg import sql

from indexmill.engine import Engine
from indexmill.ledger import embedded_postgres
from indexmill.ledger.database import Database
from indexmill.ledger.embedded_postgres import EmbeddedPostgres
from indexmill.ledger.ledger import Ledger, open_ledger
from indexmill.ledger.migrate import migrate
from indexmill.models.model_cache import ModelCache
from indexmill.settings import DatabaseSettings, ServerSettings, Settings
from indexmill.vectors.pgvector_store import PgvectorStore
from tests.running_service import RunningService

# A timed test fails on a busy machine and says nothing of the code.
hypothesis.settings.register_profile(
    "indexmill", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("indexmill")

_TEMPLATE = "template_indexmill"
#: Bytes that must be free in memory before the databases of the tests go there.
_ROOM = 4 << 30
_numbers = itertools.count(1)
#: The database of the test before.
_used: list[str] = []


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> None:
    for name in [name for name in os.environ if name.startswith("INDEXMILL_")]:
        del os.environ[name]


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A server for the whole session, with a migrated template database."""
    with tempfile.TemporaryDirectory(prefix="indexmill-tests-", dir=_in_memory(), ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        # A fresh database a test is many checkpoints; no test of this server pulls the machine's plug.
        embedded_postgres._SETTINGS |= {"fsync": "off", "full_page_writes": "off"}
        server = EmbeddedPostgres(Path(folder) / "data", start_timeout=120)
        url = server.start()
        embedded_postgres._SETTINGS |= {"fsync": "on", "full_page_writes": "on"}
        try:
            _create(url, _TEMPLATE, "template0")
            database = Database(_at(url, _TEMPLATE), pool_size=2, direct=False)
            database.open()
            migrate(database)
            database.close()
            yield url
        finally:
            server.stop()


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """A fresh, migrated database, dropped after the next test; the last one goes with the server."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    _create(postgres_url, name, _TEMPLATE)
    yield _at(postgres_url, name)
    # Where a session has not quite ended, PostgreSQL looks again after 100 ms; those of the test before have.
    for used in _used:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(used)))
    _used[:] = [name]


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings of a service on the fresh database; its data folder holds only the local broker."""
    return Settings(
        data_folder=tmp_path / "data",
        database=DatabaseSettings(url=database_url, direct_url=database_url),
        server=ServerSettings(port=0),
    )


@pytest.fixture
def ledger(settings: Settings, database_url: str) -> Iterator[Ledger]:
    opened = open_ledger(database_url, settings)
    yield opened
    opened.database.close()


@pytest.fixture
def engine(ledger: Ledger) -> Engine:
    """The engine without waker or workers, with the models `tiny` (deterministic, 8 dimensions) deployed."""
    made = Engine(ledger, PgvectorStore(ledger.database), ModelCache(), lambda: None, allow_faults=True)
    made.deploy("tiny", "deterministic", {"dimension": 8})
    return made


@pytest.fixture
def start_service(database_url: str, tmp_path: Path) -> Iterator[Callable[..., RunningService]]:
    """Start `indexmill serve` as a process on the fresh database; stopped afterwards."""
    started: list[RunningService] = []

    def start(**environment: str) -> RunningService:
        service = RunningService(database_url, tmp_path / f"service{len(started)}", environment)
        started.append(service)
        service.start()
        return service

    yield start
    for service in started:
        service.stop()


def _in_memory() -> str | None:
    """Where a fresh database takes a quarter of the time that it takes on a disk; None: there is no room for that."""
    folder = Path("/dev/shm")
    has_room = folder.is_dir() and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > _ROOM
    return str(folder) if has_room else None


def _create(url: str, name: str, template: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )


def _at(url: str, name: str) -> str:
    """The same server's database of that name."""
    base, _, query = url.partition("?")
    head, _, _ = base.rpartition("/")
    return f"{head}/{name}" + (f"?{query}" if query else "")
