"""Searching for chunks: the nearest ones of any documents, with their neighbours and their places."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from indexmill.errors import InvalidRequest
from indexmill.ledger.collections import Collection
from indexmill.ledger.database import Connection, Row
from indexmill.vectors.chunk_tables import chunk_table
from indexmill.vectors.filter_to_sql import FilterSql
from indexmill.vectors.filtered import resolve_filter
from indexmill.vectors.index_search import IndexSearch, candidates_for, found
from indexmill.vectors.long_texts import LONG_TEXT_BYTES, Span, read_stretches
from indexmill.vectors.selection import Selection
from indexmill.vectors.statements import run_statement, search_timeout, statement
from indexmill.vectors.stored_documents import StoredDocument, stored_document

__all__ = ["ChunkHit", "ChunkQuery", "find_chunks"]

#: A score is summed up from numbers of single precision: a text's own score is not quite 1.
_SCORE_TOLERANCE = 1e-6
#: Of one answer's texts: chunks that are whole documents may be as large as these.
_MAX_CHARACTERS = 100_000_000


@dataclass(frozen=True)
class ChunkQuery:
    """`min_score`: those below it are no hits. `expand`: neighbours on each side whose texts come along."""

    vector: list[float]
    limit: int
    selection: Selection
    min_score: float | None = None
    expand: int = 0


@dataclass(frozen=True, slots=True)
class ChunkHit:
    """A found chunk: the `ordinal`-th of its document, from `start` to `end` in characters of the document's text.

    `score`: cosine similarity. `previous_texts`, `next_texts`: its neighbours in the document's order. `page`: where it
    begins; `headings`: those that it is under there, the highest first; None and empty where the document has none.
    """

    document: StoredDocument
    ordinal: int
    start: int
    end: int
    score: float
    text: str
    previous_texts: list[str]
    next_texts: list[str]
    page: int | None
    headings: list[str]
    #: Of the part of its document that it lies in; None: the document has no parts.
    part_metadata: dict[str, Any] | None = None


def find_chunks(
    connection: Connection, collection: Collection, query: ChunkQuery, *, vector: str, seconds: float
) -> list[ChunkHit]:
    """The nearest chunks, best first, within a transaction that sees one moment.

    Exactly, or by the collection's index where it has one. `vector`: the query's, at unit length, as pgvector's text.

    Raises:
        InvalidRequest: the found chunks are too large to be answered together, or the filter does not fit the
            collection's attributes.
        SearchTimeout: it took too long.
    """
    deadline = time.monotonic() + seconds
    rows = _read_chunks(connection, collection, query, vector, seconds)
    size = sum(row["last_offset"] - row["first_offset"] for row in rows if row["stretch"] is None)
    if size > _MAX_CHARACTERS:
        raise InvalidRequest(
            f"limit: expected chunks of at most {_MAX_CHARACTERS} characters together, found {size}; "
            "ask for fewer, or use a collection that splits its documents"
        )
    for document, mine in _long_ones(rows).items():
        if time.monotonic() > deadline:
            raise search_timeout(seconds)
        stretches = read_stretches(connection, document, map(_span, mine))
        for row in mine:
            row["stretch"] = stretches[_span(row)]
    return [_hit(row) for row in rows]


def _read_chunks(
    connection: Connection, collection: Collection, query: ChunkQuery, vector: str, seconds: float
) -> list[Row]:
    """The nearest chunks with what belongs to them, but for stretches of long texts."""
    selection = query.selection
    table = sql.Identifier(chunk_table(collection))
    chosen = resolve_filter(connection, collection, selection)
    near = _near_chunks(connection, collection, query, vector, chosen)
    if near is not None:
        nearest: sql.Composable = sql.SQL(statement("found_chunks"))
        values: dict[str, Any] = found(near)
    else:
        nearest = _nearest(table, selection, chosen)
        values = {"collection": collection.id, "vector": vector, "limit": query.limit}
        values |= selection.values | chosen.values
        if selection.ids is None:
            # Chosen ids are few: their chunks are found by index.
            run_statement(connection, "begin_search", milliseconds=f"{max(1, round(seconds * 1000))}ms")
    return run_statement(
        connection,
        "search_chunks",
        parts={"table": table, "nearest": nearest},
        prepare=False,
        expand=query.expand,
        max_distance=None if query.min_score is None else _SCORE_TOLERANCE - query.min_score,
        long_text=LONG_TEXT_BYTES,
        **values,
    )


def _nearest(table: sql.Identifier, selection: Selection, chosen: FilterSql) -> Any:
    """The query of the nearest chunks that are selected."""
    if selection.is_all:
        return statement("nearest_chunks", table=table)
    part = sql.Identifier("c", "part")
    if selection.ids is None and not selection.equal and not chosen.uses_document:
        joins = chosen.joins(sql.Identifier("c", "document"), part)
        return statement("nearest_chunks_filtered", table=table, joins=joins, condition=chosen.condition)
    joins = chosen.joins(sql.Identifier("d", "key"), part)
    return statement("nearest_chunks_selected", table=table, joins=joins, condition=chosen.condition)


def _near_chunks(
    connection: Connection, collection: Collection, query: ChunkQuery, vector: str, chosen: FilterSql
) -> list[Row] | None:
    """By the collection's index; None where it has none, or did not find as many as are wanted."""
    if collection.ef_search is None or query.selection.ids is not None:
        return None
    index = IndexSearch(connection, chunk_table(collection), collection.deployment.dimension, collection.ef_search)
    rows = index.near(vector, candidates_for(query.limit), query.selection, collection.id, chosen)
    return rows[: query.limit] if len(rows) >= query.limit else None


def _long_ones(rows: list[Row]) -> dict[int, list[Row]]:
    """The hits in long texts, by document; their stretches have not come along."""
    found: dict[int, list[Row]] = {}
    for row in rows:
        if row["stretch"] is None:
            found.setdefault(row["key"], []).append(row)
    return found


def _span(row: Row) -> Span:
    return row["first_offset"], row["last_offset"]


def _hit(row: Row) -> ChunkHit:
    first: int = row["first_offset"]
    stretch: str = row["stretch"]
    texts = [stretch[start - first : end - first] for start, end in zip(row["starts"], row["ends"], strict=True)]
    place = row["ordinals"].index(row["ordinal"])
    return ChunkHit(
        document=stored_document(row),
        ordinal=row["ordinal"],
        start=row["start_offset"],
        end=row["end_offset"],
        score=float(row["score"]),
        text=texts[place],
        previous_texts=texts[:place],
        next_texts=texts[place + 1 :],
        page=row["page"],
        headings=row["headings"] or [],
        part_metadata=row["part_metadata"],
    )
