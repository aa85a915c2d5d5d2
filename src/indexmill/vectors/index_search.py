"""Searching by the HNSW index: which chunks are near, or that the index alone cannot tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import sql

from indexmill.ledger.database import Connection, Row
from indexmill.vectors.selection import Selection
from indexmill.vectors.statements import run_statement

__all__ = ["IndexSearch", "candidates_for", "found"]

_MAX_EF_SEARCH = 1000


def candidates_for(limit: int) -> int:
    """How many chunks the index is asked for: half precision may confuse the last ones."""
    return limit + max(10, limit // 5)


@dataclass(frozen=True)
class IndexSearch:
    """`ef_search`: what the index was found to need."""

    connection: Connection
    table: str
    dimension: int
    ef_search: int

    def near(self, vector: str, wanted: int, selection: Selection, collection: int) -> list[Row]:
        """The nearest chunks (document, ordinal, distance), best first: `wanted` of them or fewer."""
        if wanted < 1:
            return []
        run_statement(
            self.connection, "use_vector_index", ef_search=str(min(max(self.ef_search, wanted), _MAX_EF_SEARCH))
        )
        values: dict[str, Any] = {} if selection.is_all else {"collection": collection, **selection.values}
        rows = run_statement(
            self.connection,
            "near_chunks" if selection.is_all else "near_chunks_selected",
            parts={"table": sql.Identifier(self.table), "dimension": sql.Literal(self.dimension)},
            vector=vector,
            candidates=wanted,
            **values,
        )
        run_statement(self.connection, "leave_vector_index")
        return rows


def found(rows: list[Row]) -> dict[str, Any]:
    """Chunks as the queries bind them that read what belongs to them."""
    return {
        "documents": [row["document"] for row in rows],
        "ordinals": [row["ordinal"] for row in rows],
        "distances": [row["distance"] for row in rows],
    }
