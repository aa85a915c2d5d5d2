"""Crawls of sites on loopback: what is visited, what is made of it, and what is never contacted."""

from __future__ import annotations

import hashlib
import zlib
from ipaddress import ip_address
from pathlib import Path

import pytest

from indexmill.domain.failure import FailureCode
from indexmill.readers.reader import Extractor
from indexmill.settings import load_settings
from indexmill.sources.crawl_definition import CrawlDefinition
from indexmill.sources.crawl_scope import CrawlOption
from indexmill.sources.crawler import Crawler
from indexmill.sources.visit import IgnoredCode, VisitOutcome
from tests.integration.sources.crawling import MakeCrawler, crawl_all, html, visit_one
from tests.site_server import METADATA, SiteServer, page, sentence
from tests.web_server import WebServer, answer


def test_a_site_with_everything(crawler: MakeCrawler, contacted: set[str], tmp_path: Path) -> None:
    with SiteServer(60, slow_seconds=0.1) as site:
        visits = crawl_all(crawler(site))
        requests = site.requests
    pages = {visit.final_url: visit for visit in visits.values() if visit.outcome is VisitOutcome.PAGE}
    assert set(pages) == {site.url + path for path in site.indexable}
    assert all(sentence(number) in pages[site.url + site.path(number)].text for number in range(60))
    assert "Imprint" not in "".join(visit.text for visit in pages.values())
    codes = {url.removeprefix(site.url): visit.code for url, visit in visits.items() if visit.code is not None}
    assert codes == {
        "/loop/a": IgnoredCode.REDIRECT_LOOP,
        "/metadata": IgnoredCode.OUT_OF_SCOPE,
        "/away": IgnoredCode.OUT_OF_SCOPE,
        "/broken": FailureCode.SOURCE_UNAVAILABLE,
        "/hidden": IgnoredCode.NOINDEX,
        "/image.png": IgnoredCode.UNSUPPORTED_TYPE,
        **dict.fromkeys(site.forbidden, IgnoredCode.DISALLOWED),
        **{f"/missing/{number}": IgnoredCode.GONE for number in range(20)},
    }
    assert {visit.outcome for visit in visits.values() if visit.code and visit.url != f"{site.url}/broken"} == {
        VisitOutcome.IGNORED
    }
    # Each page once, and once more for each redirect to it.
    assert all(requests[path] <= 2 for path in site.indexable)
    assert not site.forbidden & set(requests)
    assert not [path for path in requests if "utm_source" in path]
    assert contacted == {"127.0.0.1"}
    assert list((tmp_path / "fetched").iterdir()) == []


def test_a_page(crawler: MakeCrawler, server: WebServer) -> None:
    body = page("Cranes", "They fly.", links=["/b#c", "b", "/b?utm_source=x", "http://other.example/", "/d/?q=1"])
    server.answers["/a/"] = html(body)
    visit = visit_one(crawler(server, "/a/", option="DOMAIN"))
    assert (visit.outcome, visit.final_url, visit.code, visit.size) == ("page", f"{server.url}/a/", None, len(body))
    assert (visit.title, visit.text) == ("Cranes", "# Cranes\n\nThey fly.")
    assert [each.title for each in visit.headings] == ["Cranes"]
    assert visit.links == tuple(f"{server.url}{path}" for path in ("/b", "/a/b", "/d/?q=1"))


def test_the_revision_is_that_of_title_and_text(crawler: MakeCrawler, server: WebServer) -> None:
    crawl = crawler(server)
    revisions = []
    for title, text, link in [("A", "x", "/b"), ("A", "x", "/c"), ("B", "x", "/b"), ("A", "y", "/b")]:
        server.answers["/"] = html(page(title, text, links=[link]))
        revisions.append(visit_one(crawl).revision)
    assert revisions[0] == revisions[1]
    assert len(set(revisions)) == 3


@pytest.mark.parametrize("option", ["SCOPED", "SITEMAP"])
def test_options_that_follow_no_links(crawler: MakeCrawler, server: WebServer, option: str) -> None:
    server.answers["/a"] = html(page("A", "a", links=["/b"]))
    assert crawler(server, "/a", option=option).visit(f"{server.url}/a").links == ()


def test_a_page_gives_no_more_links_than_a_crawl_may_have_pages(crawler: MakeCrawler, server: WebServer) -> None:
    server.answers["/"] = html(page("A", "a", links=[f"/{number}" for number in range(20)]))
    assert len(visit_one(crawler(server, crawl={"max_pages": 10})).links) == 10


def test_a_path_is_not_left(crawler: MakeCrawler, server: WebServer) -> None:
    for path in ("/docs/", "/docs/a", "/docs/b"):
        server.answers[path] = html(
            page(path, path, links=["/docs/a", "b", "../blog", "/docs/%2e%2e/blog", "/docs/out"])
        )
    server.answers["/docs/out"] = answer("302 Found", location="/blog")
    visits = crawl_all(crawler(server, "/docs/", option="PATH"))
    assert sorted(visit.final_url for visit in visits.values() if visit.outcome == "page") == [
        f"{server.url}{path}" for path in ("/docs/", "/docs/a", "/docs/b")
    ]
    assert not [head for head in server.heads if "blog" in head]


@pytest.mark.parametrize(
    ("status", "outcome", "code", "retryable"),
    [
        ("404 Not Found", "ignored", IgnoredCode.GONE, False),
        ("410 Gone", "ignored", IgnoredCode.GONE, False),
        ("403 Forbidden", "ignored", IgnoredCode.INACCESSIBLE, False),
        ("204 No Content", "ignored", IgnoredCode.NO_CONTENT, False),
        ("500 Internal Server Error", "failed", FailureCode.SOURCE_UNAVAILABLE, True),
        ("503 Service Unavailable", "failed", FailureCode.SOURCE_UNAVAILABLE, True),
        ("429 Too Many Requests", "failed", FailureCode.SOURCE_UNAVAILABLE, True),
    ],
)
def test_answers_without_content(
    *, crawler: MakeCrawler, server: WebServer, status: str, outcome: str, code: str, retryable: bool
) -> None:
    server.answers["/a"] = answer(status)
    visit = crawler(server).visit(f"{server.url}/a")
    assert (visit.outcome, visit.code, visit.retryable) == (outcome, code, retryable)
    # The base URL itself: nothing is known of the site, so nothing of it may be taken for gone.
    visit = visit_one(crawler(server, "/a"))
    assert (visit.outcome, visit.code, visit.retryable) == ("failed", code, retryable)
    assert visit.sentence


@pytest.mark.parametrize(
    ("header", "seconds"), [("120", 120), ("999999", 3600), ("Fri, 31 Dec 2099", None), ("-1", None)]
)
def test_servers_say_when_to_come_back(
    crawler: MakeCrawler, server: WebServer, header: str, seconds: float | None
) -> None:
    server.answers["/"] = answer("503 Service Unavailable", retry_after=header)
    crawl = crawler(server)
    assert visit_one(crawl).retry_after == seconds
    assert (crawl.seconds_until(f"{server.url}/b") > 20) is (seconds is not None)


def test_redirects_within_the_scope_name_the_page(crawler: MakeCrawler, server: WebServer) -> None:
    server.answers["/a"] = answer("301 Moved Permanently", location="/b#top")
    server.answers["/b"] = answer("307 Temporary Redirect", location="c?utm_campaign=x")
    server.answers["/c"] = html(page("C", "c"))
    visit = crawler(server).visit(f"{server.url}/a")
    assert (visit.outcome, visit.final_url, visit.links) == ("redirect", f"{server.url}/c", (f"{server.url}/c",))


def test_redirects_end(crawler: MakeCrawler, server: WebServer) -> None:
    server.answers["/self"] = answer("302 Found", location="/self#again")
    for number in range(20):
        server.answers[f"/step/{number}"] = answer("302 Found", location=f"/step/{number + 1}")
    crawl = crawler(server)
    for path in ("/self", "/step/0"):
        assert crawl.visit(server.url + path).code is IgnoredCode.REDIRECT_LOOP
    assert len(server.heads) == 1 + 1 + 6
    assert visit_one(crawler(server, "/self")).outcome == "failed"


def test_a_base_url_that_redirects_to_nothing_fails(crawler: MakeCrawler, server: WebServer) -> None:
    server.answers["/"] = answer("302 Found", location="/en/")
    for status, retryable in (("404 Not Found", False), ("503 Service Unavailable", True)):
        server.answers["/en/"] = answer(status)
        visit = visit_one(crawler(server))
        assert (visit.outcome, visit.retryable) == ("failed", retryable)
        assert crawler(server, "/other").visit(f"{server.url}/").outcome == "redirect"


@pytest.mark.parametrize("target", [METADATA, "http://localhost:1/", "ftp://marsh.example/", "http://[", "//x:y@h/"])
def test_redirects_out_of_the_scope_are_not_followed(
    crawler: MakeCrawler, server: WebServer, contacted: set[str], target: str
) -> None:
    server.answers["/out"] = answer("302 Found", location=target)
    visit = crawler(server).visit(f"{server.url}/out")
    assert (visit.outcome, visit.code, visit.links) == ("ignored", IgnoredCode.OUT_OF_SCOPE, ())
    assert contacted == {"127.0.0.1"}


@pytest.mark.parametrize("base", [METADATA, "http://127.0.0.1:1/", "http://localhost/", "http://[::ffff:10.0.0.1]/"])
def test_forbidden_addresses_are_never_contacted(
    *, crawler: MakeCrawler, server: WebServer, extractor: Extractor, contacted: set[str], tmp_path: Path, base: str
) -> None:
    for option in (CrawlOption.DOMAIN, CrawlOption.SITEMAP):
        crawl = Crawler(CrawlDefinition(base, option), load_settings(data_folder=tmp_path), extractor)
        visit = crawl.visit(crawl.scope.base_url)
        assert (visit.outcome, visit.code, visit.retryable) == ("failed", FailureCode.SOURCE_FORBIDDEN, False)
    assert contacted == set()


def test_subdomains_are_visited_where_their_addresses_are_allowed(
    server: WebServer, extractor: Extractor, contacted: set[str], tmp_path: Path
) -> None:
    north, south = (f"http://{name}.marsh.example:{server.port}/" for name in ("north", "south"))
    server.answers["/"] = html(page("Marsh", "x", links=[north, south, f"http://other.example:{server.port}/"]))
    addresses = {"south.marsh.example": "10.0.0.1"}
    settings = load_settings(
        data_folder=tmp_path,
        sources={"allowed_hosts": [f"127.0.0.1:{server.port}"]},
        crawl={"delay_seconds": 0, "user_agent": "Marshbot (+https://marsh.example)"},
    )
    definition = CrawlDefinition(f"http://www.marsh.example:{server.port}/", CrawlOption.SUBDOMAINS)
    crawl = Crawler(
        definition, settings, extractor, resolve=lambda host, port: [ip_address(addresses.get(host, "127.0.0.1"))]
    )
    visits = crawl_all(crawl)
    assert {url: visit.code for url, visit in visits.items()} == {
        definition.base_url: None,
        north: None,
        south: FailureCode.SOURCE_FORBIDDEN,
    }
    assert contacted == {"127.0.0.1"}
    assert all("User-Agent: Marshbot (+https://marsh.example)\r\n" in head for head in server.heads)


def test_robots_txt_that_cannot_be_read_waits(crawler: MakeCrawler, server: WebServer) -> None:
    server.answers |= {"/robots.txt": answer("503 Service Unavailable"), "/": html(page("A", "a"))}
    visit = visit_one(crawler(server))
    assert (visit.outcome, visit.retryable) == ("failed", True)
    assert len(server.heads) == 1


def test_a_redirect_to_what_robots_txt_forbids_is_not_followed(crawler: MakeCrawler, server: WebServer) -> None:
    server.answers["/robots.txt"] = answer(body=b"User-agent: *\nDisallow: /private")
    server.answers["/a"] = answer("302 Found", location="/private/b")
    assert crawler(server).visit(f"{server.url}/a").code is IgnoredCode.DISALLOWED
    assert len(server.heads) == 2


@pytest.mark.parametrize(
    ("head", "headers", "code", "links"),
    [
        ('<meta name="robots" content="noindex">', {}, IgnoredCode.NOINDEX, 1),
        ('<meta name="ROBOTS" content="nofollow">', {}, None, 0),
        ('<meta name="indexmill" content="none">', {}, IgnoredCode.NOINDEX, 0),
        ('<meta name="otherbot" content="none">', {}, None, 1),
        ("", {"x_robots_tag": "noindex"}, IgnoredCode.NOINDEX, 1),
        ("", {"x_robots_tag": "indexmill: nofollow"}, None, 0),
        ("", {"x_robots_tag": "otherbot: noindex"}, None, 1),
    ],
)
def test_pages_say_what_may_be_done_with_them(
    *, crawler: MakeCrawler, server: WebServer, head: str, headers: dict[str, str], code: str | None, links: int
) -> None:
    server.answers["/a"] = html(page("A", "a", links=["/b"], head=head), **headers)
    visit = crawler(server).visit(f"{server.url}/a")
    assert (visit.code, len(visit.links)) == (code, links)
    assert (visit.outcome, bool(visit.text)) == (("ignored", False) if code else ("page", True))


def test_links_that_are_not_to_be_followed(crawler: MakeCrawler, server: WebServer) -> None:
    server.answers["/"] = html('<p>x <a href="/a" rel="nofollow">a</a> <a href="/b" rel="external">b</a>')
    assert visit_one(crawler(server)).links == (f"{server.url}/b",)


@pytest.mark.parametrize(
    ("canonical", "final"),
    [("/b?utm_source=x", "/b"), ("c", "/d/c"), ("", "/d/a"), ("http://other.example/", "/d/a"), ("http://[", "/d/a")],
)
def test_a_page_s_own_name_collapses_duplicates(
    crawler: MakeCrawler, server: WebServer, canonical: str, final: str
) -> None:
    server.answers["/d/a"] = html(page("A", "a", head=f'<link rel="canonical" href="{canonical}">'))
    visit = crawler(server).visit(f"{server.url}/d/a")
    assert (visit.outcome, visit.final_url) == ("page", server.url + final)


def test_links_are_relative_to_the_base_that_a_page_names(crawler: MakeCrawler, server: WebServer) -> None:
    server.answers["/a/b"] = html(page("A", "a", links=["c"], head='<base href="/x/">'))
    assert crawler(server).visit(f"{server.url}/a/b").links == (f"{server.url}/x/c",)


@pytest.mark.parametrize(
    ("encoding", "header", "declared"), [("koi8-r", "koi8-r", ""), ("koi8-r", "", "koi8-r"), ("utf-8", "koi8-r", "")]
)
def test_encodings(crawler: MakeCrawler, server: WebServer, encoding: str, header: str, declared: str) -> None:
    words = "Журавли летят на юг"
    head = f'<meta charset="{declared}">' if declared else ""
    charset = f"; charset={header}" if header else ""
    body = page("A", words, head=head).decode().encode(encoding)
    server.answers["/"] = html(body, f"text/html{charset}")
    assert words in visit_one(crawler(server)).text


def test_documents_are_handed_on_as_files(crawler: MakeCrawler, server: WebServer) -> None:
    for path, content_type in [
        ("/a.pdf", "application/pdf"),
        ("/get?id=1", "application/pdf"),
        ("/b.docx", "application/octet-stream"),
        ("/c.md", "text/markdown"),
        ("/d", "text/plain; charset=utf-8"),
    ]:
        server.answers[path] = answer(body=b"content", content_type=content_type)
        visit = crawler(server).visit(server.url + path)
        assert (visit.outcome, visit.size, visit.final_url) == ("file", 7, server.url + path)
        assert visit.revision == hashlib.sha256(b"content").hexdigest()
        assert visit.file is not None
        with visit.file as file:
            assert file.path.read_bytes() == b"content"
            assert (file.file_name, file.media_type) == (visit.title, content_type.partition(";")[0])


@pytest.mark.parametrize(
    "content_type", ["image/png", "video/mp4", "application/zip", "text/css", "application/rss+xml"]
)
def test_what_cannot_be_read_is_not_even_fetched(crawler: MakeCrawler, server: WebServer, content_type: str) -> None:
    server.answers["/a"] = server.drip(f"HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\n\r\n".encode())
    assert crawler(server).visit(f"{server.url}/a").code is IgnoredCode.UNSUPPORTED_TYPE


def test_a_file_that_asks_not_to_be_indexed(crawler: MakeCrawler, server: WebServer) -> None:
    server.answers["/a.pdf"] = answer(body=b"x", content_type="application/pdf", x_robots_tag="noindex")
    assert crawler(server).visit(f"{server.url}/a.pdf").code is IgnoredCode.NOINDEX


def test_content_without_a_type(crawler: MakeCrawler, server: WebServer) -> None:
    server.answers["/a"] = answer(body=page("A", "a"))
    server.answers["/b"] = answer(body=bytes(range(256)))
    server.answers["/c.txt"] = answer(body=b"x")
    crawl = crawler(server)
    visits = [crawl.visit(server.url + path) for path in ("/a", "/b", "/c.txt")]
    assert [visit.outcome for visit in visits] == ["page", "ignored", "file"]
    for visit in visits:
        if visit.file is not None:
            visit.file.remove()


def test_embedded_documents_are_followed_where_media_are_wanted(crawler: MakeCrawler, server: WebServer) -> None:
    server.answers["/"] = html('<p>x<img src="a.png"><embed src="b.pdf?v=1"><object data="/c.docx"></object>')
    assert visit_one(crawler(server)).links == ()
    links = visit_one(crawler(server, embed_media=True)).links
    assert links == (f"{server.url}/b.pdf?v=1", f"{server.url}/c.docx")


def test_pages_without_text(crawler: MakeCrawler, server: WebServer) -> None:
    server.answers["/a"] = html("<script>draw()</script>")
    server.answers["/b"] = html('<script>draw()</script><a href="/a"></a>')
    crawl = crawler(server, "/b")
    assert [crawl.visit(f"{server.url}/{name}").outcome for name in "ab"] == ["ignored", "ignored"]
    visit = visit_one(crawler(server, "/a"))
    assert (visit.outcome, visit.code) == ("failed", IgnoredCode.NO_CONTENT)


def test_slow_pages_end(crawler: MakeCrawler, server: WebServer) -> None:
    server.answers["/"] = server.drip(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n")
    visit = visit_one(crawler(server, crawl={"timeout_seconds": 0.5}))
    assert (visit.outcome, visit.code, visit.retryable) == ("failed", FailureCode.SOURCE_UNAVAILABLE, True)
    assert "crawl.timeout_seconds" in (visit.sentence or "")


@pytest.mark.parametrize("announced", [True, False])
def test_huge_pages_are_not_read(crawler: MakeCrawler, server: WebServer, tmp_path: Path, announced: bool) -> None:
    length = b"content-length: 999999999\r\n" if announced else b""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n" + length + b"\r\n"
    server.answers["/"] = server.drip(head + (b"" if announced else bytes(3000)))
    visit = visit_one(crawler(server, crawl={"max_page_bytes": 2000}))
    assert (visit.outcome, visit.code, visit.retryable) == ("failed", FailureCode.TOO_LARGE, False)
    assert "crawl.max_page_bytes" in (visit.sentence or "")
    assert list(tmp_path.rglob("*.part")) == []


def test_bombs_are_not_unpacked(crawler: MakeCrawler, server: WebServer) -> None:
    bomb = zlib.compress(b"a" * 50_000_000)
    server.answers["/"] = html(bomb, content_encoding="deflate")
    assert visit_one(crawler(server)).code is FailureCode.TOO_LARGE


def test_the_caller_can_end_avisit_one(crawler: MakeCrawler, server: WebServer, tmp_path: Path) -> None:
    server.answers["/"] = html(page("A", "a"))

    def check() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crawler(server).visit(f"{server.url}/", check=check)
    assert list((tmp_path / "fetched").iterdir()) == []


def test_pauses_are_told_and_kept(crawler: MakeCrawler, server: WebServer) -> None:
    server.answers |= {
        "/": html(page("A", "a")),
        "/moved": answer("302 Found", location="/"),
        "/robots.txt": answer(body=b"User-agent: *\nCrawl-delay: 60"),
    }
    crawl = crawler(server)
    url = f"{server.url}/"
    assert crawl.wait(url, 0)
    crawl.visit(url)
    # Where the process that reads pages has to be started for this one, some are over.
    assert 10 < crawl.seconds_until(url) <= 30
    assert not crawl.wait(url, 2)
    # A redirect is not followed before its time either.
    visit = crawl.visit(f"{server.url}/moved")
    assert (visit.outcome, visit.links) == ("redirect", (url,))
    assert [head.split(" ")[1] for head in server.heads] == ["/robots.txt", "/", "/moved"]
