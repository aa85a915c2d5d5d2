"""robots.txt as RFC 9309 has it, and what pages say of themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.sources.robots import MAX_ROBOTS_BYTES, PageDirectives, page_directives, parse_robots

SITE = "https://example.com"


def _allows(robots: str, path: str) -> bool:
    return parse_robots(robots.encode(), "indexmill").allows(f"{SITE}{path}")


@pytest.mark.parametrize(
    ("rules", "allowed", "disallowed"),
    [
        ("Disallow: /", ["/robots.txt"], ["/", "/a"]),
        ("Disallow:", ["/", "/a"], []),
        ("Disallow: /fish", ["/Fish", "/a/fish"], ["/fish", "/fish.html", "/fish/a", "/fish?a"]),
        ("Disallow: /fish/", ["/fish", "/fish.html"], ["/fish/", "/fish/a"]),
        ("Disallow: /*.php", ["/", "/windows.PHP"], ["/index.php", "/a/b.php?c", "/a.php.b"]),
        ("Disallow: /*.php$", ["/a.php?b", "/a.php/", "/a.php5"], ["/a.php", "/b/a.php", "/a.php.php"]),
        ("Disallow: /fish*.php", ["/Fish.PHP"], ["/fish.php", "/fishheads/catfish.php?parameters"]),
        ("Disallow: /$", ["/a"], ["/"]),
        ("Disallow: /*?*a=1", ["/?b=1"], ["/?a=1", "/x?b=2&a=1"]),
        ("Disallow: /\nAllow: /p", ["/page"], ["/a"]),
        ("Disallow: /folder\nAllow: /folder", ["/folder/page"], []),
        ("Allow: /a\nDisallow: /*.htm", ["/a"], ["/page.htm", "/a.htm"]),
        ("Disallow: /%7ejoe/ü", ["/~jo"], ["/~joe/%C3%BC"]),
        ("Disallow: private", ["/a"], ["/private"]),
        ("disALLOW : /a # a comment", ["/b"], ["/a"]),
    ],
)
def test_rules(rules: str, allowed: list[str], disallowed: list[str]) -> None:
    for ends in ("\n", "\r\n", "\r"):
        robots = f"\ufeffUser-Agent: *\n{rules}".replace("\n", ends)
        assert [path for path in allowed if not _allows(robots, path)] == []
        assert [path for path in disallowed if _allows(robots, path)] == []


@pytest.mark.parametrize(
    ("robots", "allows"),
    [
        ("User-agent: *\nDisallow: /\nUser-agent: IndexMill\nDisallow: /b", True),
        ("User-agent: indexmill/2.0\nDisallow: /a\nUser-agent: *\nAllow: /", False),
        ("User-agent: other\nUser-agent: indexmill\nDisallow: /a", False),
        ("User-agent: indexmill\nDisallow: /b\n\nUser-agent: indexmill\nDisallow: /a", False),
        ("User-agent: indexmillion\nDisallow: /a", True),
        ("User-agent: index\nDisallow: /a", True),
        ("User-agent: other\nDisallow: /a", True),
        ("User-agent: indexmill\nUser-agent: other\n\nUser-agent: *\nDisallow: /a", False),
        ("User-agent: indexmill\nCrawl-delay: 1\nUser-agent: *\nDisallow: /a", True),
        ("User-agent: *\nSitemap: /s\nDisallow: /a", False),
        ("Disallow: /a", True),
        ("<html><body>Not found: /a</body></html>", True),
        ("", True),
    ],
)
def test_groups(robots: str, allows: bool) -> None:
    assert _allows(robots, "/a") is allows


def test_delays_and_sitemaps() -> None:
    robots = b"Sitemap: https://example.com/a.xml\nUser-agent: *\nCrawl-delay: 2.5\nCrawl-delay: 9\nSITEMAP: b.xml\n"
    found = parse_robots(robots, "indexmill")
    assert (found.crawl_delay, found.sitemaps) == (2.5, ("https://example.com/a.xml", "b.xml"))
    for delay in ("-1", "nan", "inf", "1e9", "soon"):
        assert parse_robots(f"User-agent: *\nCrawl-delay: {delay}".encode(), "indexmill").crawl_delay is None


def test_what_is_behind_the_limit_does_not_count() -> None:
    head = b"User-agent: *\nDisallow: /a\n"
    found = parse_robots(head.ljust(MAX_ROBOTS_BYTES, b"#") + b"\nDisallow: /b", "indexmill")
    assert (found.allows(f"{SITE}/a"), found.allows(f"{SITE}/b")) == (False, True)


@pytest.mark.timeout(30)
def test_a_site_cannot_choose_how_long_matching_takes() -> None:
    """With backtracking this ends in years."""
    rules = parse_robots(b"User-agent: *\nDisallow: /" + b"a*" * 500 + b"b$", "indexmill")
    assert rules.allows(f"{SITE}/{'a' * 2000}")


@given(st.binary(max_size=200), st.text("/ab?", max_size=5))
def test_no_file_is_an_error(content: bytes, path: str) -> None:
    parse_robots(b"User-agent: *\nDisallow: " + content, "indexmill").allows(f"{SITE}/{path}")


@pytest.mark.parametrize(
    ("headers", "metas", "found"),
    [
        ([], [], (False, False)),
        (["noindex"], [], (True, False)),
        (["NoFollow, NoArchive"], [], (False, True)),
        (["none"], [], (True, True)),
        (["otherbot: noindex"], [], (False, False)),
        (["IndexMill: noindex"], [], (True, False)),
        (["noindex, max-snippet: 5"], [], (True, False)),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST", "nofollow"], [], (False, True)),
        ([], [("robots", "NOINDEX,follow")], (True, False)),
        ([], [("indexmill", "nofollow")], (False, True)),
        ([], [("description", "noindex"), ("otherbot", "none")], (False, False)),
    ],
)
def test_what_pages_say(headers: list[str], metas: list[tuple[str, str]], found: tuple[bool, bool]) -> None:
    assert page_directives(headers, metas, "Indexmill") == PageDirectives(*found)
