"""Scanning a data source: what it holds becomes batches of the job, a page at a time; what is gone is deleted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from indexmill.domain.bodies import MAX_BATCH_ITEMS, DistinctIds, RequestDigest, pack
from indexmill.domain.chunking import splitting_of
from indexmill.domain.failure import Failure, FailureCode, Stage
from indexmill.domain.job import Item
from indexmill.domain.knowledge_base import DataSourceKind
from indexmill.domain.outcome import ItemStatus, count
from indexmill.ledger.batches import BatchEnd
from indexmill.ledger.claims import ClaimedBatch
from indexmill.ledger.database import Connection
from indexmill.ledger.ledger import Ledger
from indexmill.ledger.scans import NewBatch, ScanPhase, ScanProgress, outcomes_of
from indexmill.pipeline.crawl import CrawlScan
from indexmill.pipeline.data_sources import DataSources
from indexmill.pipeline.found_files import file_item, new_batches
from indexmill.pipeline.scan_slice import ScanLost, ScanSlice, commit_scan
from indexmill.sources.listing import Listing

__all__ = ["SourceScan"]

_REMOVALS: Final = 4 * MAX_BATCH_ITEMS


@dataclass
class SourceScan:
    """One a worker process. A scan gives its turn back after `slice_seconds`, so that no file waits long for it."""

    ledger: Ledger
    sources: DataSources
    slice_seconds: float = 2.0
    #: Files that are compared, and committed, together.
    page_files: int = 1000

    def run(self, token: UUID, batch: ClaimedBatch, check: Callable[[], None]) -> None:
        """Take the scan as far as its slice allows; it is committed, and either ended or ready to go on.

        Raises:
            ScanLost: nothing more may be written for it.
            SourceError: the data source cannot be read; what was found before stays.
            TransientError: waiting helps.
        """
        if batch.source is None:
            raise ScanLost
        until = time.monotonic() + self.slice_seconds
        source = self.sources.open(batch.source)
        splitting, note = splitting_of(source.chunking)
        slice_ = ScanSlice(self.ledger, token, batch, source, splitting, note, until, check)
        progress = self.ledger.scans.progress(batch.job, source.id)
        if progress.phase is ScanPhase.LISTING:
            progress, seconds = self._find(slice_, progress)
            if progress.phase is ScanPhase.LISTING:
                slice_.let_go(seconds)
                return
        while progress.phase is ScanPhase.REMOVING:
            check()
            progress = _remove(slice_, progress)
            if slice_.is_over:
                break
        if progress.phase is ScanPhase.ENDED:
            slice_.commit(lambda connection: self.ledger.scans.end(connection, batch))
        else:
            slice_.let_go()

    def fail(self, token: UUID, batch: ClaimedBatch, code: str, sentence: str) -> None:
        """End the scan as a failed item of its job, which a retry takes up where it stopped.

        Raises:
            ScanLost
        """
        outcomes = outcomes_of(ItemStatus.FAILED, [0])
        # What was set aside has its failure already.
        failures = [] if batch.set_aside else [_failure(batch, code, sentence)]
        scans = self.ledger.scans
        progress = scans.progress(batch.job, batch.source) if batch.source is not None else None

        def work(connection: Connection) -> None:
            if progress is not None:
                scans.advance(connection, batch, progress, error_code=code, error_sentence=sentence)
            self.ledger.batches.end(connection, [BatchEnd(batch.key, outcomes, count(outcomes), failures, None)])

        commit_scan(self.ledger, token, batch, work)

    def _find(self, slice_: ScanSlice, progress: ScanProgress) -> tuple[ScanProgress, float]:
        """What the source holds, page after page: how far that is when the slice is over, and seconds to wait."""
        if slice_.source.kind is DataSourceKind.WEB_CRAWLER:
            return CrawlScan(slice_, self.sources.crawler(slice_.source), self.sources.spool).run(progress)
        with self.sources.listing(slice_.source) as listing:
            while progress.phase is ScanPhase.LISTING:
                slice_.check()
                progress = _page(slice_, listing, progress, self.page_files)
                if slice_.is_over:
                    break
        return progress, 0.0


def _page(slice_: ScanSlice, listing: Listing, progress: ScanProgress, files: int) -> ScanProgress:
    page = listing.page(progress.cursor, files)
    source, scans = slice_.source, slice_.ledger.scans
    keys = [file.key for file in page.files]
    found = [(file, file_item(source, slice_.splitting, file)) for file in page.files]
    new = new_batches(source, slice_.splitting, found, scans.known(slice_.batch.collection, source.id, keys))
    after = (
        ScanProgress(ScanPhase.REMOVING, None) if page.cursor is None else ScanProgress(ScanPhase.LISTING, page.cursor)
    )

    def work(connection: Connection) -> None:
        scans.append(connection, slice_.batch, new)
        scans.see(connection, slice_.batch, keys)
        slice_.advance(connection, after)

    slice_.commit(work)
    return after


def _remove(slice_: ScanSlice, progress: ScanProgress) -> ScanProgress:
    """A page of what the listing has not met is deleted; of a deleted data source that is everything."""
    scans = slice_.ledger.scans
    gone: Sequence[tuple[str, str]] = scans.gone(slice_.source.id, slice_.batch.seq, progress.cursor, _REMOVALS)
    new = [
        NewBatch(body, deletes=True)
        for body in pack((Item(document) for _, document in gone), RequestDigest(), DistinctIds())
    ]
    after = (
        ScanProgress(ScanPhase.ENDED, None) if len(gone) < _REMOVALS else ScanProgress(ScanPhase.REMOVING, gone[-1][0])
    )

    def work(connection: Connection) -> None:
        scans.append(connection, slice_.batch, new)
        slice_.advance(connection, after)

    slice_.commit(work)
    return after


def _failure(batch: ClaimedBatch, code: str, sentence: str) -> Failure:
    return Failure(
        position=batch.first_position,
        stage=Stage.LOAD,
        code=FailureCode.SOURCE_UNAVAILABLE,
        sentence=sentence,
        retryable=True,
        object_id=str(batch.source),
        item_info={"data_source": str(batch.source), "code": code},
    )
