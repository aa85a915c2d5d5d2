"""The files of the embedded PostgreSQL in the data folder: cluster, password, socket folder, log, `postmaster.pid`."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from indexmill.errors import ServiceError
from indexmill.ledger.postgres_owner import PostgresOwner

__all__ = ["DATABASE", "ROLE", "PostgresFolder", "Postmaster", "is_server", "orphans"]

ROLE = "indexmill"
DATABASE = "indexmill"
LOG_LIMIT_BYTES = 10 * 1024 * 1024
#: `sun_path` holds 108 bytes on Linux, 104 on macOS, the closing NUL included.
_SOCKET_PATH_LIMIT = 103
_SOCKET_NAME = ".s.PGSQL.5432"
#: Commas and quotes have a meaning in lists of socket folders.
_PLAIN_PATH = re.compile(r"[\w./+-]+")
_LOG_PREFIX = re.compile(r"^.*?(?:FATAL|PANIC):\s*")


@dataclass(frozen=True)
class Postmaster:
    """A running server, as its `postmaster.pid` tells."""

    pid: int
    socket_folder: Path | None
    ready: bool


class PostgresFolder:
    """Where everything of one embedded server is.

    The data folder itself is the starter's; only `postgres/` belongs to the user who runs the server.
    """

    def __init__(self, data_folder: Path) -> None:
        self.root = data_folder.resolve()
        self.server = self.root / "postgres"
        self.cluster = self.server / "data"
        self.half_made_cluster = self.server / "data.half_made"
        self.log = self.root / "postgres.log"
        self._password = self.root / "postgres_password"
        self._socket_record = self.root / "postgres_socket_folder"
        self._postmaster_file = self.cluster / "postmaster.pid"

    @property
    def has_cluster(self) -> bool:
        return (self.cluster / "PG_VERSION").exists()

    def make(self) -> None:
        # The system user that root hands `postgres/` to must pass through, but not look around.
        mode = 0o711 if os.geteuid() == 0 else 0o700
        if not self.root.exists():
            self.root.mkdir(parents=True)
            self.root.chmod(mode)

    def make_server_folder(self, owner: PostgresOwner) -> None:
        self.server.mkdir(exist_ok=True)
        owner.give(self.server, 0o700)

    def make_password(self) -> str:
        """The superuser's password, made at the first start.

        Raises:
            ServiceError: there is a database whose password is gone.
        """
        known = self.password()
        if known is not None:
            return known
        if self.has_cluster:
            raise ServiceError(
                "The data folder has a database, but its password file `postgres_password` is missing or empty: "
                "bring the file back from a backup, or set data_folder to a new folder"
            )
        made = secrets.token_urlsafe(32)
        _write_private(self._password, made)
        return made

    def write_password_for_initdb(self, owner: PostgresOwner, password: str) -> Path:
        """A file that the server's user can read; the caller removes it."""
        path = self.server / "password_for_initdb"
        _write_private(path, password)
        owner.give(path, 0o600)
        return path

    def password(self) -> str | None:
        try:
            return self._password.read_text(encoding="ascii").strip() or None
        except FileNotFoundError:
            return None

    def make_socket_folder(self, owner: PostgresOwner) -> Path:
        """A folder that only the server's user (and root) enters, with a path that is short enough for a socket."""
        folder = self.server / "socket"
        if not _fits_socket(folder):
            folder = self._recorded_socket_folder(owner) or self._temporary_socket_folder()
        folder.mkdir(exist_ok=True)
        owner.give(folder, 0o700)
        return folder

    def _recorded_socket_folder(self, owner: PostgresOwner) -> Path | None:
        if not self._socket_record.exists():
            return None
        folder = Path(self._socket_record.read_text(encoding="utf-8").strip())
        try:
            found = folder.lstat()
        except OSError:
            return None
        # Anybody may make folders below the temporary one, so it has to be the one that was made then.
        same = stat.S_ISDIR(found.st_mode) and found.st_uid == owner.uid and stat.S_IMODE(found.st_mode) == 0o700
        return folder if same and _fits_socket(folder) else None

    def _temporary_socket_folder(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="indexmill-"))
        if not _fits_socket(folder):
            folder.rmdir()
            raise ServiceError(
                f"expected a temporary folder with a short path for PostgreSQL's socket, got {str(folder.parent)!r}: "
                "set TMPDIR or data_folder to a path of at most 60 plain characters"
            )
        _write_private(self._socket_record, str(folder))
        return folder

    def uri(self, socket_folder: Path, password: str, database: str = DATABASE) -> str:
        return f"postgresql://{ROLE}:{password}@/{database}?host={quote(str(socket_folder), safe='/')}"

    def postmaster(self) -> Postmaster | None:
        """The live server of this folder; None for a `postmaster.pid` that a crash left behind."""
        lines = self._postmaster_lines()
        if len(lines) < 2 or not lines[0].isdigit() or not is_server(int(lines[0]), self.cluster):
            return None
        sockets = lines[4] if len(lines) > 4 else ""
        ready = len(lines) > 7 and lines[7] == "ready"
        return Postmaster(int(lines[0]), Path(sockets) if sockets else None, ready)

    def disown_postmaster_file(self) -> None:
        """Makes a left-behind `postmaster.pid` point to no process; call it only when no server runs.

        After a power loss its process number may be another program's, which PostgreSQL would take for a server. The
        rest of the file stays: by it PostgreSQL notices surviving processes of the old server.
        """
        lines = self._postmaster_lines()
        if lines and lines[0].isdigit():
            lines[0] = str(2**30 - 1)
            descriptor = os.open(self._postmaster_file, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
                file.write("\n".join(lines) + "\n")

    def _postmaster_lines(self) -> list[str]:
        try:
            text = self._postmaster_file.read_text(encoding="utf-8", errors="surrogateescape")
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [line.strip() for line in text.splitlines()]

    def open_log(self) -> int:
        """A descriptor that appends to the log; the caller closes it."""
        self.limit_log()
        return os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def limit_log(self) -> None:
        """Moves a large log aside. The server keeps its descriptor, so the text is copied and the file emptied."""
        if self.log_size() > LOG_LIMIT_BYTES:
            shutil.copy2(self.log, self.log.with_suffix(".log.1"))
            os.truncate(self.log, 0)

    def log_size(self) -> int:
        try:
            return self.log.stat().st_size
        except FileNotFoundError:
            return 0

    def last_complaint(self, since: int) -> str:
        """What the server said last before it gave up, without the paths of this machine."""
        with self.log.open("rb") as file:
            file.seek(since if since <= self.log_size() else 0)
            lines = file.read().decode("utf-8", "replace").splitlines()
        fatal = [line for line in lines if "FATAL:" in line or "PANIC:" in line]
        chosen = (fatal or [line for line in lines if line.strip()] or ["it wrote nothing to its log"])[-1]
        return _LOG_PREFIX.sub("", chosen).strip().replace(str(self.root), "the data folder")


def is_server(pid: int, cluster: Path) -> bool:
    """Whether the process is a PostgreSQL server on this cluster, and not another one with a recycled number."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return _is_server_without_proc(pid, cluster)
    program = os.path.basename(command[0])  # noqa: PTH119  # bytes: a path need not be UTF-8
    return program == b"postgres" and os.fsencode(cluster) in command


def _is_server_without_proc(pid: int, cluster: Path) -> bool:
    if Path("/proc/self/cmdline").exists():
        return False
    command = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    try:
        told = subprocess.run(command, check=False, capture_output=True, text=True, timeout=10)
    except OSError:
        return False
    return "postgres" in told.stdout and str(cluster) in told.stdout


def orphans(cluster: Path) -> list[int]:
    """Processes of a server whose postmaster is dead: each server process works inside its cluster's folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            name = (entry / "comm").read_text().strip()
            if name == "postgres" and (entry / "cwd").readlink() == cluster:
                found.append(int(entry.name))
        except OSError:
            continue  # it ended meanwhile, or is somebody else's
    return found


def _fits_socket(folder: Path) -> bool:
    path = str(folder / _SOCKET_NAME)
    return len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT and _PLAIN_PATH.fullmatch(path) is not None


def _write_private(path: Path, text: str) -> None:
    """Whole or not at all: a crash must not leave half a password."""
    half = path.with_name(path.name + ".half_made")
    half.unlink(missing_ok=True)
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)
