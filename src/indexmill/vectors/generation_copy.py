"""Begins the next generation of a collection's chunks, and fills it: page by page, then what has changed meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from psycopg import sql

from indexmill.ledger.collections import Collection
from indexmill.ledger.database import Connection
from indexmill.ledger.generations import Generations
from indexmill.vectors.chunk_tables import chunk_table, table_of
from indexmill.vectors.statements import run_statement
from indexmill.vectors.vector_store import VectorStore

__all__ = ["GenerationCopy", "begin_generation", "log_changes"]

#: Of one transaction. Chunks go into an index one by one, which takes a millisecond or two each.
_CHANGES = 500
_CHANGED_CHUNKS = 1000


def begin_generation(
    connection: Connection, generations: Generations, vectors: VectorStore, collection: Collection
) -> int:
    """An empty one, of a collection that is held: from the commit on, changes are logged for it; its number."""
    number = generations.begin(connection, collection.id)
    vectors.create_generation(connection, replace(collection, generation=number), collection.deployment.dimension)
    return number


def log_changes(connection: Connection, collection: Collection, documents: Sequence[int]) -> None:
    """Note in a commit whose chunks it changes, where a rebuild must know."""
    if collection.next_generation is not None and documents:
        run_statement(
            connection,
            "log_changes",
            collection=collection.id,
            generation=collection.next_generation,
            documents=list(documents),
        )


@dataclass(frozen=True)
class GenerationCopy:
    """From the generation in use to `generation`. Everything runs in the caller's transaction."""

    collection: Collection
    generation: int

    @property
    def table(self) -> str:
        return table_of(self.collection.id, self.generation)

    @property
    def _parts(self) -> dict[str, sql.Composable]:
        return {"table": sql.Identifier(chunk_table(self.collection)), "target": sql.Identifier(self.table)}

    def page(self, connection: Connection, after: int, chunks: int) -> tuple[int | None, int]:
        """Copy the documents that follow `after`, about so many chunks: the last one's key, and chunks copied.

        No key: there are no more. What was copied is not there yet.
        """
        run_statement(connection, "go_by_index")
        (row,) = run_statement(connection, "copy_chunks", parts=self._parts, after=after, limit=chunks)
        return row["last"], row["copied"]

    def catch_up(self, connection: Connection, up_to: int | None) -> int:
        """Copy some of what has changed again, the oldest first; how many changes and chunks that were together.

        `up_to`: documents beyond it have not been copied yet, and will be as they are then.
        """
        rows = run_statement(
            connection,
            "take_changes",
            collection=self.collection.id,
            generation=self.generation,
            limit=_CHANGES,
            chunks=_CHANGED_CHUNKS,
        )
        documents = sorted({row["document"] for row in rows if up_to is None or row["document"] <= up_to})
        if not documents:
            return len(rows)
        run_statement(connection, "go_by_index")
        run_statement(connection, "delete_copied_chunks", parts=self._parts, documents=documents)
        (copied,) = run_statement(connection, "copy_changed_chunks", parts=self._parts, documents=documents)
        return len(rows) + int(copied["copied"])

    def analyze(self, connection: Connection) -> None:
        """Tell the planner what the table holds, before searches ask."""
        run_statement(connection, "analyze_chunks", parts={"table": sql.Identifier(self.table)})
