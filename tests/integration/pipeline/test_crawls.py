"""Web crawls as data sources: a site becomes documents, goes on after a kill, and what is gone from it is removed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from indexmill.crawl_settings import CrawlSettings
from indexmill.domain.job_state import JobState, Reason
from indexmill.domain.knowledge_base import DataSourceKind, IndexingJob, KnowledgeBase, NewDataSource, SourceRunStatus
from indexmill.engine import Engine
from indexmill.settings import Settings, SourceSettings
from tests.draining import claim_next, execute, lose, rows, wake
from tests.knowledge_bases import Shelf
from tests.site_server import METADATA, SiteServer
from tests.web_server import answer


@pytest.fixture
def site() -> Iterator[SiteServer]:
    with SiteServer(pages=20, slow=1, slow_seconds=0.05) as running:
        yield running


@pytest.fixture
def shelf(engine: Engine, settings: Settings, site: SiteServer) -> Iterator[Shelf]:
    host = site.url.removeprefix("http://").rstrip("/")
    crawled = settings.model_copy(
        update={
            "sources": SourceSettings(allowed_hosts=[host], timeout_seconds=5),
            "crawl": CrawlSettings(delay_seconds=0.0, timeout_seconds=5),
        }
    )
    made = Shelf(engine, crawled)
    yield made
    made.close()


def _create(shelf: Shelf, url: str, option: str = "DOMAIN") -> KnowledgeBase:
    return shelf.create(NewDataSource(DataSourceKind.WEB_CRAWLER, {"base_url": url, "crawling_option": option}))


def _drain(shelf: Shelf, **changes: Any) -> None:
    """To the job's end: what is to be tried again later is due at once."""
    for _ in range(20):
        shelf.drain(**changes)
        wake(shelf.engine)
        if not execute(shelf.engine, "UPDATE crawl_page SET due_at = now() WHERE due_at IS NOT NULL"):
            return


def _run(shelf: Shelf, kb: KnowledgeBase) -> IndexingJob:
    shelf.verbs.start(kb.id)
    _drain(shelf)
    return shelf.last(kb)


def _paths(shelf: Shelf, kb: KnowledgeBase, site: SiteServer) -> set[str]:
    return {name.removeprefix(site.url.rstrip("/")) for name in shelf.names(kb)}


def _check_counters(shelf: Shelf) -> None:
    """What is kept of a crawl's frontier is what it holds; in front of each visit only that is read."""
    counted = "SELECT count(*) FILTER (WHERE due_at IS NULL) AS visited, count(*) AS known FROM crawl_page"
    assert rows(shelf.engine, "SELECT visited, known FROM job_source") == rows(shelf.engine, counted)


def test_a_site_is_crawled_and_kept_in_step(shelf: Shelf, site: SiteServer) -> None:
    kb = _create(shelf, site.url)
    _drain(shelf)
    first = shelf.last(kb)
    assert _paths(shelf, kb, site) == set(site.indexable)
    assert (first.counts.indexed, first.counts.failed) == (len(site.indexable), len(site.failing))
    assert first.job.reason is Reason.WITH_FAILURES
    assert not any(METADATA in key for key in site.requests)
    again = _run(shelf, kb)
    assert (again.counts.indexed, again.counts.skipped, again.counts.tokens) == (0, len(site.indexable), 0)
    site.write(7, "Quite another text of cranes.")
    site.remove(8)
    third = _run(shelf, kb)
    assert (third.counts.indexed, third.counts.removed) == (1, 1)
    assert site.path(8) not in _paths(shelf, kb, site)
    assert rows(shelf.engine, "SELECT count(*) AS left_over FROM crawl_page")[0]["left_over"] == 0


def test_a_killed_crawl_goes_on_where_it_was(shelf: Shelf, site: SiteServer) -> None:
    kb = _create(shelf, site.url)
    runner = shelf.runner(scanning={"slice_seconds": 0.0})
    for number in itertools.count():
        claim = claim_next(shelf.engine)
        if claim is None:
            if shelf.last(kb).job.is_terminal:
                break
            execute(shelf.engine, "UPDATE crawl_page SET due_at = now() WHERE due_at IS NOT NULL")
            wake(shelf.engine)
        elif number % 3 == 0:
            lose(shelf.engine, claim)
        else:
            runner.run(claim, lambda: True)
            _check_counters(shelf)
    job = shelf.last(kb)
    assert job.job.state is JobState.SUCCEEDED
    assert job.counts.indexed == len(site.indexable)
    assert _paths(shelf, kb, site) == set(site.indexable)


def test_what_only_a_failing_page_links_to_is_not_removed(shelf: Shelf, site: SiteServer) -> None:
    kb = _create(shelf, site.url)
    _drain(shelf)
    # Its children are linked from nowhere else; one of them is really gone.
    working = site.answers["/page/1"]
    site.answers["/page/1"] = answer("500 Internal Server Error")
    site.remove(12)
    second = _run(shelf, kb)
    assert (second.counts.failed, second.counts.removed) == (len(site.failing) + 1, 1)
    assert _paths(shelf, kb, site) == site.indexable - {"/page/12"}
    site.answers["/page/1"] = working
    third = _run(shelf, kb)
    assert (third.counts.failed, third.counts.removed, third.counts.indexed) == (len(site.failing), 0, 0)


def test_urls_are_counted_once_and_no_more_are_known_than_may_be(shelf: Shelf, site: SiteServer) -> None:
    _create(shelf, site.url)
    claim = claim_next(shelf.engine)
    assert claim is not None
    (batch,), scans = claim.batches, shelf.engine.ledger.scans

    def add(*urls: str, visited: bool = False) -> tuple[int, int]:
        with shelf.engine.ledger.database.transaction() as connection:
            scans.crawl_add(connection, batch, urls, 4, visited=visited)
        _check_counters(shelf)
        return scans.crawl_counts(batch)

    assert add("a", "b", "a") == (0, 2)
    assert add("b", visited=True) == add("b", visited=True) == (1, 2)
    assert add("b", "c", visited=True) == (2, 3)
    for _ in range(2):
        with shelf.engine.ledger.database.transaction() as connection:
            scans.crawl_visited(connection, batch, "a")
        _check_counters(shelf)
        assert scans.crawl_counts(batch) == (3, 3)
    assert add("x", "a", "y", "z") == (3, 4)
    assert add("y", visited=True) == (3, 4)
    url = scans.crawl_next(batch)
    assert url is not None
    assert url.url == "x"


def test_a_site_that_is_away_removes_nothing(shelf: Shelf, site: SiteServer) -> None:
    kb = _create(shelf, site.url)
    _drain(shelf)
    before = shelf.names(kb)
    site.answers |= {"/": answer("503 Service Unavailable")}
    shelf.verbs.start(kb.id)
    _drain(shelf, max_tries=1)
    job = shelf.last(kb)
    assert (job.job.state, job.runs[0].status) == (JobState.FAILED, SourceRunStatus.FAILED)
    assert job.runs[0].error_sentence
    assert shelf.names(kb) == before


def test_a_site_that_may_not_be_read_any_more_ends_the_crawl(shelf: Shelf, site: SiteServer, engine: Engine) -> None:
    """The settings have changed meanwhile: not even what the crawl began with can be told."""
    site.answers |= {"/sitemap.xml": answer("503 Service Unavailable")}
    _create(shelf, site.url, "SITEMAP")
    claim = claim_next(engine)
    assert claim is not None
    shelf.runner(scanning={"slice_seconds": 0.0}).run(claim, lambda: True)
    execute(engine, "UPDATE crawl_page SET due_at = now()")
    wake(engine)
    other = Shelf(engine, shelf.settings.model_copy(update={"sources": SourceSettings(timeout_seconds=5)}))
    try:
        other.drain()
    finally:
        other.close()
    runs = rows(engine, "SELECT error_code FROM job_source")
    assert runs == [{"error_code": "crawl_failed"}]


def test_a_crawl_ends_where_fewer_pages_may_be_than_are_known(shelf: Shelf, site: SiteServer) -> None:
    """The setting was lowered between two slices."""
    kb = _create(shelf, site.url)
    claim = claim_next(shelf.engine)
    assert claim is not None
    shelf.runner(scanning={"slice_seconds": 0.0}).run(claim, lambda: True)
    # One page is found, one has failed, and all others are visited.
    execute(shelf.engine, "UPDATE crawl_page SET due_at = NULL")
    execute(shelf.engine, "UPDATE job_source SET visited = 1, known = 100, cursor = '1!'")
    wake(shelf.engine)
    few = shelf.settings.crawl.model_copy(update={"max_pages": 5})
    other = Shelf(shelf.engine, shelf.settings.model_copy(update={"crawl": few}))
    try:
        other.drain()
    finally:
        other.close()
    assert shelf.last(kb).job.state is JobState.SUCCEEDED
