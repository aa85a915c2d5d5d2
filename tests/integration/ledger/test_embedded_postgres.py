"""The embedded PostgreSQL against the real programs: first start, restarts after kills, attaching, who gets in."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from indexmill.errors import ServiceError
from indexmill.ledger import postgres_folder
from indexmill.ledger.embedded_postgres import EmbeddedPostgres, embedded_uri
from indexmill.ledger.postgres_folder import PostgresFolder
from indexmill.ledger.postgres_owner import owner_of


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def server(data_folder: Path) -> Iterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(data_folder, start_timeout=60)
    yield made
    made.stop()


def _write_row(uri: str) -> None:
    with psycopg.connect(uri) as connection:
        connection.execute("CREATE TABLE kept (number integer)")
        connection.execute("INSERT INTO kept VALUES (42)")


def _row(uri: str) -> object:
    with psycopg.connect(uri) as connection:
        return connection.execute("SELECT number FROM kept").fetchone()


def _setting(uri: str, name: str) -> str:
    with psycopg.connect(uri) as connection:
        row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
    assert row is not None
    return str(row[0])


def _kill_postmaster(server: EmbeddedPostgres) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while server.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _socket_folder(data_folder: Path) -> Path:
    postmaster = PostgresFolder(data_folder).postmaster()
    assert postmaster is not None
    assert postmaster.socket_folder is not None
    return postmaster.socket_folder


def test_the_first_start_makes_a_durable_database_with_pgvector_and_utc(server: EmbeddedPostgres) -> None:
    uri = server.start()

    assert server.is_alive()
    assert _setting(uri, "fsync") == "on"
    assert _setting(uri, "synchronous_commit") == "on"
    assert _setting(uri, "timezone") == "UTC"
    assert _setting(uri, "listen_addresses") == ""
    with psycopg.connect(uri) as connection:
        assert connection.info.dbname == "indexmill"
        connection.execute("CREATE EXTENSION vector")
        assert connection.execute("SELECT '[1,2]'::vector <-> '[1,4]'").fetchone() == (2.0,)


def test_what_was_committed_is_there_after_a_stop_and_a_second_start(server: EmbeddedPostgres) -> None:
    first = server.start()
    _write_row(first)
    server.stop()
    assert not server.is_alive()
    assert server.pid is None

    second = server.start()

    assert second == first
    assert _row(second) == (42,)


def test_a_start_that_is_not_wanted_any_more_ends_and_leaves_no_server(
    server: EmbeddedPostgres, data_folder: Path
) -> None:
    server.start()
    server.stop()
    asked = threading.Event()
    asked.set()
    interrupted = EmbeddedPostgres(data_folder, stop=asked)
    with pytest.raises(ServiceError, match="not ready yet"):
        interrupted.start()
    assert not interrupted.is_alive()
    assert embedded_uri(data_folder) is None


def test_what_was_committed_survives_a_killed_postmaster(server: EmbeddedPostgres) -> None:
    _write_row(server.start())
    _kill_postmaster(server)

    assert _row(server.start()) == (42,)


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="surviving processes are found by /proc")
def test_a_session_that_survives_its_killed_postmaster_does_not_hinder_the_next_start(
    server: EmbeddedPostgres, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a session that notices nothing, as one in a long computation
    monkeypatch.setattr("indexmill.ledger.embedded_postgres._ORPHAN_PATIENCE", 0.5)
    uri = server.start()
    _write_row(uri)
    with psycopg.connect(uri) as session:
        os.kill(session.info.backend_pid, signal.SIGSTOP)
        _kill_postmaster(server)
        assert session.info.backend_pid in postgres_folder.orphans(PostgresFolder(data_folder).cluster)

        # when and then
        assert _row(server.start()) == (42,)


def test_a_postmaster_file_whose_number_another_process_has_now_is_no_server(
    server: EmbeddedPostgres, data_folder: Path
) -> None:
    # given: after a power loss another process of the same user has the number
    _write_row(server.start())
    _kill_postmaster(server)
    folder = PostgresFolder(data_folder)
    lines = (folder.cluster / "postmaster.pid").read_text().splitlines()
    stranger = subprocess.Popen(["sleep", "60"], cwd="/", **owner_of(folder.server).run_as)
    try:
        (folder.cluster / "postmaster.pid").write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        assert embedded_uri(data_folder) is None

        # when and then
        assert _row(server.start()) == (42,)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_server_whose_starter_was_killed_is_attached_to_and_can_be_stopped(data_folder: Path) -> None:
    # given
    program = (
        "import os, signal, sys; from pathlib import Path\n"
        "from indexmill.ledger.embedded_postgres import EmbeddedPostgres\n"
        "server = EmbeddedPostgres(Path(sys.argv[1])); server.start(); print(server.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-c", program, str(data_folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr

    # when
    server = EmbeddedPostgres(data_folder)
    uri = server.start()

    # then
    try:
        assert server.pid == int(done.stdout)
        assert server.is_alive()
        _write_row(uri)
    finally:
        server.stop()
    assert not server.is_alive()
    assert embedded_uri(data_folder) is None


def test_nobody_gets_in_without_the_password(
    server: EmbeddedPostgres, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", os.devnull)
    server.start()
    sockets = quote(str(_socket_folder(data_folder)))

    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(f"postgresql://indexmill@/indexmill?host={sockets}")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://indexmill:wrong@/indexmill?host={sockets}")


def test_password_socket_and_cluster_are_closed_to_other_users(server: EmbeddedPostgres, data_folder: Path) -> None:
    server.start()

    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    folder = PostgresFolder(data_folder)
    assert mode(_socket_folder(data_folder)) == 0o700
    assert mode(folder.server) == 0o700
    assert mode(folder.root / "postgres_password") == 0o600
    assert mode(folder.log) == 0o600
    assert mode(folder.root) & 0o066 == 0
    assert not (folder.server / "password_for_initdb").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user to run PostgreSQL as")
def test_root_does_not_run_postgresql_as_root(server: EmbeddedPostgres, data_folder: Path) -> None:
    server.start()

    assert Path(f"/proc/{server.pid}").stat().st_uid != 0
    assert data_folder.stat().st_uid == 0


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(server: EmbeddedPostgres) -> None:
    server.start()

    assert server.pid is not None
    assert os.getsid(server.pid) != os.getsid(0)


@pytest.mark.parametrize("name", ["a" * 100, "with, comma and 'quotes'"])
def test_a_path_that_no_socket_can_have_gets_a_private_socket_folder_elsewhere(tmp_path: Path, name: str) -> None:
    data_folder = tmp_path / name
    server = EmbeddedPostgres(data_folder)
    try:
        _write_row(server.start())
        sockets = _socket_folder(data_folder)
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert not sockets.is_relative_to(data_folder)

        # a second start uses the same one, so that killed servers leave no trail of folders
        server.stop()
        assert _row(server.start()) == (42,)
        assert _socket_folder(data_folder) == sockets
        assert embedded_uri(data_folder) == server.start()
    finally:
        server.stop()
    sockets.rmdir()


def test_other_processes_find_the_uri_only_while_the_server_runs(server: EmbeddedPostgres, data_folder: Path) -> None:
    assert embedded_uri(data_folder) is None
    uri = server.start()
    assert embedded_uri(data_folder) == uri
    server.stop()
    assert embedded_uri(data_folder) is None


def test_a_first_start_that_was_cut_off_is_made_good_by_the_next(server: EmbeddedPostgres, data_folder: Path) -> None:
    half_made = data_folder / "postgres" / "data.half_made"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")

    _write_row(server.start())


def test_a_server_that_gives_up_is_reported_with_its_own_sentence_and_without_paths(
    server: EmbeddedPostgres, data_folder: Path
) -> None:
    server.start()
    server.stop()
    (data_folder / "postgres" / "data" / "PG_VERSION").write_text("9\n")

    with pytest.raises(ServiceError, match=r"did not start: .*incompatible") as caught:
        server.start()

    assert str(data_folder) not in str(caught.value)
    assert not server.is_alive()


def test_a_lost_password_is_reported_before_anything_is_started(server: EmbeddedPostgres, data_folder: Path) -> None:
    server.start()
    server.stop()
    (data_folder / "postgres_password").unlink()

    with pytest.raises(ServiceError, match="postgres_password"):
        server.start()


def test_stop_tolerates_a_server_that_never_started_or_has_stopped(server: EmbeddedPostgres) -> None:
    server.stop()
    server.start()
    server.stop()
    server.stop()


def test_the_log_keeps_its_limit_while_the_server_runs(
    server: EmbeddedPostgres, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = server.start()
    monkeypatch.setattr(postgres_folder, "LOG_LIMIT_BYTES", 10)

    assert server.is_alive()
    assert (data_folder / "postgres.log").stat().st_size == 0
    assert (data_folder / "postgres.log.1").stat().st_size > 10

    with psycopg.connect(uri) as connection, pytest.raises(psycopg.Error):
        connection.execute("SELECT 1 / 0")
    assert (data_folder / "postgres.log").read_bytes().startswith(b"2")
