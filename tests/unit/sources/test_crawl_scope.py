"""Canonical URLs and the scope of a crawl: what is the same has one form, and what is outside stays outside."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.errors import InvalidRequest
from indexmill.sources.crawl_scope import MAX_URL, CrawlOption, CrawlScope, canonical_link, canonical_url


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("HTTP://Example.COM", "http://example.com/"),
        ("https://example.com:443/a", "https://example.com/a"),
        ("http://example.com:443/a", "http://example.com:443/a"),
        ("http://example.com:80", "http://example.com/"),
        ("http://example.com./a", "http://example.com/a"),
        ("http://example.com/a#b?c", "http://example.com/a"),
        ("http://example.com/a/../b/./c/.", "http://example.com/b/c/"),
        ("http://example.com/../../a", "http://example.com/a"),
        ("http://example.com/%2e%2E/a/%2e%2e/b", "http://example.com/b"),
        ("http://example.com/%7euser/%c3%bc/%2f", "http://example.com/~user/%C3%BC/%2F"),
        ("http://example.com/ü b", "http://example.com/%C3%BC%20b"),
        ("http://example.com/100%", "http://example.com/100%25"),
        ("http://example.com/a?", "http://example.com/a"),
        ("http://example.com/a/?b", "http://example.com/a/?b"),
        ("http://example.com/?b=2&a=1&&", "http://example.com/?b=2&a=1"),
        ("http://example.com/?utm_source=x&q=1&UTM_Term=y&fbclid=z", "http://example.com/?q=1"),
        ("http://example.com/?%75tm_source=x", "http://example.com/"),
        ("http://example.com/?utmost=1", "http://example.com/?utmost=1"),
        ("http://ä.example/", "http://xn--4ca.example/"),
        ("http://[0:0::1]:80/", "http://[::1]/"),
        ("http://2130706433/", "http://127.0.0.1/"),
        ("  http://example.com/a\n/b ", "http://example.com/a/b"),
        ("http://example.com//a//b", "http://example.com//a//b"),
    ],
)
def test_the_canonical_form(written: str, canonical: str) -> None:
    assert canonical_url(written) == canonical


NO_URLS = ["", "/a", "ftp://example.com/", "javascript:alert(1)", "mailto:a@example.com", "data:,a", "file:///etc"]
NO_URLS += ["http://", "http:///a", "http://user:password@example.com/", "http://user@example.com/", "http://a b/"]
NO_URLS += ["http://example.com:0/", "http://example.com:99999/", "http://[::1/", "http://example.com\\@other.example/"]
NO_URLS += ["http://example.com/\x00", f"http://example.com/{'a' * MAX_URL}", f"http://example.com/{'ü' * 500}"]


@pytest.mark.parametrize("written", NO_URLS)
def test_what_is_no_url_of_a_crawl(written: str) -> None:
    with pytest.raises(InvalidRequest):
        canonical_url(written)


def test_a_url_may_have_as_many_characters_as_it_may() -> None:
    longest = "http://example.com/".ljust(MAX_URL, "a")
    assert canonical_url(longest) == longest


@pytest.mark.parametrize(
    ("href", "url"),
    [
        ("c", "http://example.com/a/c"),
        ("../c?d#e", "http://example.com/c?d"),
        ("?q=1", "http://example.com/a/b?q=1"),
        ("//other.example/c", "http://other.example/c"),
        ("https://example.com", "https://example.com/"),
        (" c\n", "http://example.com/a/c"),
        ("javascript:void(0)", None),
        ("tel:123", None),
        ("http://[", None),
        ("x" * 10_000, None),
    ],
)
def test_links_are_relative_to_their_page(href: str, url: str | None) -> None:
    assert canonical_link(href, "http://example.com/a/b") == url


_URLS = st.one_of(
    st.builds(
        "{}://{}{}/{}{}".format,
        st.sampled_from(["http", "HTTPS", "https"]),
        st.sampled_from(["example.com", "WWW.example.com", "a.example.com", "example.org", "127.1", "[::1]", "ü.de"]),
        st.sampled_from(["", ":80", ":443", ":8080"]),
        st.text("ab./%2eEfFü ;&=~\\?", max_size=20),
        st.sampled_from(["", "?", "?a", "?utm_a=b&c", "#f", "?%"]),
    ),
    st.text(max_size=40).map(lambda text: f"http://example.com/{text}"),
    st.text(max_size=40),
)


@given(_URLS)
def test_the_canonical_form_of_a_canonical_form_is_itself(written: str) -> None:
    try:
        canonical = canonical_url(written)
    except InvalidRequest:
        return
    assert canonical_url(canonical) == canonical
    assert canonical.isascii()
    assert len(canonical) <= MAX_URL
    assert "#" not in canonical
    assert not {".", ".."} & set(urlsplit(canonical).path.split("/"))


_SITE = "https://www.example.com/docs/index.html?v=1"


@pytest.mark.parametrize(
    ("option", "inside", "outside"),
    [
        (
            CrawlOption.SCOPED,
            [_SITE, "http://example.com/docs/index.html?v=1"],
            ["https://www.example.com/docs/index.html", "https://www.example.com/docs/a"],
        ),
        (
            CrawlOption.PATH,
            [_SITE, "http://example.com/docs/", "https://example.com/docs/a/b?c", "https://example.com/docs"],
            ["https://example.com/", "https://example.com/docsy", "https://a.example.com/docs/a"],
        ),
        (
            CrawlOption.DOMAIN,
            ["http://example.com/", "https://www.example.com/a"],
            ["https://a.example.com/", "https://example.org/", "https://example.com:8443/", "http://169.254.169.254/"],
        ),
        (
            CrawlOption.SUBDOMAINS,
            ["http://example.com/", "https://a.b.example.com/c"],
            ["https://notexample.com/", "https://com/", "https://example.com.evil.example/", "http://127.0.0.1/"],
        ),
        (
            CrawlOption.SITEMAP,
            ["http://example.com/", "https://a.b.example.com/c"],
            ["https://notexample.com/", "https://com/"],
        ),
    ],
)
def test_what_each_option_holds(option: CrawlOption, inside: list[str], outside: list[str]) -> None:
    scope = CrawlScope(_SITE, option)
    assert [url for url in inside if not scope.contains(canonical_url(url))] == []
    assert [url for url in outside if scope.contains(canonical_url(url))] == []


@pytest.mark.parametrize(
    ("base", "inside", "outside"),
    [
        ("http://h.example/docs", "http://h.example/docs/a", "http://h.example/docs2"),
        ("http://h.example/docs/", "http://h.example/docs", "http://h.example/doc"),
        ("http://h.example/v1.2", "http://h.example/v1.2/a", "http://h.example/v1.3"),
        ("http://h.example/a/b.php?c=1", "http://h.example/a/d", "http://h.example/e"),
        ("http://h.example", "http://h.example/a", "http://i.example/"),
        ("http://h.example/docs/", "http://h.example/docs/%2e/a", "http://h.example/docs/%2e%2e/a"),
    ],
)
def test_a_path_is_that_of_the_base_or_its_folder(base: str, inside: str, outside: str) -> None:
    scope = CrawlScope(base, CrawlOption.PATH)
    assert scope.contains(canonical_url(inside))
    assert not scope.contains(canonical_url(outside))


def test_the_base_url_is_known_by_each_of_its_names() -> None:
    scope = CrawlScope(_SITE, CrawlOption.DOMAIN)
    assert scope.is_base("http://example.com/docs/index.html?v=1")
    assert not scope.is_base("http://example.com/docs/index.html")


def test_an_address_has_no_subdomains() -> None:
    scope = CrawlScope("http://127.0.0.1:8000/", CrawlOption.SUBDOMAINS)
    assert not scope.contains("http://1.127.0.0.1:8000/")


@given(st.sampled_from(list(CrawlOption)), st.lists(_URLS | st.text("./ab?#", max_size=8), max_size=5))
def test_links_never_leave_the_scope(option: CrawlOption, hrefs: list[str]) -> None:
    links = CrawlScope("https://example.com/a/b/", option).links(hrefs, "https://example.com/a/b/c")
    assert len(set(links)) == len(links)
    for link in links:
        parts = urlsplit(link)
        host = (parts.hostname or "").removeprefix("www.")
        assert parts.scheme in {"http", "https"}
        assert parts.port is None
        if option in {CrawlOption.SUBDOMAINS, CrawlOption.SITEMAP}:
            assert f".{host}".endswith(".example.com")
        else:
            assert host == "example.com"
        if option in {CrawlOption.PATH, CrawlOption.SCOPED}:
            assert f"{parts.path}/".startswith("/a/b/")
