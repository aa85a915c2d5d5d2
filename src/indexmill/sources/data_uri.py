"""`data:` URIs (RFC 2397): the bytes are in the URI itself, base64 or percent-encoded."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

from indexmill.errors import InvalidRequest
from indexmill.settings import SourceSettings
from indexmill.sources.source import Check, FetchedSource, IncomingFile, clean_media_type, go_on

__all__ = ["DataUriSource"]

#: Characters taken at a time.
_SLICE: Final = 1 << 20
_WHITESPACE: Final = b" \t\r\n\f"
_BROKEN_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
#: What RFC 2397 says of a URI that names no type.
_DEFAULT_TYPE: Final = "text/plain"


class DataUriSource:
    """Nothing is contacted and nothing is read but the URI."""

    def __init__(self, settings: SourceSettings, folder: Path) -> None:
        self._max_bytes = settings.max_bytes
        self._folder = folder

    def check(self, uri: str) -> None:
        _, chunks = _parse(uri)
        for _ in chunks:
            pass

    def fetch(self, uri: str, check: Check = go_on) -> FetchedSource:
        media_type, chunks = _parse(uri)
        with IncomingFile(self._folder, self._max_bytes) as incoming:
            for chunk in chunks:
                check()
                incoming.write(chunk)
            return incoming.keep(None, media_type)


def _parse(uri: str) -> tuple[str | None, Iterator[bytes]]:
    start = uri.find(",")
    if start < 0:
        raise InvalidRequest("`data:` URI: expected data:[<media type>][;base64],<data>, got no comma")
    # No type has that many characters: the comma is one of the data, and the type is missing.
    if start > 1000:
        raise InvalidRequest("`data:` URI: expected a media type of at most 1,000 characters before the comma")
    described = uri[len("data:") : start]
    is_base64 = described.lower().replace(" ", "").endswith(";base64")
    media_type = clean_media_type(described) if described.partition(";")[0].strip() else _DEFAULT_TYPE
    slices = _slices(uri, start + 1)
    return media_type, _from_base64(slices) if is_base64 else map(_unquoted, slices)


def _slices(uri: str, start: int) -> Iterator[str]:
    """The data in pieces, none of which ends within a `%XX`."""
    while start < len(uri):
        end = min(start + _SLICE, len(uri))
        if end < len(uri):
            cut = uri.rfind("%", end - 2, end)
            end = cut if cut > start else end
        yield uri[start:end]
        start = end


def _unquoted(text: str) -> bytes:
    if _BROKEN_PERCENT.search(text):
        raise InvalidRequest("`data:` URI: expected two hexadecimal digits after each `%`")
    return unquote_to_bytes(text)


def _from_base64(slices: Iterator[str]) -> Iterator[bytes]:
    waiting = b""
    is_over = False
    for each in slices:
        data = waiting + _unquoted(each).translate(None, _WHITESPACE)
        whole = len(data) - len(data) % 4
        waiting = data[whole:]
        if is_over and data:
            raise _not_base64()
        is_over = data[:whole].endswith(b"=")
        yield _decode(data[:whole])
    if waiting:
        # Padding may be left out.
        yield _decode(waiting + b"=" * (-len(waiting) % 4))


def _decode(data: bytes) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise _not_base64() from error


def _not_base64() -> InvalidRequest:
    return InvalidRequest("`data:` URI: expected base64 after the comma, got other characters or too few of them")
