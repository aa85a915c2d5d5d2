"""Searching by the HNSW index: which chunks are near, or that the index alone cannot tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import sql

from indexmill.ledger.database import Connection, Row
from indexmill.vectors.filter_to_sql import FilterSql
from indexmill.vectors.filtered import EVERYTHING
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

    def near(
        self, vector: str, wanted: int, selection: Selection, collection: int, chosen: FilterSql = EVERYTHING
    ) -> list[Row]:
        """The nearest chunks (document, ordinal, distance), best first: `wanted` of them or fewer."""
        if wanted < 1:
            return []
        run_statement(
            self.connection, "use_vector_index", ef_search=str(min(max(self.ef_search, wanted), _MAX_EF_SEARCH))
        )
        values: dict[str, Any] = {}
        if not selection.is_all:
            values = {"collection": collection, **selection.values, **chosen.values}
        parts: dict[str, sql.Composable] = {
            "table": sql.Identifier(self.table),
            "dimension": sql.Literal(self.dimension),
            "joins": chosen.joins(sql.Identifier("d", "key"), sql.Identifier("c", "part")),
            "condition": chosen.condition,
        }
        rows = run_statement(
            self.connection,
            "near_chunks" if selection.is_all else "near_chunks_selected",
            parts=parts,
            prepare=False,
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
