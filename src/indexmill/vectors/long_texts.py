"""Stretches of long texts: read from the database once, in pieces, so that memory stays small."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from typing import TypeAlias

from indexmill.ledger.database import Connection
from indexmill.vectors.statements import stream_statement

__all__ = ["LONG_TEXT_BYTES", "Span", "cut_stretches", "read_stretches"]

#: From here on one pass over the text costs less than finding each stretch by itself.
LONG_TEXT_BYTES = 250_000
_PIECE_BYTES = 1_000_000

#: From and to, in characters of a text.
Span: TypeAlias = tuple[int, int]


def read_stretches(connection: Connection, document: int, spans: Iterable[Span]) -> dict[Span, str]:
    """These stretches of the document's text."""
    wanted = set(spans)
    end = max(end for _, end in wanted)
    pieces = stream_statement(connection, "long_text", key=document, end=end, size=_PIECE_BYTES)
    return cut_stretches((row["piece"] for row in pieces), wanted)


def cut_stretches(pieces: Iterable[bytes], spans: Iterable[Span]) -> dict[Span, str]:
    """The stretches of a text that comes in pieces of its UTF-8; a character may lie in two of them."""
    parts: dict[Span, list[str]] = {span: [] for span in spans}
    decoder = codecs.getincrementaldecoder("utf-8")()
    at = 0
    for piece in pieces:
        text = decoder.decode(piece)
        for (start, end), mine in parts.items():
            if start < at + len(text) and at < end:
                mine.append(text[max(0, start - at) : end - at])
        at += len(text)
    return {span: "".join(mine) for span, mine in parts.items()}
