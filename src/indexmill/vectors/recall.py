"""Measures an HNSW index: what it finds of the ten nearest chunks that exact search finds, by how long it looks."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from psycopg import sql

from indexmill.ledger.collections import Collection
from indexmill.ledger.database import Connection, Database
from indexmill.vectors.chunk_tables import table_of
from indexmill.vectors.index_search import IndexSearch, candidates_for
from indexmill.vectors.selection import Selection
from indexmill.vectors.statements import read_within, run_statement

__all__ = ["EF_LEVELS", "Recall", "measure"]

#: What `hnsw.ef_search` is tried with: more finds more and takes longer.
EF_LEVELS: Final = (100, 200, 400, 800)
_NEAREST: Final = 10
#: An exact search of very many chunks.
_SECONDS: Final = 30.0
#: Distances are sums of single precision: the same one comes out a little different.
_TOLERANCE: Final = 1e-6


@dataclass
class Recall:
    """`hits`: of the `expected` neighbours, how many were found, a number for each of `EF_LEVELS`."""

    queries: int = 0
    expected: int = 0
    hits: list[int] = field(default_factory=lambda: [0] * len(EF_LEVELS))

    def of_level(self, level: int) -> float:
        return self.hits[level] / self.expected if self.expected else 1.0

    def least_effort(self, min_recall: float) -> int | None:
        """The least of the levels that finds enough; None where none does."""
        return next((ef for level, ef in enumerate(EF_LEVELS) if self.of_level(level) >= min_recall), None)

    def at(self, ef_search: int) -> float:
        return self.of_level(EF_LEVELS.index(ef_search))

    @property
    def best(self) -> float:
        return max(map(self.of_level, range(len(EF_LEVELS))))

    def as_json(self) -> dict[str, Any]:
        return {"queries": self.queries, "expected": self.expected, "hits": self.hits}

    @classmethod
    def of_json(cls, stored: dict[str, Any]) -> Recall:
        return cls(stored["queries"], stored["expected"], list(stored["hits"]))


def measure(
    database: Database,
    collection: Collection,
    generation: int,
    recall: Recall,
    *,
    queries: int,
    may_go_on: Callable[[], bool],
) -> Recall:
    """Search for stored vectors, exactly and by the index, until so many have been or `may_go_on` says no.

    Raises:
        SearchTimeout: an exact search takes too long.
    """
    table = table_of(collection.id, generation)
    bounds = read_within(database, _SECONDS, "begin_read", lambda connection: [_bounds(connection, table)])[0]
    while bounds is not None and recall.queries < queries:
        # No secret: which vectors are taken is chance. Of one large document they are not all the same.
        document, share = random.randint(*bounds), random.random()  # noqa: S311
        ((expected, hits),) = read_within(
            database,
            _SECONDS,
            "begin_search",
            partial(_compare, collection=collection, table=table, document=document, share=share),
            is_snapshot=True,
        )
        recall.queries += 1
        recall.expected += expected
        recall.hits = [before + more for before, more in zip(recall.hits, hits, strict=True)]
        if not may_go_on():
            break
    return recall


def _bounds(connection: Connection, table: str) -> tuple[int, int] | None:
    row = run_statement(connection, "chunk_bounds", parts={"table": sql.Identifier(table)})[0]
    return None if row["first"] is None else (row["first"], row["last"])


def _compare(
    connection: Connection, collection: Collection, table: str, document: int, share: float
) -> list[tuple[int, list[int]]]:
    """How many neighbours there are, and how many of them each level finds."""
    parts: dict[str, sql.Composable] = {"table": sql.Identifier(table)}
    run_statement(connection, "go_by_index")
    samples = run_statement(connection, "sample_chunk", parts=parts, document=document, share=share)
    if not samples:
        return [(0, [0] * len(EF_LEVELS))]
    vector = samples[0]["vector"]
    run_statement(connection, "begin_search", milliseconds=f"{round(_SECONDS * 1000)}ms")
    exact = run_statement(connection, "nearest_chunks", parts=parts, vector=vector, limit=_NEAREST)
    farthest = exact[-1]["distance"] + _TOLERANCE
    hits: list[int] = []
    for ef_search in EF_LEVELS:
        search = IndexSearch(connection, table, collection.deployment.dimension, ef_search)
        near = search.near(vector, candidates_for(_NEAREST), Selection(), collection.id)
        # Equally near ones are as good.
        hits.append(sum(row["distance"] <= farthest for row in near[:_NEAREST]))
    return [(len(exact), hits)]
