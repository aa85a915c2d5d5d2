"""Sitemaps: whole, packed, damaged and hostile ones."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.sources.sitemap import Sitemap, read_sitemap

NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def _urlset(*urls: str) -> bytes:
    return f"<urlset {NAMESPACE}>{''.join(f'<url><loc>{url}</loc></url>' for url in urls)}</urlset>".encode()


def _read(content: bytes, size: int = 7, **limits: int) -> Sitemap:
    return read_sitemap((content[at : at + size] for at in range(0, len(content), size)), **limits)


PAGES = ("https://example.com/", "https://example.com/b?c=1&d=2")
ESCAPED = tuple(url.replace("&", "&amp;") for url in PAGES)


@pytest.mark.parametrize(
    "content",
    [
        _urlset(*ESCAPED),
        b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8"?>\n' + _urlset(*ESCAPED),
        b"\n \n" + _urlset(*ESCAPED, ESCAPED[0]),
        ('<?xml version="1.0" encoding="UTF-16"?>' + _urlset(*ESCAPED).decode()).encode("utf-16"),
        _urlset(*ESCAPED).replace(b"<loc>", b"<lastmod>2030-01-01</lastmod><loc>\n "),
        _urlset(*ESCAPED).replace(b"</url>", b"<i:image xmlns:i='i'><i:loc>x</i:loc></i:image></url>"),
        b"<s:urlset xmlns:s='a'><s:url><s:loc><![CDATA[%b]]></s:loc></s:url><s:url><s:loc>%b</s:loc></s:url></s:urlset>"
        % (PAGES[0].encode(), ESCAPED[1].encode()),
        "\n".join(PAGES).encode(),
        "\ufeff{}\r\n\r\nnot a URL\r\n{}\r\n".format(*PAGES).encode(),
    ],
)
def test_sitemaps(content: bytes) -> None:
    for each in (content, gzip.compress(content)):
        for size in (1, 7, 1 << 20):
            assert _read(each, size) == Sitemap(PAGES)


def test_indexes() -> None:
    content = f"<sitemapindex {NAMESPACE}><sitemap><loc>https://example.com/1.xml.gz</loc></sitemap></sitemapindex>"
    assert _read(content.encode()) == Sitemap(sitemaps=("https://example.com/1.xml.gz",))


@pytest.mark.parametrize(
    "content",
    [
        _urlset(*ESCAPED)[:-9] + b"<<",
        _urlset(*ESCAPED)[:-9],
        _urlset(*ESCAPED).replace(b"</urlset>", b"<url><loc>&undefined;</loc></url></urlset>"),
        _urlset(*ESCAPED) + b"<more/>",
        gzip.compress(_urlset(*ESCAPED), mtime=0)[:-9],
        gzip.compress(_urlset(*ESCAPED) + b"  ", mtime=0)[:-4] + b"\xff\xff\xff\xff",
    ],
)
def test_damaged_ones_give_what_they_can(content: bytes) -> None:
    found = _read(content)
    assert not found.is_complete
    assert found.pages == PAGES


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"  ",
        b"<",
        b"<html><body>Not found</body></html>",
        b"Not found",
        gzip.compress(b"", mtime=0),
        b"\x1f\x8bx",
        bytes(100),
    ],
)
def test_what_is_no_sitemap(content: bytes) -> None:
    assert _read(content) == Sitemap(is_complete=False)


def test_entities_are_not_expanded() -> None:
    bomb = (
        '<!DOCTYPE u [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>' + _urlset("https://example.com/&b;").decode()
    )
    assert _read(bomb.encode()) == Sitemap(is_complete=False)
    outside = '<!DOCTYPE u [<!ENTITY a SYSTEM "file:///etc/hostname">]>' + _urlset("https://example.com/&a;").decode()
    assert _read(outside.encode()) == Sitemap(is_complete=False)


def test_limits() -> None:
    many = _urlset(*(f"https://example.com/{number}" for number in range(20)))
    assert len(_read(many, max_urls=10).pages) == 10
    assert _read(many, max_urls=20).is_complete
    listed = "\n".join(f"https://example.com/{number}" for number in range(20)).encode()
    assert len(_read(listed, max_urls=10).pages) == 10
    assert not _read(many, max_bytes=100).is_complete
    assert _read(_urlset("https://example.com/" + "a" * 100_000)).pages == ()
    assert not _read(b"<a>" * 1000).is_complete


def test_a_bomb_is_not_unpacked() -> None:
    packed = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    taken = 0

    def bomb() -> Iterator[bytes]:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield packed.compress(b" " * 1_000_000)

    assert not read_sitemap(bomb(), max_bytes=2_000_000).is_complete
    assert taken < 10


@given(st.binary(max_size=300))
def test_no_bytes_are_an_error(content: bytes) -> None:
    _read(content)
    _read(b"<urlset><url><loc>" + content)
    _read(gzip.compress(content))
