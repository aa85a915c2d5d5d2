"""Sitemaps: XML files and indexes of them, plain lists, gzip; what is damaged gives what came before the damage."""

from __future__ import annotations

import codecs
import itertools
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from xml.parsers import expat

__all__ = ["MAX_SITEMAP_BYTES", "MAX_SITEMAP_URLS", "Sitemap", "read_sitemap"]

#: The limits of the protocol, for what is unpacked.
MAX_SITEMAP_BYTES: Final = 50 * 1024 * 1024
MAX_SITEMAP_URLS: Final = 50_000
_GZIP: Final = b"\x1f\x8b"
_AT_ONCE: Final = 65_536
_MAX_LOC: Final = 8192
_MAX_DEPTH: Final = 50
_WHITE: Final = b" \t\r\n"
_XML: Final = (b"<", codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LIST_ENTRY: Final = re.compile(r"https?://\S+", re.IGNORECASE)


@dataclass(frozen=True)
class Sitemap:
    """`pages` and `sitemaps` as they are written. `is_complete`: everything was read, and it was a sitemap."""

    pages: tuple[str, ...] = ()
    sitemaps: tuple[str, ...] = ()
    is_complete: bool = True


def read_sitemap(
    chunks: Iterable[bytes], max_urls: int = MAX_SITEMAP_URLS, max_bytes: int = MAX_SITEMAP_BYTES
) -> Sitemap:
    """Whatever the bytes are; no entity is expanded, nothing else is fetched. Raises what `chunks` raises."""
    reader: _Xml | _List | None = None
    is_complete = False
    head = b""
    try:
        for piece in _bounded(_unpacked(chunks), max_bytes):
            if reader is not None:
                reader.feed(piece)
                continue
            head = (head + piece).lstrip(_WHITE)
            if len(head) > len(codecs.BOM_UTF8):
                reader = _Xml(max_urls) if head.removeprefix(codecs.BOM_UTF8).startswith(_XML) else _List(max_urls)
                reader.feed(head)
        if reader is not None:
            reader.close()
            is_complete = reader.is_sitemap
    except _Stop:
        pass
    if reader is None:
        return Sitemap(is_complete=False)
    return Sitemap(tuple(dict.fromkeys(reader.pages)), tuple(dict.fromkeys(reader.sitemaps)), is_complete)


class _Stop(Exception):
    """What comes next cannot be read, or is too much."""


class _List:
    """A URL a line."""

    def __init__(self, max_urls: int) -> None:
        self._max_urls = max_urls
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._rest = ""
        self.pages: list[str] = []
        self.sitemaps: list[str] = []

    @property
    def is_sitemap(self) -> bool:
        return bool(self.pages)

    def feed(self, data: bytes) -> None:
        *lines, rest = (self._rest + self._decoder.decode(data)).split("\n")
        self._take(lines)
        # A line that never ends is none of a sitemap.
        if len(rest) > _MAX_LOC:
            raise _Stop
        self._rest = rest

    def close(self) -> None:
        self._take([self._rest])

    def _take(self, lines: list[str]) -> None:
        for line in lines:
            if _LIST_ENTRY.fullmatch(line.strip()):
                if len(self.pages) == self._max_urls:
                    raise _Stop
                self.pages.append(line.strip())


class _Xml:
    """`<urlset><url><loc>` and `<sitemapindex><sitemap><loc>`, in any namespace."""

    def __init__(self, max_urls: int) -> None:
        self._max_urls = max_urls
        self._path: list[str] = []
        self._loc: str | None = None
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        # Before anything could be expanded. No sitemap has any.
        self._parser.EntityDeclHandler = self._entity
        self.is_sitemap = False
        self.pages: list[str] = []
        self.sitemaps: list[str] = []

    def feed(self, data: bytes) -> None:
        self._parse(data, False)

    def close(self) -> None:
        self._parse(b"", True)

    def _parse(self, data: bytes, is_final: bool) -> None:
        try:
            self._parser.Parse(data, is_final)
        except (expat.ExpatError, LookupError, ValueError) as error:
            raise _Stop from error

    def _start(self, name: str, attributes: object) -> None:
        local = name.rpartition(":")[2].lower()
        if not self._path:
            self.is_sitemap = local in {"urlset", "sitemapindex"}
        if len(self._path) == _MAX_DEPTH:
            raise _Stop
        self._path.append(local)
        if self._path[1:] in (["url", "loc"], ["sitemap", "loc"]):
            self._loc = ""

    def _end(self, name: str) -> None:
        if self._loc is not None:
            self._take(self._loc.strip())
            self._loc = None
        self._path.pop()

    def _characters(self, data: str) -> None:
        if self._loc is not None and len(self._loc) <= _MAX_LOC:
            self._loc += data

    def _take(self, url: str) -> None:
        if not url or len(url) > _MAX_LOC:
            return
        if len(self.pages) + len(self.sitemaps) == self._max_urls:
            raise _Stop
        (self.pages if self._path[1] == "url" else self.sitemaps).append(url)

    def _entity(self, *declaration: object) -> None:
        raise _Stop


def _unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Of a gzip file its content, of everything else itself; in small pieces."""
    source = iter(chunks)
    head = b""
    while len(head) < len(_GZIP) and (chunk := next(source, None)) is not None:
        head += chunk
    whole = itertools.chain([head], source)
    return _inflated(whole) if head.startswith(_GZIP) else _cut(whole)


def _cut(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield from (chunk[at : at + _AT_ONCE] for at in range(0, len(chunk), _AT_ONCE))


def _inflated(chunks: Iterable[bytes]) -> Iterator[bytes]:
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
    for chunk in chunks:
        data = chunk
        while data and not inflater.eof:
            try:
                yield inflater.decompress(data, _AT_ONCE)
            except zlib.error as error:
                raise _Stop from error
            data = inflater.unconsumed_tail
    if not inflater.eof:
        raise _Stop


def _bounded(pieces: Iterable[bytes], limit: int) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > limit:
            raise _Stop
        yield piece
