"""Reading documents as they are stored: what is known of them, and their texts, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql

from indexmill.domain.document import StoredPart, parts_from_json
from indexmill.domain.filter_attributes import AttributeLevel
from indexmill.errors import InvalidRequest
from indexmill.ledger.collections import Collection
from indexmill.ledger.database import Connection, Database, Row
from indexmill.vectors.filtered import read_filtered, resolve_filter
from indexmill.vectors.selection import Selection, can_be_id
from indexmill.vectors.statements import read_within, run_statement

__all__ = [
    "MAX_PAGE",
    "DocumentContent",
    "PageQuery",
    "StoredDocument",
    "read_contents",
    "read_documents",
    "stored_document",
]

MAX_PAGE = 1000
#: Of payloads and texts that a page holds together; one document may have more alone.
_PAGE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A living document without its text. `payload`, `item_info`: as they were sent; of a file, what it was."""

    id: str
    payload: dict[str, Any] | None
    item_info: dict[str, Any] | None
    chunks: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class DocumentContent:
    """`structure`: where its pages and headings begin, as far as its file says.

    {"pages": [[start, number]], "headings": [[start, level, title]]}, in characters of the text.
    """

    id: str
    text: str
    structure: dict[str, Any] | None
    #: Its parts, in order, with their metadata; empty where it was not given in parts.
    parts: tuple[StoredPart, ...] = ()


@dataclass(frozen=True)
class PageQuery:
    """The `limit` documents of the selection that follow `after`, by id."""

    selection: Selection
    limit: int
    after: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_PAGE:
            raise InvalidRequest(f"limit: expected 1 to {MAX_PAGE}, got {self.limit}")
        if self.after is not None and not can_be_id(self.after):
            raise InvalidRequest("after: expected the id of a document, got characters that no id has")


def read_documents(
    database: Database, collection: Collection, query: PageQuery, *, seconds: float
) -> list[StoredDocument]:
    rows = _page(database, "documents", collection, query, seconds=seconds)
    return [stored_document(row) for row in rows]


def read_contents(
    database: Database, collection: Collection, query: PageQuery, *, seconds: float
) -> list[DocumentContent]:
    rows = _page(database, "contents", collection, query, seconds=seconds)
    return [
        DocumentContent(row["id"], row["text"] or "", row["structure"], parts_from_json(row["parts"])) for row in rows
    ]


def stored_document(row: Row) -> StoredDocument:
    return StoredDocument(row["id"], row["payload"], row["item_info"], row["chunks"], row["updated_at"])


def _page(database: Database, name: str, collection: Collection, query: PageQuery, *, seconds: float) -> list[Row]:
    selection = query.selection

    def read(connection: Connection) -> list[Row]:
        found = resolve_filter(connection, collection, selection, level=AttributeLevel.DOCUMENT)
        return run_statement(
            connection,
            name,
            parts={"joins": found.joins(sql.Identifier("d", "key")), "condition": found.condition},
            prepare=False,
            collection=collection.id,
            after=query.after,
            limit=query.limit,
            max_bytes=_PAGE_BYTES,
            **selection.values,
            **found.values,
        )

    if selection.filter is None:
        return read_within(database, seconds, "begin_read", read)
    # It may look through the narrow table of its attributes.
    return read_filtered(database, seconds, "begin_search", read)
