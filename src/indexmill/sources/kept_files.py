"""Files by name in a folder of the data folder: written whole or not at all, private, bounded, pruned."""

from __future__ import annotations

import errno
import fcntl
import itertools
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from indexmill.errors import TransientError
from indexmill.sources.source import (
    CHUNK_BYTES,
    Check,
    FetchedSource,
    IncomingFile,
    go_on,
    own_disk,
    private_folder,
    remove_leftovers,
)

__all__ = ["ASKED_AT_ONCE", "AreKept", "KeptFiles", "Pruned"]

_LOCK_SECONDS: Final = 10.0
_USAGE_SECONDS: Final = 10.0
_LEFTOVER_SECONDS: Final = 3600.0
#: Which of these names somebody needs.
AreKept: TypeAlias = Callable[[Sequence[str]], Collection[str]]
#: Names in one question when files are pruned.
ASKED_AT_ONCE: Final = 1000


@dataclass(frozen=True)
class Pruned:
    files: int
    bytes: int


class KeptFiles:
    """`<folder>/<first two digits>/<name>`, for one host, or several that share the folder."""

    def __init__(self, folder: Path, name: re.Pattern[str], max_bytes: int) -> None:
        """`name`: what files are called, two digits of hexadecimal first. `max_bytes`: of all of them."""
        self._folder = folder
        self._name = name
        self.incoming = folder / "incoming"
        self._max_bytes = max_bytes
        self._guard = threading.Lock()
        self._used = 0
        self._used_at = float("-inf")

    def path(self, name: str) -> Path:
        return self._folder / name[:2] / name

    def write(
        self, chunks: Iterable[bytes], limit: int, name: str | None = None, *, is_probe: bool = False
    ) -> FetchedSource:
        """Complete, durable and in its place when this returns; what has the name is replaced. None: its hash.

        `is_probe`: however full it is.

        Raises:
            ItemError: larger than `limit`.
            TransientError: there is no room.
        """
        private_folder(self._folder)
        private_folder(self.incoming)
        if not is_probe:
            self._check_room(0)
        with IncomingFile(self.incoming, limit) as incoming:
            for chunk in chunks:
                incoming.write(chunk)
            if not is_probe:
                self._check_room(incoming.size)
            complete = incoming.keep(durable=True)
        try:
            self._place(complete, name or complete.sha256)
        except BaseException:
            complete.remove()
            raise
        return complete

    def linked(self, name: str, check: Check = go_on) -> Path:
        """A file of the caller's own with the same bytes, which stay when the name is replaced or pruned.

        Raises:
            FileNotFoundError: there is none of this name.
        """
        private_folder(self.incoming)
        with own_disk():
            descriptor, temporary = tempfile.mkstemp(dir=self.incoming, suffix=".part")
            os.close(descriptor)
        own = Path(temporary)
        try:
            _link(self.path(name), own, check)
        except BaseException:
            own.unlink(missing_ok=True)
            raise
        return own

    def copied(self, name: str, check: Check = go_on) -> FetchedSource:
        """A file of the caller's own with the same bytes, counted and hashed on the way.

        Raises:
            FileNotFoundError: there is none of this name.
        """
        private_folder(self.incoming)
        with self.path(name).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            with IncomingFile(self.incoming, size) as incoming:
                while data := file.read(CHUNK_BYTES):
                    check()
                    incoming.write(data)
                return incoming.keep()

    def remove(self, name: str) -> None:
        """If it is there."""
        with self._locked():
            self.path(name).unlink(missing_ok=True)

    def prune(self, are_kept: AreKept, older_than_seconds: float, max_files: int) -> Pruned:
        """Remove what was last written longer ago than that and is not kept; at most so many files."""
        before = time.time() - older_than_seconds
        files = size = 0
        old = (path for path in self.paths() if _is_older(path, before))
        while files < max_files and (page := list(itertools.islice(old, min(ASKED_AT_ONCE, max_files - files)))):
            kept = are_kept([path.name for path in page])
            for path in page:
                if path.name not in kept:
                    removed = self._remove_if_older(path, before)
                    files, size = files + (removed is not None), size + (removed or 0)
        remove_leftovers(self.incoming, max(older_than_seconds, _LEFTOVER_SECONDS), max_files)
        self._used_at = float("-inf")
        return Pruned(files, size)

    def paths(self) -> Iterator[Path]:
        for folder in sorted(self._folder.glob("[0-9a-f][0-9a-f]")):
            with os.scandir(folder) as entries:
                yield from [Path(entry.path) for entry in entries if self._name.fullmatch(entry.name)]

    def _place(self, complete: FetchedSource, name: str) -> None:
        """Rename it to its name: there it is whole, or not at all."""
        path = self.path(name)
        private_folder(path.parent)
        with own_disk():
            with self._locked():
                os.utime(complete.path)
                complete.path.replace(path)
            _sync_folder(path.parent)
        with self._guard:
            self._used += complete.size

    def _remove_if_older(self, path: Path, before: float) -> int | None:
        """Its size; None where it has been written again in the meantime, or was removed."""
        with self._locked():
            try:
                found = path.stat()
                if found.st_mtime >= before:
                    return None
                path.unlink()
            except FileNotFoundError:
                return None
            return found.st_size

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time: a file that is written again must not be removed for having been old."""
        private_folder(self._folder)
        give_up_at = time.monotonic() + _LOCK_SECONDS
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not _try_lock(descriptor):
                if time.monotonic() > give_up_at:
                    raise TransientError("The spool is locked by another process")
                time.sleep(0.005)
            yield
        finally:
            os.close(descriptor)

    def _check_room(self, size: int) -> None:
        with self._guard:
            if time.monotonic() - self._used_at > _USAGE_SECONDS:
                self._used = sum(map(_size, self.paths()))
                self._used_at = time.monotonic()
            if self._used + size > self._max_bytes:
                raise TransientError(
                    f"The spool is full ({self._max_bytes} bytes); wait until jobs have ended, "
                    "or raise `sources.spool_max_bytes`"
                )


def _link(path: Path, own: Path, check: Check) -> None:
    """Under another name, the bytes stay when the kept name is pruned; nothing is copied."""
    own.unlink()
    for last in (False, False, True):
        try:
            os.link(path, own)
        except FileNotFoundError:
            # Also what a file says that is being replaced at this moment.
            if last:
                raise
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EXDEV}:
                raise
            _copy(path, own, check)
            return
        else:
            return


def _copy(path: Path, own: Path, check: Check) -> None:
    with path.open("rb") as source, own.open("xb") as target:
        while piece := source.read(CHUNK_BYTES):
            check()
            target.write(piece)


def _try_lock(descriptor: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _is_older(path: Path, before: float) -> bool:
    try:
        return path.stat().st_mtime < before
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
