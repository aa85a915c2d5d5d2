"""What a source gives: bytes in a temporary file, counted, hashed and bounded; and the errors in which one ends."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, TypeAlias
from urllib.parse import unquote

from indexmill.domain.failure import FailureCode, Stage
from indexmill.errors import ItemError, TransientError

__all__ = [
    "CHUNK_BYTES",
    "Check",
    "Deadline",
    "FetchedSource",
    "IncomingFile",
    "Source",
    "clean_file_name",
    "clean_media_type",
    "file_name_of_path",
    "go_on",
    "own_disk",
    "private_folder",
    "remove_leftovers",
    "too_large",
    "unavailable",
]

#: Called between the pieces of what is fetched; may raise to stop.
Check: TypeAlias = Callable[[], None]
CHUNK_BYTES: Final = 1 << 20
_PART = ".part"
_MAX_NAME_BYTES = 255
_MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,63}/[a-z0-9!#$&^_.+-]{1,127}")


def go_on() -> None:
    """The check of whoever waits to the end."""


@dataclass(frozen=True)
class FetchedSource:
    """A file of ours with the source's bytes; leaving its `with` block removes it."""

    path: Path
    size: int
    sha256: str
    #: As the source calls it, without any folder; it names a type, never a place.
    file_name: str | None = None
    #: What the source says; it may be wrong.
    media_type: str | None = None

    def __enter__(self) -> FetchedSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


class Source(Protocol):
    """One kind of source."""

    def check(self, uri: str) -> None:
        """Whether this would be read at all, as far as that is known without contacting anything.

        Raises:
            SourceRefused: it is forbidden.
            InvalidRequest: it is not a URI of this kind.
        """

    def fetch(self, uri: str, check: Check = go_on) -> FetchedSource:
        """The bytes.

        Raises:
            SourceRefused, InvalidRequest: as the method `check`.
            ItemError: they cannot be had; says whether a retry can help.
            TransientError: waiting helps.
            What the argument `check` raises.
        """


class Deadline:
    """The time that one fetch has in all, whatever its single steps may take; and whether it is still wanted."""

    def __init__(self, seconds: float, check: Check = go_on, *, setting: str = "sources.timeout_seconds") -> None:
        self._seconds = seconds
        self._check = check
        self._setting = setting
        self._at = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, more than 0.

        Raises:
            ItemError: the time is over.
            What `check` raises.
        """
        self._check()
        left = self._at - time.monotonic()
        if left <= 0:
            raise unavailable(
                f"The source did not deliver everything within {self._seconds:g} s; try again, "
                f"or raise `{self._setting}`",
                retryable=True,
            )
        return left

    def cap(self, timeout: float | None) -> float:
        """The timeout of one step."""
        left = self.remaining()
        return left if timeout is None else min(left, timeout)


class IncomingFile:
    """A temporary file that is being filled; it is removed unless it is kept.

    More than `limit` bytes are a failure, at once: nothing more is read for it.
    """

    def __init__(self, folder: Path, limit: int, *, setting: str = "sources.max_bytes") -> None:
        self._limit = limit
        self._setting = setting
        self._hash = hashlib.sha256()
        self.size = 0
        with own_disk():
            descriptor, name = tempfile.mkstemp(dir=folder, suffix=_PART)
            self._file = os.fdopen(descriptor, "wb")
        self.path = Path(name)
        self._is_kept = False

    def __enter__(self) -> IncomingFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._is_kept:
            self.path.unlink(missing_ok=True)
            # What is still buffered does not matter, nor that a full disk cannot take it.
            with suppress(OSError):
                self._file.close()

    def write(self, data: bytes) -> None:
        """
        Raises:
            ItemError: it is too large.
            TransientError: the disk is full.
        """
        self.size += len(data)
        if self.size > self._limit:
            raise too_large(self._limit, self._setting)
        self._hash.update(data)
        with own_disk():
            self._file.write(data)

    def keep(
        self, file_name: str | None = None, media_type: str | None = None, *, durable: bool = False
    ) -> FetchedSource:
        """It is complete. `durable`: it must survive the machine's power."""
        with own_disk():
            self._file.flush()
            if durable:
                os.fsync(self._file.fileno())
            self._file.close()
        self._is_kept = True
        return FetchedSource(self.path, self.size, self._hash.hexdigest(), file_name, media_type)


@contextmanager
def own_disk() -> Iterator[None]:
    """Trouble with this service's own files is no item's fault, and passes when an operator has seen to it."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise TransientError("The disk of the data folder is full") from error
        raise TransientError(
            f"The data folder cannot be written: {errno.errorcode.get(error.errno or 0, 'unknown error')}"
        ) from error


def private_folder(folder: Path) -> Path:
    """The folder, made where it is missing, open to this user only.

    Raises:
        TransientError: it cannot be made.
    """
    with own_disk():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
    return folder


def remove_leftovers(folder: Path, older_than_seconds: float, max_files: int = 10_000) -> int:
    """Remove what killed processes left in a folder of temporary files; how many files that were."""
    removed = 0
    before = time.time() - older_than_seconds
    if not folder.is_dir():
        return 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if removed == max_files:
                break
            removed += _remove_if_older(entry, before)
    return removed


def _remove_if_older(entry: os.DirEntry[str], before: float) -> bool:
    try:
        if not entry.name.endswith(_PART) or entry.stat(follow_symlinks=False).st_mtime >= before:
            return False
        Path(entry.path).unlink()
    except FileNotFoundError:
        return False
    return True


def unavailable(sentence: str, *, retryable: bool) -> ItemError:
    """The source cannot be had."""
    return ItemError(Stage.LOAD, FailureCode.SOURCE_UNAVAILABLE, sentence[:1500], retryable=retryable)


def too_large(limit: int, setting: str = "sources.max_bytes") -> ItemError:
    """The source has more bytes than are read; `setting` is what allows more."""
    return ItemError(
        Stage.LOAD,
        FailureCode.TOO_LARGE,
        f"The source has more than the allowed {limit} bytes; split it or raise `{setting}`",
        retryable=False,
    )


def clean_file_name(name: str | None) -> str | None:
    """The last part of what a stranger calls a file, fit to be stored and shown; None where nothing is left."""
    last = re.split(r"[/\\]", name or "")[-1]
    printable = "".join(each for each in last if each.isprintable()).strip()
    cut = printable.encode("utf-8", "ignore")[-_MAX_NAME_BYTES:].decode("utf-8", "ignore")
    return cut if cut.strip(". ") else None


def file_name_of_path(path: str) -> str | None:
    """The file name at the end of a URL's path."""
    return clean_file_name(unquote(path))


def clean_media_type(value: str | None) -> str | None:
    """`Text/HTML; charset=x` -> `text/html`; None where it is no media type."""
    essence = (value or "").partition(";")[0].strip().lower()
    return essence if _MEDIA_TYPE.fullmatch(essence) else None
