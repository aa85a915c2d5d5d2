"""Uploaded files of data sources: kept under an object key as long as somebody needs them, replaced by a new upload."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol
from uuid import uuid4

from indexmill.errors import InvalidRequest
from indexmill.settings import Settings
from indexmill.sources.kept_files import AreKept, KeptFiles, Pruned
from indexmill.sources.source import Check, FetchedSource, go_on, own_disk, unavailable

__all__ = [
    "OBJECTS",
    "OBJECT_KEY",
    "FolderUploadStore",
    "StoredUpload",
    "UploadStore",
    "belongs_to",
    "checked_object_key",
    "new_object_key",
    "open_upload_store",
    "upload_gone",
]

#: Below the folder or the prefix of the spool.
OBJECTS: Final = "objects"
#: Nobody guesses one, so whoever names one has been told it.
OBJECT_KEY: Final = re.compile(r"[0-9a-f]{32}")
_RANDOM_DIGITS: Final = 24


@dataclass(frozen=True)
class StoredUpload:
    """`revision`: another one after every upload."""

    object_key: str
    size: int
    revision: str
    modified_at: datetime


class UploadStore(Protocol):
    """Bytes by object key. Every method refuses what is no object key: `InvalidRequest`."""

    def put(self, object_key: str, chunks: Iterable[bytes], limit: int | None = None) -> FetchedSource:
        """Store it, complete and durable when this returns; until then what was there before is read.

        The answer tells size and hash; its path is gone.

        Raises:
            ItemError: larger than `limit`, by default `sources.max_bytes`.
            TransientError: the store is full or does not answer.
        """

    def stat(self, object_key: str) -> StoredUpload | None:
        """None: nothing was uploaded, or it was removed.

        Raises:
            TransientError: the store does not answer.
        """

    def fetch(self, object_key: str, check: Check = go_on) -> FetchedSource:
        """A file of the caller's own, as with every source.

        Raises:
            ItemError: it is not there.
            TransientError: the store does not answer.
        """

    def remove(self, object_key: str) -> None:
        """If it is there."""

    def prune(self, are_kept: AreKept, older_than_seconds: float, max_files: int = 10_000) -> Pruned:
        """Remove what was last uploaded longer ago than that and is not kept; at most so many files.

        `are_kept`: which of these object keys somebody needs.
        """


def new_object_key(tenant: int) -> str:
    """Whose it is stands in its last digits; the others are random."""
    return f"{uuid4().hex[:_RANDOM_DIGITS]}{tenant:08x}"


def belongs_to(object_key: str, tenant: int) -> bool:
    return object_key[_RANDOM_DIGITS:] == f"{tenant:08x}"


def checked_object_key(object_key: str) -> str:
    """
    Raises:
        InvalidRequest: it is none.
    """
    if not OBJECT_KEY.fullmatch(object_key):
        raise InvalidRequest(f"object_key: expected one that this service has given, got {object_key!r:.80}")
    return object_key


def upload_gone() -> Exception:
    return unavailable("The uploaded file is not there (any more); upload it again", retryable=True)


def open_upload_store(settings: Settings) -> UploadStore:
    """Where the spool is too: in the data folder, or in the bucket of `sources.spool_url`.

    Raises:
        SettingsError: `sources.spool_url` or `sources.s3` cannot be used.
    """
    if settings.sources.spool_url is None:
        return FolderUploadStore(
            settings.data_folder / "spool" / OBJECTS,
            max_bytes=settings.sources.spool_max_bytes,
            default_limit=settings.sources.max_bytes,
        )
    from indexmill.sources.bucket_upload_store import BucketUploadStore

    return BucketUploadStore(settings.sources, settings.data_folder / "fetched")


class FolderUploadStore:
    """For one host, or several that share the folder."""

    def __init__(self, folder: Path, *, max_bytes: int, default_limit: int) -> None:
        self._files = KeptFiles(folder, OBJECT_KEY, max_bytes)
        self._default_limit = default_limit

    def put(self, object_key: str, chunks: Iterable[bytes], limit: int | None = None) -> FetchedSource:
        name = checked_object_key(object_key)
        return self._files.write(chunks, self._default_limit if limit is None else limit, name)

    def stat(self, object_key: str) -> StoredUpload | None:
        with own_disk():
            try:
                found = self._files.path(checked_object_key(object_key)).stat()
            except FileNotFoundError:
                return None
        modified_at = datetime.fromtimestamp(found.st_mtime, UTC)
        # Two uploads in one tick of the clock have files of their own.
        revision = f"{found.st_mtime_ns}/{found.st_ino}/{found.st_size}"
        return StoredUpload(object_key, found.st_size, revision, modified_at)

    def fetch(self, object_key: str, check: Check = go_on) -> FetchedSource:
        name = checked_object_key(object_key)
        with own_disk():
            try:
                return self._files.copied(name, check)
            except FileNotFoundError as error:
                raise upload_gone() from error

    def remove(self, object_key: str) -> None:
        self._files.remove(checked_object_key(object_key))

    def prune(self, are_kept: AreKept, older_than_seconds: float, max_files: int = 10_000) -> Pruned:
        return self._files.prune(are_kept, older_than_seconds, max_files)
