"""The spool: where uploads lie until their job is done, by content; the interface, and the one in the data folder."""

from __future__ import annotations

import errno
import fcntl
import hashlib
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
from typing import BinaryIO, Final, Protocol, TypeAlias

from indexmill.errors import ItemError, ServiceError, TransientError
from indexmill.settings import Settings
from indexmill.sources.source import (
    CHUNK_BYTES,
    Check,
    FetchedSource,
    IncomingFile,
    go_on,
    own_disk,
    private_folder,
    remove_leftovers,
    unavailable,
)

__all__ = [
    "ASKED_AT_ONCE",
    "FolderSpool",
    "InUse",
    "Pruned",
    "Spool",
    "SpooledFile",
    "digest_of",
    "open_spool",
    "reference_to",
]

#: Opaque to everybody else, and never a path.
_REFERENCE: Final = re.compile(r"spool:([0-9a-f]{64})")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_LOCK_SECONDS: Final = 10.0
_USAGE_SECONDS: Final = 10.0
_LEFTOVER_SECONDS: Final = 3600.0
#: Which of these references are in use.
InUse: TypeAlias = Callable[[Sequence[str]], Collection[str]]
#: References in one question when the spool is pruned.
ASKED_AT_ONCE: Final = 1000


@dataclass(frozen=True)
class SpooledFile:
    """What is stored, or was already."""

    reference: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Pruned:
    files: int
    bytes: int


class Spool(Protocol):
    """Bytes by their hash: the same bytes are stored once, whoever brings them, and never change."""

    def check(self) -> None:
        """Write, read and delete something.

        Raises:
            ServiceError: that does not work.
        """

    def write(self, chunks: Iterable[bytes], limit: int | None = None) -> SpooledFile:
        """Store it, complete and durable when this returns; again, if it is there: that makes it young.

        Raises:
            ItemError: it is larger than `limit`, by default `sources.max_bytes`.
            TransientError: the spool is full or does not answer.
        """

    def open(self, reference: str) -> BinaryIO:
        """
        Raises:
            ItemError: it is not there (any more), or this is no reference.
        """

    def fetch(self, reference: str, check: Check = go_on) -> FetchedSource:
        """A file of the caller's own, as with every source; pruning does not take it away.

        Raises:
            ItemError: as `open`.
            What `check` raises: it is called between the pieces.
        """

    def delete(self, reference: str) -> None:
        """Remove it, if it is there. Only who knows that nobody else needs the same bytes may: otherwise `prune`."""

    def prune(self, in_use: InUse, older_than_seconds: float, max_files: int = 10_000) -> Pruned:
        """Remove what was last written longer ago than that and is not in use; at most so many files."""


def reference_to(sha256: str) -> str:
    return f"spool:{sha256}"


def digest_of(reference: str) -> str:
    """
    Raises:
        ItemError: it is no reference. Not an invalid request: references are ours, callers never name one.
    """
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        raise unavailable("Expected a reference into the spool, got something else", retryable=False)
    return found[1]


def open_spool(settings: Settings) -> Spool:
    """The spool that the settings choose; `check` it at the start."""
    if settings.sources.spool_url is None:
        return FolderSpool(
            settings.data_folder / "spool",
            max_bytes=settings.sources.spool_max_bytes,
            default_limit=settings.sources.max_bytes,
        )
    from indexmill.sources.bucket_spool import BucketSpool

    return BucketSpool(settings.sources, settings.data_folder / "fetched")


class FolderSpool:
    """`<folder>/<first two digits>/<sha256>`, for one host, or several that share the folder."""

    def __init__(self, folder: Path, *, max_bytes: int, default_limit: int) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        self._max_bytes = max_bytes
        self._default_limit = default_limit
        self._guard = threading.Lock()
        self._used = 0
        self._used_at = float("-inf")

    def check(self) -> None:
        try:
            # However full it is: only a service that runs makes room.
            probe = self._write([b"probe ", os.urandom(16)], 64)
            with self.open(probe.reference) as file:
                data = file.read()
            self.delete(probe.reference)
        except (ItemError, TransientError, OSError) as error:
            raise ServiceError(f"The spool in the data folder does not work: {error}") from error
        if hashlib.sha256(data).hexdigest() != probe.sha256:
            raise ServiceError("The spool in the data folder does not give back what was written to it")

    def write(self, chunks: Iterable[bytes], limit: int | None = None) -> SpooledFile:
        self._check_room(0)
        return self._write(chunks, self._default_limit if limit is None else limit, self._check_room)

    def _write(
        self, chunks: Iterable[bytes], limit: int, check_room: Callable[[int], object] | None = None
    ) -> SpooledFile:
        private_folder(self._folder)
        private_folder(self._incoming)
        with IncomingFile(self._incoming, limit) as incoming:
            for chunk in chunks:
                incoming.write(chunk)
            if check_room is not None:
                check_room(incoming.size)
            complete = incoming.keep(durable=True)
        try:
            self._place(complete)
        except BaseException:
            complete.remove()
            raise
        return SpooledFile(reference_to(complete.sha256), complete.size, complete.sha256)

    def open(self, reference: str) -> BinaryIO:
        path = self._path(digest_of(reference))
        with own_disk():
            try:
                return path.open("rb")
            except FileNotFoundError as error:
                raise _gone() from error

    def fetch(self, reference: str, check: Check = go_on) -> FetchedSource:
        digest = digest_of(reference)
        private_folder(self._incoming)
        with own_disk():
            descriptor, name = tempfile.mkstemp(dir=self._incoming, suffix=".part")
            os.close(descriptor)
        own = Path(name)
        try:
            with own_disk():
                self._link(self._path(digest), own, check)
                return FetchedSource(own, own.stat().st_size, digest)
        except BaseException:
            own.unlink(missing_ok=True)
            raise

    def delete(self, reference: str) -> None:
        with self._locked():
            self._path(digest_of(reference)).unlink(missing_ok=True)

    def prune(self, in_use: InUse, older_than_seconds: float, max_files: int = 10_000) -> Pruned:
        before = time.time() - older_than_seconds
        files = size = 0
        old = (path for path in self._files() if _is_older(path, before))
        while files < max_files and (page := list(itertools.islice(old, min(ASKED_AT_ONCE, max_files - files)))):
            kept = in_use([reference_to(path.name) for path in page])
            for path in page:
                if reference_to(path.name) not in kept:
                    removed = self._remove_if_older(path, before)
                    files, size = files + (removed is not None), size + (removed or 0)
        remove_leftovers(self._incoming, max(older_than_seconds, _LEFTOVER_SECONDS), max_files)
        self._used_at = float("-inf")
        return Pruned(files, size)

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest

    def _files(self) -> Iterator[Path]:
        for folder in sorted(self._folder.glob("[0-9a-f][0-9a-f]")):
            with os.scandir(folder) as entries:
                yield from [Path(entry.path) for entry in entries if _DIGEST.fullmatch(entry.name)]

    def _place(self, complete: FetchedSource) -> None:
        """Rename it to its name: there it is whole, or not at all. What is there already is replaced by its equal."""
        path = self._path(complete.sha256)
        private_folder(path.parent)
        with own_disk():
            with self._locked():
                os.utime(complete.path)
                complete.path.replace(path)
            _sync_folder(path.parent)
        with self._guard:
            self._used += complete.size

    def _link(self, path: Path, own: Path, check: Check) -> None:
        """Under another name, the bytes stay when the spool's own name is pruned; nothing is copied."""
        own.unlink()
        for last in (False, False, True):
            try:
                os.link(path, own)
            except FileNotFoundError as error:
                # Also what a file says that is being replaced by its equal at this moment.
                if last:
                    raise _gone() from error
            except OSError as error:
                if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EXDEV}:
                    raise
                _copy(path, own, check)
                return
            else:
                return

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
                self._used = sum(map(_size, self._files()))
                self._used_at = time.monotonic()
            if self._used + size > self._max_bytes:
                raise TransientError(
                    f"The spool is full ({self._max_bytes} bytes); wait until jobs have ended, "
                    "or raise `sources.spool_max_bytes`"
                )


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


def _gone() -> ItemError:
    return unavailable("The uploaded bytes are no longer kept; upload them again", retryable=False)


def _copy(path: Path, own: Path, check: Check) -> None:
    with path.open("rb") as source, own.open("xb") as target:
        while piece := source.read(CHUNK_BYTES):
            check()
            target.write(piece)
