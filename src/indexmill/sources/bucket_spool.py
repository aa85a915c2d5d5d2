"""The spool in a bucket, for several hosts that work on the same jobs (`sources.spool_url`)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from indexmill.errors import ItemError, ServiceError, SettingsError, TransientError
from indexmill.settings import SourceSettings
from indexmill.sources.bucket import MISSING_EXTRA, bucket_errors, open_bucket, split_s3_uri
from indexmill.sources.source import CHUNK_BYTES, Check, FetchedSource, IncomingFile, go_on, private_folder, unavailable
from indexmill.sources.spool import ASKED_AT_ONCE, InUse, Pruned, SpooledFile, digest_of, reference_to

if TYPE_CHECKING:
    from obstore.store import S3Store

__all__ = ["BucketSpool"]

#: Each of 5 MiB, in memory.
_PARTS_AT_ONCE: Final = 2
_WHAT: Final = "The uploaded file"


class BucketSpool:
    """Objects named by their hash below a prefix. It has no size limit of its own: a bucket's owner sets one there."""

    def __init__(self, settings: SourceSettings, folder: Path) -> None:
        """
        Raises:
            SettingsError: the extra is missing, or `sources.s3` is nothing to make a client of.
        """
        bucket, prefix = split_s3_uri(settings.spool_url or "")
        self._folder = folder
        self._limit = settings.max_bytes
        try:
            with bucket_errors("The bucket of the spool"):
                self._store: S3Store = open_bucket(
                    settings.s3, bucket, prefix.strip("/") or None, settings.timeout_seconds
                )
        except ImportError as error:
            raise SettingsError(f"sources.spool_url: {MISSING_EXTRA}") from error
        except ItemError as error:
            raise SettingsError(f"sources.spool_url: expected settings of an S3 store; {error}") from error

    def check(self) -> None:
        try:
            probe = self.write([b"probe ", os.urandom(16)], limit=64)
            self.fetch(probe.reference).remove()
            self.delete(probe.reference)
        except (ItemError, TransientError) as error:
            raise ServiceError(
                "sources.spool_url: expected a bucket where objects can be written, read and deleted with the "
                f"credentials of `sources.s3`; {error}"
            ) from error

    def write(self, chunks: Iterable[bytes], limit: int | None = None) -> SpooledFile:
        """Through a temporary file: the name is the hash, which is known at the end only."""
        import obstore

        private_folder(self._folder)
        with IncomingFile(self._folder, self._limit if limit is None else limit) as incoming:
            for chunk in chunks:
                incoming.write(chunk)
            complete = incoming.keep()
        with complete, _store_errors():
            obstore.put(self._store, complete.sha256, complete.path, max_concurrency=_PARTS_AT_ONCE)
        return SpooledFile(reference_to(complete.sha256), complete.size, complete.sha256)

    def open(self, reference: str) -> BinaryIO:
        fetched = self.fetch(reference)
        with fetched:
            # The name may go: the bytes stay as long as the file is open.
            return fetched.path.open("rb")

    def fetch(self, reference: str, check: Check = go_on) -> FetchedSource:
        import obstore

        digest = digest_of(reference)
        private_folder(self._folder)
        with bucket_errors(_WHAT):
            answer = obstore.get(self._store, digest)
            size = answer.meta["size"]
            with IncomingFile(self._folder, size) as incoming:
                for chunk in answer.stream(min_chunk_size=CHUNK_BYTES):
                    check()
                    incoming.write(chunk)
                fetched = incoming.keep()
        if fetched.sha256 != digest:
            fetched.remove()
            raise unavailable(f"{_WHAT} is not what was uploaded", retryable=True)
        return fetched

    def delete(self, reference: str) -> None:
        import obstore

        with _store_errors():
            obstore.delete(self._store, digest_of(reference))

    def prune(self, in_use: InUse, older_than_seconds: float, max_files: int = 10_000) -> Pruned:
        import obstore

        before = datetime.now(UTC) - timedelta(seconds=older_than_seconds)
        files = size = 0
        with _store_errors():
            for page in obstore.list(self._store, chunk_size=ASKED_AT_ONCE):
                old = {
                    reference_to(found["path"]): found
                    for found in page
                    if found["last_modified"] < before and _is_ours(found["path"])
                }
                kept = in_use(list(old)) if old else ()
                for reference, found in old.items():
                    if files == max_files:
                        return Pruned(files, size)
                    if reference not in kept and self._is_still_older(found["path"], before):
                        obstore.delete(self._store, found["path"])
                        files, size = files + 1, size + found["size"]
        return Pruned(files, size)

    def _is_still_older(self, path: str, before: datetime) -> bool:
        """It may have been written again since it was listed."""
        import obstore

        try:
            return obstore.head(self._store, path)["last_modified"] < before
        except FileNotFoundError:
            return False


def _is_ours(path: str) -> bool:
    try:
        digest_of(reference_to(path))
    except ItemError:
        return False
    return True


@contextmanager
def _store_errors() -> Iterator[None]:
    """A store that does not take or remove what is ours is a part of the service that does not answer."""
    try:
        with bucket_errors(_WHAT):
            yield
    except ItemError as error:
        if error.__cause__ is None:
            raise
        raise TransientError("The bucket of the spool did not answer as expected") from error
