"""`file://` and local paths: regular files below the allowed folders, opened so that no link leads out of them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from indexmill.errors import InvalidRequest, SourceRefused
from indexmill.settings import SourceSettings
from indexmill.sources.source import (
    CHUNK_BYTES,
    Check,
    Deadline,
    FetchedSource,
    IncomingFile,
    clean_file_name,
    go_on,
    private_folder,
    too_large,
    unavailable,
)

__all__ = ["LocalFiles", "inbox"]

_OPEN_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not blocking: what has become a fifo since it was looked at must not hold the worker.
_OPEN_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def inbox(data_folder: Path) -> Path:
    """The folder that may always be read, made where it is missing."""
    return private_folder(data_folder / "inbox")


class LocalFiles:
    """Files of this host. A relative path is one below the inbox.

    They are copied, never read in place: what is hashed here is what is extracted later, whatever happens to the
    original, and no other process has to open a path that a stranger chose.
    """

    def __init__(self, settings: SourceSettings, folder: Path, data_folder: Path) -> None:
        self._max_bytes = settings.max_bytes
        self._timeout = settings.timeout_seconds
        self._folder = folder
        self._data_folder = data_folder.absolute()
        self._inbox = self._data_folder / "inbox"
        self._allowed = [self._inbox, *settings.allowed_folders]

    def check(self, uri: str) -> None:
        self._locate(self._path(uri))

    def fetch(self, uri: str, check: Check = go_on) -> FetchedSource:
        path = self._path(uri)
        root, below = self._locate(path)
        deadline = Deadline(self._timeout, check)
        with self._opened(root, below) as descriptor, IncomingFile(self._folder, self._max_bytes) as incoming:
            if os.fstat(descriptor).st_size > self._max_bytes:
                raise too_large(self._max_bytes)
            while data := _read(descriptor):
                deadline.remaining()
                incoming.write(data)
            return incoming.keep(clean_file_name(path.name))

    def _path(self, uri: str) -> Path:
        """The path that a URI means, absolute, not yet looked at on the disk."""
        text = _file_uri_path(uri) if re.match(r"file:", uri, re.IGNORECASE) else uri
        if not text or "\0" in text:
            raise InvalidRequest("Local path: expected a path without NUL characters")
        if ".." in text.split("/"):
            raise SourceRefused("A local path with `..` is not read; name the file itself")
        return self._inbox / text

    def _locate(self, path: Path) -> tuple[Path, tuple[str, ...]]:
        """The allowed folder that really holds `path`, and the way from there, both without links.

        Raises:
            SourceRefused: none does. Said before the disk is touched where the path itself shows it, and in the same
                words otherwise: nobody learns what exists elsewhere.
        """
        if not any(_is_below(path, each) or _is_below(path, each.resolve()) for each in self._allowed):
            raise _refused()
        try:
            real = path.resolve()
        except (OSError, RuntimeError):
            # A loop of links, or a name that is too long.
            raise _refused() from None
        data_folder = self._data_folder.resolve()
        for root in [each.resolve() for each in self._allowed]:
            # An allowed folder that holds the data folder does not open the database and the spool.
            is_ours = _is_below(data_folder, root) and _is_below(real, data_folder)
            if _is_below(real, root) and not is_ours:
                return root, real.relative_to(root).parts
        raise _refused()

    @contextmanager
    def _opened(self, root: Path, below: tuple[str, ...]) -> Iterator[int]:
        """The file, reached folder by folder without following links: one that is swapped in now leads nowhere."""
        if not below:
            raise unavailable("Expected a file, got a folder", retryable=False)
        held: list[int] = []
        try:
            held.append(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            for name in below[:-1]:
                held.append(os.open(name, _OPEN_FOLDER, dir_fd=held[-1]))
            # Looked at before: opening a device may already do something.
            _check_regular(os.stat(below[-1], dir_fd=held[-1], follow_symlinks=False))
            held.append(os.open(below[-1], _OPEN_FILE, dir_fd=held[-1]))
            _check_regular(os.fstat(held[-1]))
        except OSError as error:
            _close(held)
            raise unavailable(_why(error), retryable=False) from error
        except BaseException:
            _close(held)
            raise
        try:
            yield held[-1]
        finally:
            _close(held)


def _file_uri_path(uri: str) -> str:
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise InvalidRequest("File URI: expected file:///path") from None
    if parts.netloc.lower() not in {"", "localhost"} or not parts.path.startswith("/"):
        raise InvalidRequest("File URI: expected file:///path, got another host or no path")
    return unquote(parts.path)


def _is_below(path: Path, folder: Path) -> bool:
    return path.is_relative_to(folder)


def _check_regular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "something that is no regular file"
        raise unavailable(f"Expected a file, got {what}", retryable=False)


def _why(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "The local file does not exist on the host of the worker that looked for it"
    if isinstance(error, PermissionError):
        return "The local file may not be read by the user that the worker runs as"
    return f"The local file cannot be opened ({os.strerror(error.errno or 0)})"


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, CHUNK_BYTES)
    except OSError as error:
        raise unavailable(f"The local file cannot be read ({os.strerror(error.errno or 0)})", retryable=True) from error


def _close(descriptors: list[int]) -> None:
    for each in reversed(descriptors):
        os.close(each)


def _refused() -> SourceRefused:
    return SourceRefused(
        "This path is outside of the folders that may be read; put the file into the inbox of the data folder, or add "
        "its folder to `sources.allowed_folders`",
        setting="sources.allowed_folders",
    )
