"""The spool in a bucket, for several hosts that work on the same jobs (`sources.spool_url`)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from indexmill.errors import ItemError, ServiceError, TransientError
from indexmill.settings import SourceSettings
from indexmill.sources.kept_files import Pruned
from indexmill.sources.kept_objects import KeptObjects
from indexmill.sources.source import Check, FetchedSource, go_on, unavailable
from indexmill.sources.spool import InUse, SpooledFile, digest_of, reference_to

__all__ = ["BucketSpool"]


class BucketSpool:
    """Objects named by their hash below a prefix."""

    def __init__(self, settings: SourceSettings, folder: Path) -> None:
        """
        Raises:
            SettingsError: the extra is missing, or `sources.s3` is nothing to make a client of.
        """
        self._limit = settings.max_bytes
        self._objects = KeptObjects(settings, folder)

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
        written = self._objects.write(chunks, self._limit if limit is None else limit)
        return SpooledFile(reference_to(written.sha256), written.size, written.sha256)

    def open(self, reference: str) -> BinaryIO:
        with self.fetch(reference) as fetched:
            # The name may go: the bytes stay as long as the file is open.
            return fetched.path.open("rb")

    def fetch(self, reference: str, check: Check = go_on) -> FetchedSource:
        digest = digest_of(reference)
        fetched = self._objects.fetch(digest, check)
        if fetched.sha256 != digest:
            fetched.remove()
            raise unavailable("The uploaded file is not what was uploaded", retryable=True)
        return fetched

    def delete(self, reference: str) -> None:
        self._objects.remove(digest_of(reference))

    def prune(self, in_use: InUse, older_than_seconds: float, max_files: int = 10_000) -> Pruned:
        def are_kept(digests: Sequence[str]) -> set[str]:
            return {digest_of(each) for each in in_use([reference_to(digest) for digest in digests])}

        return self._objects.prune(_is_ours, are_kept, older_than_seconds, max_files)


def _is_ours(path: str) -> bool:
    try:
        digest_of(reference_to(path))
    except ItemError:
        return False
    return True
