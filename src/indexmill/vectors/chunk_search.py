"""Searching for chunks: the nearest ones of any documents, with their neighbours and their places."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from indexmill.ledger.collections import Collection
from indexmill.ledger.database import Connection, Database, Row
from indexmill.vectors.selection import Selection
from indexmill.vectors.statements import read_within, run_statement, statement
from indexmill.vectors.stored_documents import StoredDocument, stored_document

__all__ = ["ChunkHit", "ChunkQuery", "find_chunks"]

#: A score is summed up from numbers of single precision: a text's own score is not quite 1.
_SCORE_TOLERANCE = 1e-6


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


def find_chunks(
    database: Database, collection: Collection, query: ChunkQuery, *, vector: str, table: sql.Identifier, seconds: float
) -> list[ChunkHit]:
    """The nearest chunks, best first, by exact search. `vector`: the query's, at unit length, as pgvector's text.

    Raises:
        SearchTimeout: it took too long.
    """
    selection = query.selection
    nearest = statement("nearest_chunks" if selection.is_all else "nearest_chunks_selected", table=table)

    def find(connection: Connection) -> list[Row]:
        return run_statement(
            connection,
            "search_chunks",
            parts={"table": table, "nearest": nearest},
            prepare=False,
            collection=collection.id,
            vector=vector,
            limit=query.limit,
            expand=query.expand,
            max_distance=None if query.min_score is None else _SCORE_TOLERANCE - query.min_score,
            **selection.values,
        )

    # Chosen ids are few: their chunks are found by index.
    begin = "begin_search" if selection.ids is None else "begin_read"
    return [_hit(row) for row in read_within(database, seconds, begin, find)]


def _hit(row: Row) -> ChunkHit:
    first: int = row["first_offset"]
    stretch: str = row["stretch"] or ""
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
    )
