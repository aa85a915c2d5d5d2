"""Crawls of what sitemaps list."""

from __future__ import annotations

import gzip

import pytest

from indexmill.domain.failure import FailureCode
from indexmill.sources.visit import IgnoredCode, Visit
from tests.integration.sources.crawling import MakeCrawler, crawl_all, html, visit_one
from tests.site_server import METADATA, page
from tests.web_server import WebServer, answer


def _urlset(server: WebServer, *paths: str) -> str:
    return "<urlset>" + "".join(f"<url><loc>{server.url}{path}</loc></url>" for path in paths) + "</urlset>"


def _index(server: WebServer, *paths: str) -> str:
    entries = "".join(f"<sitemap><loc>{server.url}{path}</loc></sitemap>" for path in paths)
    return f"<sitemapindex>{entries}</sitemapindex>"


def _pages(visits: dict[str, Visit]) -> list[str]:
    return sorted(visit.final_url.partition("//")[2].partition("/")[2] for visit in visits.values() if visit.text)


def test_a_sitemap_index_with_packed_sitemaps(crawler: MakeCrawler, server: WebServer) -> None:
    server.answers |= {
        "/robots.txt": answer(body=f"User-agent: *\nDisallow: /*.xml\nSitemap: {server.url}/index.xml".encode()),
        "/index.xml": html(_index(server, "/1.gz", "/2.txt", "/deeper.xml"), "application/xml"),
        "/1.gz": html(gzip.compress(_urlset(server, "/a", "/b#x", "/b", "/gone").encode()), "application/gzip"),
        "/2.txt": html(f"{server.url}/c?utm_source=s\nhttp://other.example/\n{METADATA}\n", "text/plain"),
        "/a": html(page("A", "a", links=["/unlisted"])),
        "/b": html(page("B", "b")),
        "/c": html(page("C", "c")),
    }
    crawl = crawler(server, "/a", option="SITEMAP")
    visits = crawl_all(crawl)
    assert _pages(visits) == ["a", "b", "c"]
    # Named in the index, but robots.txt does not name it.
    assert visits[f"{server.url}/deeper.xml#sitemap-2"].code is IgnoredCode.DISALLOWED
    assert visits[f"{server.url}/gone"].outcome == "ignored"
    assert [visit.code for url, visit in visits.items() if "#" in url].count(IgnoredCode.SITEMAP) == 3
    assert not [head for head in server.heads if "unlisted" in head]


def test_a_sitemap_can_be_the_base_url_or_at_its_usual_place(crawler: MakeCrawler, server: WebServer) -> None:
    server.answers |= {
        "/maps/sitemap": answer("301 Moved Permanently", location="/maps/other"),
        "/maps/other": html(_urlset(server, "/a"), "text/xml"),
        "/sitemap.xml": html(_urlset(server, "/b"), "text/xml"),
        "/a": html(page("A", "a")),
        "/b": html(page("B", "b")),
    }
    assert _pages(crawl_all(crawler(server, "/maps/sitemap", option="SITEMAP"))) == ["a"]
    assert _pages(crawl_all(crawler(server, "/", option="SITEMAP"))) == ["b"]


def test_indexes_end_two_deep(crawler: MakeCrawler, server: WebServer) -> None:
    for number in range(5):
        index = _index(server, f"/{number + 1}.xml", f"/{number}.xml")
        server.answers[f"/{number}.xml"] = html(index, "text/xml")
    visits = crawl_all(crawler(server, "/0.xml", option="SITEMAP"))
    assert len(visits) == 3


@pytest.mark.parametrize("broken", ["404", "html", "index"])
def test_a_site_without_a_sitemap_fails(crawler: MakeCrawler, server: WebServer, broken: str) -> None:
    if broken == "html":
        server.answers["/sitemap.xml"] = html(page("Sorry", "Not found"))
    if broken == "index":
        server.answers["/sitemap.xml"] = html("<urlset><url><loc>", "text/xml")
    visit = visit_one(crawler(server, option="SITEMAP"))
    assert (visit.outcome, visit.retryable) == ("failed", False)


def test_a_damaged_sitemap_gives_what_it_can(crawler: MakeCrawler, server: WebServer) -> None:
    server.answers["/sitemap.xml"] = html(_urlset(server, "/a", "/b")[:-12], "text/xml")
    visit = visit_one(crawler(server, option="SITEMAP"))
    assert (visit.outcome, visit.code) == ("failed", FailureCode.MALFORMED_FILE)
    assert visit.links == (f"{server.url}/a", f"{server.url}/b")


def test_a_sitemap_lists_no_more_than_a_crawl_may_have(crawler: MakeCrawler, server: WebServer) -> None:
    server.answers["/sitemap.xml"] = html(_urlset(server, *(f"/{number}" for number in range(100))), "text/xml")
    crawl = crawler(server, option="SITEMAP", crawl={"max_pages": 10})
    assert (len(visit_one(crawl).links), crawl.max_pages) == (10, 10)
