"""Reading documents: the content of items that lies elsewhere is fetched, compared by its bytes, and extracted."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from indexmill.domain.document import document_fingerprint, payload_hash
from indexmill.domain.failure import FailureCode, Stage
from indexmill.domain.given_parts import parted_text
from indexmill.domain.item_source import ItemSource, SourceKind, is_fixed, source_of
from indexmill.domain.outcome import ItemStatus
from indexmill.errors import ItemError, TransientError
from indexmill.ledger.ledger import Ledger
from indexmill.pipeline.data_sources import DataSources, open_data_sources
from indexmill.pipeline.prefetch import Prefetch, WantedFile
from indexmill.pipeline.window import BatchComparison, Reading, WorkItem
from indexmill.readers.extracted_text import ExtractedText
from indexmill.readers.file_type import FileType, claimed_type, detect
from indexmill.readers.markdown_headings import markdown_headings
from indexmill.readers.reader import Extractor
from indexmill.readers.text_file import storable, too_large
from indexmill.settings import Settings
from indexmill.sources.source import FetchedSource, clean_file_name
from indexmill.sources.spool import Spool, open_spool
from indexmill.sources.uri import Sources, file_name_of, open_sources

__all__ = ["DocumentReader", "open_document_reader"]


#: What a fetch may take beyond its own time-out: to notice that, and to write what it has.
_FETCH_MARGIN_SECONDS = 10.0


@dataclass(frozen=True)
class DocumentReader:
    """One a worker process, for one thread."""

    sources: Sources
    spool: Spool
    data_sources: DataSources
    extractor: Extractor
    max_text_bytes: int
    #: Its threads fetch files of data sources; as many as it has are fetched at once.
    fetching: ThreadPoolExecutor
    files_at_once: int
    #: So long after a fetch should have ended it is held to hang.
    fetch_patience: float

    def close(self) -> None:
        """End the extraction process; the next document starts another."""
        self.data_sources.close()
        self.extractor.close()

    def prefetch(self, items: Sequence[WorkItem]) -> Prefetch:
        """For these items, in the order in which they will be read."""
        wanted = [self._wanted(item) for item in items if item.batch.source is not None]
        return Prefetch(
            [each for each in wanted if each is not None], self.fetching, self.files_at_once, self.fetch_patience
        )

    def _wanted(self, item: WorkItem) -> WantedFile | None:
        info = item.content.item_info or {}
        source = source_of(info, is_upload=item.is_upload)
        if source.kind is not SourceKind.DATA_SOURCE:
            return None
        fetcher = partial(self.data_sources.fetcher, UUID(source.data_source), source.value)
        return WantedFile(item.number, int(info.get("size", 0)), fetcher)

    def read(
        self,
        item: WorkItem,
        recipe: str,
        comparison: BatchComparison,
        check: Callable[[], None],
        ahead: Prefetch | None = None,
    ) -> None:
        """Give the item its text and what is known of its file, or find that nothing has to be done for it.

        A document that cannot be read fails, its neighbours do not. `ahead`: where its file may have been fetched.

        Raises:
            TransientError: its source may be there later.
            What `check` raises.
        """
        try:
            self._read(item, recipe, comparison, check, ahead)
        except ItemError as error:
            item.fail_by(error)
        except OSError as error:
            # The disk, or a process that cannot be started: the worker's trouble, not the document's.
            name = errno.errorcode.get(error.errno or 0, "unknown error")
            raise TransientError(f"The worker could not read the document: {name}") from error

    def _read(
        self,
        item: WorkItem,
        recipe: str,
        comparison: BatchComparison,
        check: Callable[[], None],
        ahead: Prefetch | None,
    ) -> None:
        source = source_of(item.content.item_info or {}, is_upload=item.is_upload)
        if source.kind is SourceKind.TEXT:
            self._read_given(item, recipe, comparison, source, check)
            return
        if source.kind is SourceKind.PARTS:
            self._read_parts(item, recipe, comparison, source)
            return
        with (ahead and ahead.take(item.number, check)) or self._fetched(source, check) as fetched:
            check()
            name = clean_file_name(source.file_name) or fetched.file_name or file_name_of(source.value)
            kind = detect(fetched.path, name, source.media_type or fetched.media_type)
            reading = Reading(fetched.sha256, fetched.size, kind.media_type, name)
            if _must_be_read(item, reading, recipe, comparison, kind):
                _take(item, reading, self.extractor.extract(fetched.path, kind, check=check))

    def _read_given(
        self, item: WorkItem, recipe: str, comparison: BatchComparison, source: ItemSource, check: Callable[[], None]
    ) -> None:
        data = source.value.encode()
        if len(data) > self.max_text_bytes:
            raise too_large(FileType.TEXT, self.max_text_bytes)
        name = clean_file_name(source.file_name)
        claimed = claimed_type(name, None)
        kind = claimed if claimed is not None and claimed.is_read_as_text else FileType.TEXT
        reading = Reading(hashlib.sha256(data).hexdigest(), len(data), kind.media_type, name)
        if _must_be_read(item, reading, recipe, comparison, kind):
            text = storable(source.value)
            headings = markdown_headings(text, check) if kind is FileType.MARKDOWN else ()
            _take(item, reading, ExtractedText(text, kind.media_type, headings=headings))

    def _read_parts(self, item: WorkItem, recipe: str, comparison: BatchComparison, source: ItemSource) -> None:
        parted = parted_text(source.parts)
        size = len(parted.text.encode("utf-8", "replace"))
        if size > self.max_text_bytes:
            raise too_large(FileType.TEXT, self.max_text_bytes)
        reading = Reading(parted.sha256, size, FileType.TEXT.media_type, None, parted=parted)
        if _must_be_read(item, reading, recipe, comparison, FileType.TEXT):
            _take(item, reading, ExtractedText(storable(parted.text), FileType.TEXT.media_type))

    def _fetched(self, source: ItemSource, check: Callable[[], None]) -> FetchedSource:
        if source.kind is SourceKind.DATA_SOURCE:
            return self.data_sources.fetch(UUID(source.data_source), source.value, check)
        return (self.spool if source.kind is SourceKind.SPOOL else self.sources).fetch(source.value, check)


def _must_be_read(item: WorkItem, reading: Reading, recipe: str, comparison: BatchComparison, kind: FileType) -> bool:
    """Same bytes, read and split in the same way: no text is needed, and nothing is embedded."""
    item.reading = reading
    content, sha256 = item.content, reading.sha256
    item.fingerprint = document_fingerprint(sha256, kind, recipe)
    if not is_fixed(content.item_info_json, is_upload=item.is_upload):
        # Of a data source's file only the bytes count: it is the same document though its listing says another time.
        info = None if item.batch.source is not None else content.item_info_json
        item.payload_hash = payload_hash(f"{recipe}/{sha256}", content.payload_json, info)
    stored = comparison.different.get(item.position - item.batch.first_position)
    if stored is None or stored.fingerprint != item.fingerprint or item.batch.force:
        return True
    is_same = stored.payload_hash == item.payload_hash
    item.action = ItemStatus.UNCHANGED if is_same else ItemStatus.PAYLOAD_UPDATED
    return False


def _take(item: WorkItem, reading: Reading, extracted: ExtractedText) -> None:
    if not extracted.text.strip():
        raise ItemError(
            Stage.EXTRACT,
            FailureCode.NO_CONTENT,
            "The document has no text: it is empty, or holds only pictures",
            retryable=False,
        )
    item.text = extracted.text
    reading.pages = extracted.pages
    reading.headings = extracted.headings


def open_document_reader(settings: Settings, ledger: Ledger) -> DocumentReader:
    """
    Raises:
        SettingsError: the sources' settings cannot be used.
    """
    max_text_bytes = settings.worker.max_text_bytes
    extractor = Extractor(settings.readers, max_text_bytes)
    data_sources = open_data_sources(settings, ledger.knowledge_bases, extractor)
    at_once = settings.sources.parallel_fetches
    # Its threads are started when they are needed: this process may still be forked.
    fetching = ThreadPoolExecutor(at_once, thread_name_prefix="fetch")
    return DocumentReader(
        open_sources(settings),
        open_spool(settings),
        data_sources,
        extractor,
        max_text_bytes,
        fetching,
        at_once,
        settings.sources.timeout_seconds + _FETCH_MARGIN_SECONDS,
    )
