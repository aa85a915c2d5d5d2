"""Crawling a site as a scan: URL after URL of a frontier in the ledger, each visit committed with what it found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from indexmill.domain.backoff import backoff_seconds
from indexmill.errors import ItemError, SourceError, SourceRefused, TransientError
from indexmill.ledger.database import Connection
from indexmill.ledger.scans import CrawlUrl, NewBatch, ScanPhase, ScanProgress
from indexmill.pipeline.found_files import failed_page, new_batches, spooled_item, text_item
from indexmill.pipeline.scan_slice import ScanSlice
from indexmill.sources.crawler import Crawler
from indexmill.sources.listing import FoundFile
from indexmill.sources.source import FetchedSource
from indexmill.sources.spool import Spool
from indexmill.sources.visit import Visit, VisitOutcome

__all__ = ["CrawlScan"]

#: A page that cannot be had for the time being is tried so often.
_PAGE_TRIES: Final = 3
#: URLs that are known, and visits, for each page that may be indexed: a site of loops and redirects ends too.
_KNOWN_PER_PAGE: Final = 4
#: A host's pause is waited for here; for a longer one the scan gives its turn back.
_MAX_PAUSE: Final = 0.5
_CHUNK: Final = 1024 * 1024


@dataclass(frozen=True)
class _Crawled:
    """`pages`: those that were found. `is_partial`: of what was not met, some may be there all the same.

    `has_gaps`: a page failed whose links are not known therefore. `is_checked`: what was not met has been visited too.
    """

    pages: int = 0
    is_partial: bool = False
    has_gaps: bool = False
    is_checked: bool = False

    @property
    def progress(self) -> ScanProgress:
        marks = {"+": self.is_partial, "!": self.has_gaps, "?": self.is_checked}
        return ScanProgress(
            ScanPhase.LISTING, f"{self.pages}{''.join(mark for mark, is_set in marks.items() if is_set)}"
        )

    @staticmethod
    def of(cursor: str) -> _Crawled:
        return _Crawled(int(cursor.rstrip("+!?")), "+" in cursor, "!" in cursor, "?" in cursor)


@dataclass(frozen=True)
class CrawlScan:
    """One slice of one source's crawl."""

    slice: ScanSlice
    crawler: Crawler
    spool: Spool

    def run(self, progress: ScanProgress) -> tuple[ScanProgress, float]:
        """Visit until the slice is over; how far the crawl is then, and the seconds that it has to wait.

        The phase is `REMOVING` where every URL has been visited, and `ENDED` where what was not met may still be
        there: more pages than may be, none at all, or a sitemap that could not be read.

        Raises:
            ScanLost
            SourceError: the site cannot be crawled at all.
            TransientError: not for now.
        """
        if progress.cursor is None:
            progress = self._begin()
        scans, batch = self.slice.ledger.scans, self.slice.batch
        limit = self.crawler.max_pages
        while True:
            self.slice.check()
            crawled = _Crawled.of(progress.cursor or "0")
            visited, _ = scans.crawl_counts(batch)
            url = scans.crawl_next(batch)
            if url is None and crawled.pages and crawled.has_gaps and not crawled.is_checked:
                progress = self._check_unmet(crawled)
                continue
            if url is None and crawled.pages and not crawled.is_partial:
                return self._advance(ScanProgress(ScanPhase.REMOVING, None)), 0.0
            if url is None or crawled.pages >= limit or visited >= limit * _KNOWN_PER_PAGE:
                return self._advance(ScanProgress(ScanPhase.ENDED, None)), 0.0
            if url.wait > 0:
                return progress, url.wait
            if not self.crawler.wait(url.url, _MAX_PAUSE):
                return progress, self.crawler.seconds_until(url.url)
            progress = self._visit(url, crawled)
            if self.slice.is_over:
                return progress, 0.0

    def _begin(self) -> ScanProgress:
        seeds, progress = self._seeds(), _Crawled().progress

        def work(connection: Connection) -> None:
            self._add(connection, seeds)
            self.slice.advance(connection, progress)

        self.slice.commit(work)
        return progress

    def _seeds(self) -> list[str]:
        """
        Raises:
            SourceError: the site cannot be crawled at all.
            TransientError
        """
        try:
            return self.crawler.seeds()
        except (ItemError, SourceRefused) as error:
            raise SourceError("crawl_failed", str(error)) from error

    def _check_unmet(self, crawled: _Crawled) -> ScanProgress:
        """What is indexed, and was linked perhaps by the pages that failed, is visited before it counts as gone."""
        scans, batch = self.slice.ledger.scans, self.slice.batch
        # More are known already where the limit was lowered meanwhile.
        room = max(0, self.crawler.max_pages * _KNOWN_PER_PAGE - scans.crawl_counts(batch)[1])
        unmet = [key for key, _ in scans.gone(self.slice.source.id, batch.seq, None, room + 1)]
        progress = replace(crawled, is_checked=True, is_partial=crawled.is_partial or len(unmet) > room).progress

        def work(connection: Connection) -> None:
            if len(unmet) <= room:
                self._add(connection, unmet)
            self.slice.advance(connection, progress)

        self.slice.commit(work)
        return progress

    def _advance(self, progress: ScanProgress) -> ScanProgress:
        self.slice.commit(lambda connection: self.slice.advance(connection, progress))
        return progress

    def _add(self, connection: Connection, urls: list[str], *, visited: bool = False) -> None:
        known = self.crawler.max_pages * _KNOWN_PER_PAGE
        self.slice.ledger.scans.crawl_add(connection, self.slice.batch, urls, known, visited=visited)

    def _visit(self, url: CrawlUrl, crawled: _Crawled) -> ScanProgress:
        visit = self.crawler.visit(url.url, check=self.slice.check)
        if visit.file is None:
            return self._store(url, visit, crawled, [], [])
        with visit.file as file:
            new, references = self._file(visit, file)
            return self._store(url, visit, crawled, new, references)

    def _file(self, visit: Visit, file: FetchedSource) -> tuple[list[NewBatch], list[str]]:
        """A document that the site offers: into the spool, if it is not indexed as it is."""
        found = FoundFile(visit.final_url, visit.size, visit.revision, title=visit.title)
        source, splitting = self.slice.source, self.slice.splitting
        known = self.slice.ledger.scans.known(self.slice.batch.collection, source.id, [found.key])
        # What is decided needs no content.
        item = spooled_item(source, splitting, found, "", file.file_name or "")
        new = new_batches(source, splitting, [(found, item)], known)
        if new[0].outcomes is not None:
            return new, []
        stored = self.spool.write(_chunks(file))
        item = spooled_item(source, splitting, found, stored.reference, file.file_name or "")
        return new_batches(source, splitting, [(found, item)], known), [stored.reference]

    def _page(self, visit: Visit) -> list[NewBatch]:
        found = FoundFile(visit.final_url, visit.size, visit.revision, title=visit.title)
        source, splitting = self.slice.source, self.slice.splitting
        known = self.slice.ledger.scans.known(self.slice.batch.collection, source.id, [found.key])
        return new_batches(source, splitting, [(found, text_item(source, splitting, found, visit.text))], known)

    def _store(
        self, url: CrawlUrl, visit: Visit, crawled: _Crawled, new: list[NewBatch], references: list[str]
    ) -> ScanProgress:
        scans, batch = self.slice.ledger.scans, self.slice.batch
        if visit.outcome is VisitOutcome.FAILED and visit.retryable and url.tries + 1 < _PAGE_TRIES:
            seconds = visit.retry_after or backoff_seconds(url.tries + 1)
            self.slice.commit(lambda connection: scans.crawl_later(connection, batch, url.url, seconds))
            return crawled.progress
        is_twin = visit.final_url != url.url and bool(scans.crawl_known(batch, [visit.final_url]))
        seen = [visit.final_url]
        if visit.outcome is VisitOutcome.FAILED:
            self._refuse_seed(visit, crawled.pages)
            new = [self._failed(visit)]
            is_sitemap = visit.url != visit.final_url
            has_gaps = crawled.has_gaps or self.crawler.definition.option.follows_links
            crawled = replace(crawled, is_partial=crawled.is_partial or is_sitemap, has_gaps=has_gaps)
        elif is_twin or visit.outcome not in {VisitOutcome.PAGE, VisitOutcome.FILE}:
            new, references, seen = [], [], []
        elif visit.outcome is VisitOutcome.PAGE:
            new = self._page(visit)
        is_page = visit.outcome is not VisitOutcome.FAILED
        after = replace(crawled, pages=crawled.pages + (len(new) if is_page else 0)).progress

        def work(connection: Connection) -> None:
            scans.append(connection, batch, new, references)
            scans.see(connection, batch, seen)
            scans.crawl_visited(connection, batch, url.url)
            self._add(connection, list(visit.links))
            if seen and visit.final_url != url.url:
                self._add(connection, [visit.final_url], visited=True)
            self.slice.advance(connection, after)

        self.slice.commit(work)
        return after

    def _refuse_seed(self, visit: Visit, pages: int) -> None:
        """A site whose first page cannot be had is not crawled: nothing is known of what it holds."""
        if pages == 0 and visit.url in self._seeds():
            sentence = visit.sentence or "The site could not be crawled"
            if visit.retryable:
                raise TransientError(sentence)
            raise SourceError(str(visit.code or "crawl_failed"), sentence)

    def _failed(self, visit: Visit) -> NewBatch:
        sentence = visit.sentence or "The page could not be read"
        return failed_page(
            self.slice.source, self.slice.splitting, visit.final_url, sentence, retryable=visit.retryable
        )


def _chunks(file: FetchedSource) -> Iterator[bytes]:
    with file.path.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            yield chunk
