"""Scanning a data source: a slice of what it holds becomes batches of the job, committed with how far the scan is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from indexmill.domain.bodies import MAX_BATCH_ITEMS, RequestDigest, pack
from indexmill.domain.failure import Failure, FailureCode, Stage
from indexmill.domain.job import Item
from indexmill.domain.knowledge_base import DataSourceKind
from indexmill.domain.outcome import ItemStatus, count
from indexmill.ledger.batches import BatchEnd
from indexmill.ledger.claims import ClaimedBatch
from indexmill.ledger.database import Connection
from indexmill.ledger.knowledge_bases import OpenDataSource
from indexmill.ledger.ledger import Ledger
from indexmill.ledger.scans import NewBatch, ScanPhase, ScanProgress, outcomes_of
from indexmill.pipeline.crawl import CrawlScan
from indexmill.pipeline.data_sources import DataSources
from indexmill.pipeline.found_files import new_batches
from indexmill.sources.listing import Listing

__all__ = ["ScanLost", "SourceScan"]

#: Files that are compared, and committed, together.
_PAGE: Final = 1000
_REMOVALS: Final = 4 * MAX_BATCH_ITEMS


class ScanLost(Exception):
    """The scan's batch is not ours any more, or its job has ended."""


@dataclass
class SourceScan:
    """One a worker process. A scan gives its turn back after `slice_seconds`, so that no file waits long for it."""

    ledger: Ledger
    sources: DataSources
    slice_seconds: float = 2.0

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
        progress = self.ledger.scans.progress(batch.job, batch.source)
        if progress.phase is ScanPhase.LISTING:
            if source.kind is DataSourceKind.WEB_CRAWLER:
                crawl = CrawlScan(self.ledger, self.sources, token, batch, source)
                progress, seconds = crawl.run(until, check)
            else:
                progress, seconds = self._list(token, batch, source, progress, until, check), 0.0
            if progress.phase is ScanPhase.LISTING:
                self._commit(token, batch, lambda connection: self.ledger.scans.let_go(connection, token, batch, seconds))
                return
        self._remove(token, batch, progress, until, check)

    def fail(self, token: UUID, batch: ClaimedBatch, code: str, sentence: str) -> None:
        """End the scan as a failed item of its job, which a retry takes up where it stopped."""
        outcomes = outcomes_of(ItemStatus.FAILED, [0])
        failures: list[Failure] = []
        if not batch.set_aside:
            failures.append(
                Failure(
                    position=batch.first_position,
                    stage=Stage.LOAD,
                    code=FailureCode.SOURCE_UNAVAILABLE,
                    sentence=sentence,
                    retryable=True,
                    object_id=str(batch.source),
                    item_info={"data_source": str(batch.source), "code": code},
                )
            )

        scans = self.ledger.scans
        progress = scans.progress(batch.job, batch.source) if batch.source is not None else None

        def work(connection: Connection) -> None:
            if progress is not None:
                scans.advance(connection, batch, progress, error_code=code, error_sentence=sentence)
            self.ledger.batches.end(connection, [BatchEnd(batch.key, outcomes, count(outcomes), failures, None)])

        self._commit(token, batch, work)

    def _commit(self, token: UUID, batch: ClaimedBatch, work: Callable[[Connection], None]) -> None:
        """Raises: ScanLost."""

        def guarded(connection: Connection) -> bool:
            if not self.ledger.scans.hold(connection, token, batch):
                return False
            work(connection)
            return True

        if not self.ledger.database.repeat(guarded):
            raise ScanLost

    def _list(
        self,
        token: UUID,
        batch: ClaimedBatch,
        source: OpenDataSource,
        progress: ScanProgress,
        until: float,
        check: Callable[[], None],
    ) -> ScanProgress:
        """Page after page; the phase is `REMOVING` where the listing came to its end."""
        with self.sources.listing(source) as listing:
            while progress.phase is ScanPhase.LISTING and time.monotonic() < until:
                check()
                progress = self._page(token, batch, source, listing, progress)
        return progress

    def _page(
        self, token: UUID, batch: ClaimedBatch, source: OpenDataSource, listing: Listing, progress: ScanProgress
    ) -> ScanProgress:
        page = listing.page(progress.cursor, _PAGE)
        keys = [file.key for file in page.files]
        known = self.ledger.scans.known(batch.collection, source.id, keys)
        new = new_batches(source, page.files, known)
        after = ScanProgress(ScanPhase.LISTING if page.cursor is not None else ScanPhase.REMOVING, page.cursor)

        def work(connection: Connection) -> None:
            self.ledger.scans.append(connection, batch, new)
            self.ledger.scans.see(connection, batch, keys)
            self.ledger.scans.advance(connection, batch, after)

        self._commit(token, batch, work)
        return after

    def _remove(
        self, token: UUID, batch: ClaimedBatch, progress: ScanProgress, until: float, check: Callable[[], None]
    ) -> None:
        """What the listing has not met is deleted; of a deleted data source that is everything."""
        source, scans = batch.source, self.ledger.scans
        if source is None:
            raise ScanLost
        while True:
            check()
            if progress.phase is ScanPhase.ENDED or time.monotonic() > until:
                break
            gone = scans.gone(source, batch.seq, progress.cursor, _REMOVALS)
            progress = self._remove_page(token, batch, gone)
        if progress.phase is ScanPhase.ENDED:
            self._commit(token, batch, lambda connection: scans.end(connection, batch))
        else:
            self._commit(token, batch, lambda connection: scans.let_go(connection, token, batch, 0.0))

    def _remove_page(self, token: UUID, batch: ClaimedBatch, gone: Sequence[tuple[str, str]]) -> ScanProgress:
        new = [
            NewBatch(body, deletes=True)
            for body in pack((Item(document) for _, document in gone), RequestDigest())
        ]
        is_last = len(gone) < _REMOVALS
        cursor = gone[-1][0] if gone else None
        after = ScanProgress(ScanPhase.ENDED if is_last else ScanPhase.REMOVING, cursor)

        def work(connection: Connection) -> None:
            # Positions count through all the bodies of one packing.
            self.ledger.scans.append(connection, batch, new)
            self.ledger.scans.advance(connection, batch, after)

        self._commit(token, batch, work)
        return after
