"""The spool: where uploads lie until their job is done, by content; the interface, and the one in the data folder."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol, TypeAlias

from indexmill.errors import ItemError, ServiceError, TransientError
from indexmill.settings import Settings
from indexmill.sources.kept_files import KeptFiles, Pruned
from indexmill.sources.source import Check, FetchedSource, go_on, own_disk, unavailable

__all__ = [
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
#: Which of these references are in use.
InUse: TypeAlias = Callable[[Sequence[str]], Collection[str]]


@dataclass(frozen=True)
class SpooledFile:
    """What is stored, or was already."""

    reference: str
    size: int
    sha256: str


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
    """Named by their hash, in the data folder: for one host, or several that share the folder."""

    def __init__(self, folder: Path, *, max_bytes: int, default_limit: int) -> None:
        self._folder = folder
        self._files = KeptFiles(folder, _DIGEST, max_bytes)
        self._default_limit = default_limit

    def check(self) -> None:
        try:
            # However full it is: only a service that runs makes room.
            probe = self._files.write([b"probe ", os.urandom(16)], 64, is_probe=True)
            with self.open(reference_to(probe.sha256)) as file:
                data = file.read()
            self._files.remove(probe.sha256)
        except (ItemError, TransientError, OSError) as error:
            raise ServiceError(f"The spool in the data folder does not work: {error}") from error
        if hashlib.sha256(data).hexdigest() != probe.sha256:
            raise ServiceError("The spool in the data folder does not give back what was written to it")

    def write(self, chunks: Iterable[bytes], limit: int | None = None) -> SpooledFile:
        written = self._files.write(chunks, self._default_limit if limit is None else limit)
        return SpooledFile(reference_to(written.sha256), written.size, written.sha256)

    def open(self, reference: str) -> BinaryIO:
        path = self._files.path(digest_of(reference))
        with own_disk():
            try:
                return path.open("rb")
            except FileNotFoundError as error:
                raise _gone() from error

    def fetch(self, reference: str, check: Check = go_on) -> FetchedSource:
        digest = digest_of(reference)
        with own_disk():
            try:
                own = self._files.linked(digest, check)
            except FileNotFoundError as error:
                raise _gone() from error
            return FetchedSource(own, own.stat().st_size, digest)

    def delete(self, reference: str) -> None:
        self._files.remove(digest_of(reference))

    def prune(self, in_use: InUse, older_than_seconds: float, max_files: int = 10_000) -> Pruned:
        def are_kept(digests: Sequence[str]) -> set[str]:
            return {digest_of(each) for each in in_use([reference_to(digest) for digest in digests])}

        return self._files.prune(are_kept, older_than_seconds, max_files)


def _gone() -> ItemError:
    return unavailable(
        "The uploaded bytes are not here: they are no longer kept, or lie on another host because the setting "
        "sources.spool_url names no bucket; upload them again",
        retryable=False,
    )
