"""Uploaded files of data sources in the bucket of the spool, for several hosts (`sources.spool_url`)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from indexmill.errors import ItemError, TransientError
from indexmill.settings import SourceSettings
from indexmill.sources.kept_files import AreKept, Pruned
from indexmill.sources.kept_objects import KeptObjects
from indexmill.sources.source import Check, FetchedSource, go_on
from indexmill.sources.upload_store import OBJECT_KEY, OBJECTS, StoredUpload, checked_object_key, upload_gone

__all__ = ["BucketUploadStore"]


class BucketUploadStore:
    """Objects below `objects/`, beside those of the spool."""

    def __init__(self, settings: SourceSettings, folder: Path) -> None:
        """
        Raises:
            SettingsError: as `KeptObjects`.
        """
        self._limit = settings.max_bytes
        self._objects = KeptObjects(settings, folder, OBJECTS)

    def put(self, object_key: str, chunks: Iterable[bytes], limit: int | None = None) -> FetchedSource:
        return self._objects.write(chunks, self._limit if limit is None else limit, checked_object_key(object_key))

    def stat(self, object_key: str) -> StoredUpload | None:
        found = self._objects.stat(checked_object_key(object_key))
        if found is None:
            return None
        # The time too: the same bytes uploaded again are looked at again, as in a folder.
        revision = f"{found.etag}/{found.modified_at.isoformat()}/{found.size}"
        return StoredUpload(object_key, found.size, revision, found.modified_at)

    def fetch(self, object_key: str, check: Check = go_on) -> FetchedSource:
        try:
            return self._objects.fetch(checked_object_key(object_key), check)
        except ItemError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise upload_gone() from error
            if error.retryable:
                raise TransientError("The bucket of the spool did not answer as expected") from error
            raise

    def remove(self, object_key: str) -> None:
        self._objects.remove(checked_object_key(object_key))

    def prune(self, are_kept: AreKept, older_than_seconds: float, max_files: int = 10_000) -> Pruned:
        def is_ours(name: str) -> bool:
            return OBJECT_KEY.fullmatch(name) is not None

        return self._objects.prune(is_ours, are_kept, older_than_seconds, max_files)
