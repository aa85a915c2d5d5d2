"""`indexmill serve`: PostgreSQL where none is configured, the API, and workers where the broker is local."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from indexmill.errors import ServiceError, SettingsError
from indexmill.http.listening import check_port
from indexmill.ledger.database import Database
from indexmill.ledger.embedded_postgres import EmbeddedPostgres, embedded_uri
from indexmill.ledger.ledger import open_ledger
from indexmill.ledger.migrate import migrate
from indexmill.security.start_check import check_address
from indexmill.settings import Settings
from indexmill.sources.start_check import check_sources
from indexmill.telemetry import set_up_logging
from indexmill.worker.child import spawn
from indexmill.worker.fleet import Fleet, supervisor_name
from indexmill.worker.watch import Child, stop_children, stop_signal

__all__ = ["prepare_database", "reachable_database", "serve"]

_log = logging.getLogger(__name__)
_API_MODULE = "indexmill.api_process"
_API_STOP_SECONDS = 15.0
_TICK_SECONDS = 0.1
_POSTGRES_CHECK_TICKS = 10
#: The API of a service that was killed stops listening when it has noticed: at once, if it is not busy.
_PORT_PATIENCE = 10.0


def serve(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; then stop API, workers and PostgreSQL, in this order. The exit code.

    Raises:
        ServiceError: the data folder or the port is in use, or the database did not start.
        SettingsError: the data folder or the spool cannot be used, or others could reach it and there is no key.
    """
    set_up_logging(settings.log_level)
    with stop_signal() as stop:
        try:
            _run(settings, stop)
        except ServiceError:
            # Ctrl-C in a terminal reaches `initdb` too, and whoever asks for an end has no use for its complaint.
            if not stop.is_set():
                raise
    _log.info("stopped")
    return 0


def _run(settings: Settings, stop: threading.Event) -> None:
    with ExitStack() as stack:
        stack.enter_context(_data_folder_lock(settings.data_folder))
        check_port(settings.server.host, settings.server.port, _PORT_PATIENCE)
        check_sources(settings)
        postgres, url = _database(settings, stack, stop)
        prepare_database(settings, url)
        ledger = open_ledger(url, settings, pool_size=2)
        stack.callback(ledger.database.close)
        check_address(settings, ledger.api_keys)
        fleet = Fleet(settings, url, ledger, settings.worker.processes)
        if settings.celery.broker_mode == "local":
            stack.callback(fleet.stop)
        else:
            fleet.children.clear()
        api = Child("API", start=lambda: spawn(_API_MODULE, settings, url, supervisor_name(), 1))
        stack.callback(stop_children, [api], _API_STOP_SECONDS)
        _supervise(stop, api, fleet if fleet.children else None, postgres)
        _log.info("stopping")


def _supervise(stop: threading.Event, api: Child, fleet: Fleet | None, postgres: EmbeddedPostgres | None) -> None:
    ticks = 0
    while not stop.is_set():
        if postgres is not None and ticks % _POSTGRES_CHECK_TICKS == 0 and not postgres.is_alive():
            _log.warning("PostgreSQL ended; restarting it")
            postgres.start()
        api.keep_alive()
        if fleet is not None:
            fleet.look_after()
        ticks += 1
        stop.wait(_TICK_SECONDS)


def prepare_database(settings: Settings, url: str) -> None:
    """Migrate to the newest schema.

    Raises:
        ServiceError: the database is too old, or newer than this program.
    """
    database = Database(url, pool_size=2, direct=False, connect_timeout=settings.database.connect_timeout_seconds)
    database.open()
    try:
        migrate(database)
    finally:
        database.close()


def _database(
    settings: Settings, stack: ExitStack, stop: threading.Event | None = None
) -> tuple[EmbeddedPostgres | None, str]:
    if settings.database.url is not None:
        return None, settings.database.url
    postgres = EmbeddedPostgres(settings.data_folder, start_timeout=settings.database.start_timeout_seconds, stop=stop)
    url = postgres.start()
    stack.callback(postgres.stop)
    return postgres, url


@contextmanager
def reachable_database(settings: Settings) -> Iterator[str]:
    """The URL of the migrated database of these settings, within the block: the embedded one is started where no
    service runs on this data folder.

    Raises:
        ServiceError: it did not start, or is too old, or newer than this program.
    """
    with ExitStack() as stack:
        url = settings.database.url or embedded_uri(settings.data_folder)
        if url is None:
            stack.enter_context(_data_folder_lock(settings.data_folder))
            _, url = _database(settings, stack)
        prepare_database(settings, url)
        yield url


@contextmanager
def _data_folder_lock(folder: Path) -> Iterator[None]:
    """One `serve` a data folder.

    Raises:
        ServiceError: another one runs on it.
        SettingsError: this user cannot make it, or not write to it.
    """
    try:
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        descriptor = os.open(folder / "serve.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SettingsError(
            f"data_folder: expected a folder that this user can make and write to, got {str(folder)!r} "
            f"({error.strerror or error}); change its rights or set another data_folder"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise ServiceError(
            "data_folder: expected a folder that no other `indexmill serve` uses, this one is in use; "
            "stop the other one or set another data_folder"
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)
