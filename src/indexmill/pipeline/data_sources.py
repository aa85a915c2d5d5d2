"""Data sources as workers see them: opened with their secrets, listed, and read file by file."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from indexmill.domain.knowledge_base import DataSourceKind
from indexmill.errors import DataSourceNotFound, InvalidRequest, SourceError
from indexmill.ledger.knowledge_bases import KnowledgeBases, OpenDataSource
from indexmill.readers.reader import Extractor
from indexmill.security.keyring import LateKeyring
from indexmill.security.secret_box import SecretBox
from indexmill.settings import Settings
from indexmill.sources.bucket_listing import DataSourceBucket, open_data_source_bucket
from indexmill.sources.crawl_definition import CrawlDefinition
from indexmill.sources.crawler import Crawler
from indexmill.sources.listing import FoundFile, Listing, ListingPage
from indexmill.sources.politeness import Politeness, open_politeness
from indexmill.sources.source import Check, FetchedSource, unavailable
from indexmill.sources.spool import Spool, open_spool
from indexmill.sources.upload_store import UploadStore, open_upload_store

__all__ = ["DataSources", "open_data_sources"]

#: A source that was opened is used again for a while: its files follow one another.
_KEPT_SECONDS: Final = 30.0
_MAX_KEPT: Final = 32
_BUCKETS: Final = frozenset({DataSourceKind.SPACES, DataSourceKind.AWS})


@dataclass
class _Opened:
    """A source and what reads it, which is closed when it is forgotten and its last fetch has ended."""

    source: OpenDataSource
    bucket: DataSourceBucket | None
    until: float
    _fetches: int = 0
    _is_forgotten: bool = False
    _guard: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def used(self) -> Iterator[None]:
        with self._guard:
            self._fetches += 1
        try:
            yield
        finally:
            with self._guard:
                self._fetches -= 1
            self._close_if_idle()

    def forget(self) -> None:
        self._is_forgotten = True
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        with self._guard:
            is_idle = self._is_forgotten and not self._fetches
        if is_idle and self.bucket is not None:
            self.bucket.close()


@dataclass
class DataSources:
    """One a worker process, for one thread; what `fetcher` gives is for any.

    `unseal`: gives a source's secrets, by what they belong to.
    """

    knowledge_bases: KnowledgeBases
    settings: Settings
    uploads: UploadStore
    #: For what crawls find.
    spool: Spool
    extractor: Extractor
    unseal: Callable[[bytes, str], Mapping[str, str]]
    _opened: dict[UUID, _Opened] = field(default_factory=dict)
    _crawlers: dict[UUID, Crawler] = field(default_factory=dict)
    _politeness: Politeness | None = None

    def open(self, source_id: UUID) -> OpenDataSource:
        """What the source is, as it is now.

        Raises:
            SourceError: there is none any more.
        """
        try:
            source = self.knowledge_bases.open_source(source_id)
        except DataSourceNotFound as error:
            raise SourceError("deleted", "The data source has been deleted") from error
        self._forget(source_id)
        return source

    @contextmanager
    def listing(self, source: OpenDataSource) -> Iterator[Listing]:
        """
        Raises:
            SourceError: it cannot be listed.
        """
        if source.kind is DataSourceKind.FILE_UPLOAD:
            yield _UploadListing(source, self.uploads)
        elif source.kind in _BUCKETS:
            yield self._bucket(source)
        else:
            raise SourceError(
                "not_configured",
                f"Data sources of the kind `{source.kind}` need credentials of the service that are not configured",
            )

    def crawler(self, source: OpenDataSource) -> Crawler:
        """
        Raises:
            SourceError: its settings describe no crawl.
        """
        try:
            definition = CrawlDefinition.from_settings(source.settings)
        except InvalidRequest as error:
            raise SourceError("invalid_settings", str(error)) from error
        found = self._crawlers.get(source.id)
        if found is None or found.definition != definition:
            while len(self._crawlers) >= _MAX_KEPT:
                del self._crawlers[next(iter(self._crawlers))]
            # One for all crawls: it remembers what robots.txt said, and when each host was last asked.
            self._politeness = self._politeness or open_politeness(self.settings)
            found = Crawler(definition, self.settings, self.extractor, politeness=self._politeness)
            self._crawlers[source.id] = found
        return found

    def fetch(self, source_id: UUID, key: str, check: Check) -> FetchedSource:
        """A file of the source, by the key that its listing gave.

        Raises:
            ItemError: it cannot be had.
            TransientError: waiting helps.
        """
        return self.fetcher(source_id, key)(check)

    def fetcher(self, source_id: UUID, key: str) -> Callable[[Check], FetchedSource]:
        """What fetches a file of the source, once, in any thread.

        Raises:
            ItemError: the source cannot be opened.
            TransientError: waiting helps.
        """
        opened = self._open_for_fetching(source_id)

        def fetch(check: Check) -> FetchedSource:
            with opened.used():
                if opened.bucket is not None:
                    return opened.bucket.fetch(key, check)
                if opened.source.kind is DataSourceKind.FILE_UPLOAD:
                    return self.uploads.fetch(opened.source.settings["stored_object_key"], check)
                raise unavailable("The data source holds no files", retryable=False)

        return fetch

    def _open_for_fetching(self, source_id: UUID) -> _Opened:
        opened = self._opened.get(source_id)
        if opened is None or opened.until < time.monotonic():
            self._forget(source_id)
            try:
                source = self.knowledge_bases.open_source(source_id)
                if source.kind in _BUCKETS:
                    self._bucket(source)
                else:
                    self._keep(source, None)
            except (DataSourceNotFound, SourceError) as error:
                raise unavailable(str(error), retryable=True) from error
            opened = self._opened[source_id]
        return opened

    def close(self) -> None:
        """Close what is open."""
        for source_id in list(self._opened):
            self._forget(source_id)

    def _bucket(self, source: OpenDataSource) -> DataSourceBucket:
        secrets = self.unseal(source.sealed, str(source.id)) if source.sealed is not None else {}
        bucket = open_data_source_bucket(source.kind, source.settings, secrets, self.settings)
        self._keep(source, bucket)
        return bucket

    def _keep(self, source: OpenDataSource, bucket: DataSourceBucket | None) -> None:
        self._forget(source.id)
        while len(self._opened) >= _MAX_KEPT:
            self._forget(next(iter(self._opened)))
        self._opened[source.id] = _Opened(source, bucket, time.monotonic() + _KEPT_SECONDS)

    def _forget(self, source_id: UUID) -> None:
        opened = self._opened.pop(source_id, None)
        if opened is not None:
            opened.forget()


@dataclass(frozen=True)
class _UploadListing:
    """The one file of an uploaded data source."""

    source: OpenDataSource
    uploads: UploadStore

    def page(self, cursor: str | None, limit: int) -> ListingPage:
        """
        Raises:
            SourceError: it has never been uploaded, or is gone.
        """
        stored = self.uploads.stat(self.source.settings["stored_object_key"])
        if stored is None:
            raise SourceError(
                "file_missing", "The file has not been uploaded: send its bytes with PUT to the presigned URL"
            )
        name = self.source.settings["original_file_name"]
        return ListingPage([FoundFile(name, stored.size, stored.revision)], None)


def open_data_sources(settings: Settings, knowledge_bases: KnowledgeBases, extractor: Extractor) -> DataSources:
    """
    Raises:
        SettingsError: the settings of the sources cannot be used.
    """
    box = SecretBox(LateKeyring(settings))
    uploads, spool = open_upload_store(settings), open_spool(settings)
    return DataSources(knowledge_bases, settings, uploads, spool, extractor, box.open)
