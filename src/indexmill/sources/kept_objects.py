"""Objects by name in a bucket of this service's own, for several hosts that share it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from indexmill.errors import ItemError, SettingsError, TransientError
from indexmill.settings import SourceSettings
from indexmill.sources.bucket import MISSING_EXTRA, bucket_errors, open_bucket, split_s3_uri
from indexmill.sources.kept_files import ASKED_AT_ONCE, AreKept, Pruned
from indexmill.sources.source import CHUNK_BYTES, Check, FetchedSource, IncomingFile, go_on, private_folder

if TYPE_CHECKING:
    from obstore.store import S3Store

__all__ = ["KeptObject", "KeptObjects"]

#: Each of 5 MiB, in memory.
_PARTS_AT_ONCE: Final = 2
_WHAT: Final = "The uploaded file"


@dataclass(frozen=True)
class KeptObject:
    size: int
    etag: str
    modified_at: datetime


class KeptObjects:
    """Below the prefix of `sources.spool_url`. No size limit of its own: a bucket's owner sets one there."""

    def __init__(self, settings: SourceSettings, folder: Path, below: str = "") -> None:
        """`folder`: for temporary files. `below`: a prefix within that of the spool.

        Raises:
            SettingsError: the extra is missing, or `sources.s3` is nothing to make a client of.
        """
        bucket, prefix = split_s3_uri(settings.spool_url or "")
        self._folder = folder
        whole = "/".join(part for part in (prefix.strip("/"), below) if part)
        try:
            with bucket_errors("The bucket of the spool"):
                self._store: S3Store = open_bucket(settings.s3, bucket, whole or None, settings.timeout_seconds)
        except ImportError as error:
            raise SettingsError(f"sources.spool_url: {MISSING_EXTRA}") from error
        except ItemError as error:
            raise SettingsError(f"sources.spool_url: expected settings of an S3 store; {error}") from error

    def write(self, chunks: Iterable[bytes], limit: int, name: str | None = None) -> FetchedSource:
        """Through a temporary file: only what is complete gets a name, None: its hash. Its own path is gone then.

        Raises:
            ItemError: larger than `limit`.
            TransientError: the bucket does not take it.
        """
        import obstore

        private_folder(self._folder)
        with IncomingFile(self._folder, limit) as incoming:
            for chunk in chunks:
                incoming.write(chunk)
            complete = incoming.keep()
        with complete, _store_errors():
            obstore.put(self._store, name or complete.sha256, complete.path, max_concurrency=_PARTS_AT_ONCE)
        return complete

    def fetch(self, name: str, check: Check = go_on) -> FetchedSource:
        """
        Raises:
            ItemError: it is not there, or cannot be had now.
        """
        import obstore

        private_folder(self._folder)
        with bucket_errors(_WHAT):
            answer = obstore.get(self._store, name)
            with IncomingFile(self._folder, answer.meta["size"]) as incoming:
                for chunk in answer.stream(min_chunk_size=CHUNK_BYTES):
                    check()
                    incoming.write(chunk)
                return incoming.keep()

    def stat(self, name: str) -> KeptObject | None:
        """None: it is not there."""
        import obstore

        with _store_errors():
            try:
                found = obstore.head(self._store, name)
            except FileNotFoundError:
                return None
            return KeptObject(found["size"], (found["e_tag"] or "").strip('"'), found["last_modified"])

    def remove(self, name: str) -> None:
        """If it is there."""
        import obstore

        with _store_errors():
            obstore.delete(self._store, name)

    def prune(
        self, is_ours: Callable[[str], bool], are_kept: AreKept, older_than_seconds: float, max_files: int
    ) -> Pruned:
        """Remove what was last written longer ago than that, is ours and not kept; at most so many files."""
        import obstore

        before = datetime.now(UTC) - timedelta(seconds=older_than_seconds)
        files = size = 0
        with _store_errors():
            for page in obstore.list(self._store, chunk_size=ASKED_AT_ONCE):
                old = {
                    found["path"]: found for found in page if found["last_modified"] < before and is_ours(found["path"])
                }
                kept = are_kept(list(old)) if old else ()
                for name, found in old.items():
                    if files == max_files:
                        return Pruned(files, size)
                    if name not in kept and self._is_still_older(name, before):
                        obstore.delete(self._store, name)
                        files, size = files + 1, size + found["size"]
        return Pruned(files, size)

    def _is_still_older(self, name: str, before: datetime) -> bool:
        """It may have been written again since it was listed."""
        import obstore

        try:
            return obstore.head(self._store, name)["last_modified"] < before
        except FileNotFoundError:
            return False


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
