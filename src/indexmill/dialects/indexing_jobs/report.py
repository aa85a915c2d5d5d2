"""A job's report as CSV (RFC 4180, UTF-8): a row a file, streamed; no cell is a formula to a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from typing import Final

from indexmill.domain.knowledge_base import ReportRow
from indexmill.http.service import Door

__all__ = ["COLUMNS", "csv_pieces", "csv_text", "next_rows"]

COLUMNS: Final = ("data_source_uuid", "file", "status", "chunks", "tokens", "bytes", "error_code", "error")
#: With one of these a spreadsheet begins a formula, also after blanks that it drops.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_ROWS: Final = 1000


def csv_text(rows: Iterable[ReportRow], *, header: bool = False) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    if header:
        writer.writerow(COLUMNS)
    writer.writerows(_cells(row) for row in rows)
    return text.getvalue()


async def csv_pieces(door: Door, rows: Iterator[ReportRow], first: list[ReportRow]) -> AsyncIterator[bytes]:
    """`first`: the rows that were read before anything was answered, so that a fault could still be told."""
    yield csv_text(first, header=True).encode()
    while piece := await door.call(next_rows, rows):
        yield csv_text(piece).encode()


def next_rows(rows: Iterator[ReportRow]) -> list[ReportRow]:
    return list(islice(rows, _ROWS))


def _cells(row: ReportRow) -> tuple[str | int, ...]:
    named = (str(row.source), _harmless(row.key), row.status, row.chunks, row.tokens, row.bytes)
    return (*named, row.code or "", _harmless(row.sentence or ""))


def _harmless(text: str) -> str:
    """With an apostrophe before what a spreadsheet would compute."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text
