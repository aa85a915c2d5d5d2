"""Generations of a collection's chunks: a next one begun, switched to or given up, under the collection's lock."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from indexmill.ledger.database import Connection, Database, run_query

__all__ = ["Generations", "IndexCandidate"]

_PRUNED_CHANGES = 20_000


@dataclass(frozen=True)
class IndexCandidate:
    """A table of chunks that may want an index. `in_use`: searches read it; else a rebuild waits for it."""

    collection: int
    generation: int
    dimension: int
    in_use: bool


@dataclass(frozen=True)
class Generations:
    database: Database

    # Within a transaction that holds the collection

    def hold(self, connection: Connection, collection: int) -> None:
        """Wait for the commits that share the collection, and hold off new ones until the transaction ends.

        For a moment only: every window that writes to the collection waits.
        """
        run_query(connection, "hold_collection", collection=collection)

    def begin(self, connection: Connection, collection: int) -> int:
        """A generation with a number that was never used; from the commit on, changes are logged for it."""
        return int(run_query(connection, "begin_generation", collection=collection)[0]["next_generation"])

    def switch(
        self, connection: Connection, collection: int, generation: int, *, ef_search: int | None, recall: float | None
    ) -> bool:
        """The next generation takes the place of the one in use; False where it is not the next one any more.

        `ef_search`: what its HNSW index is to be searched with; None where it has none.
        """
        return bool(
            run_query(
                connection,
                "switch_generation",
                collection=collection,
                generation=generation,
                ef_search=ef_search,
                recall=recall,
            )
        )

    # By themselves

    def note_index(self, collection: int, generation: int, *, ef_search: int | None, recall: float) -> None:
        """The index of the generation in use has been measured; None: it misses too much, and is not used."""
        self.database.query(
            "note_index", collection=collection, generation=generation, ef_search=ef_search, recall=recall
        )

    def to_index(self, *, rows: int, row_bytes: int, inline_dimension: int) -> list[IndexCandidate]:
        """Those that a rebuild waits for come first; of the others only those whose tables are large enough.

        `rows`: so many have more than these bytes each, and the vector's where it has no more dimensions than that.
        """
        found = self.database.query(
            "generations_to_index", rows=rows, row_bytes=row_bytes, inline_dimension=inline_dimension
        )
        return [IndexCandidate(row["collection"], row["generation"], row["dimension"], row["in_use"]) for row in found]

    def give_up_abandoned(self) -> int:
        """End the logging for generations that no rebuild fills any more; how many."""
        given_up = 0
        for row in self.database.query("abandoned_generations"):
            given_up += self.database.repeat(partial(self._give_up, collection=row["id"]))
        self.database.query("prune_changes", limit=_PRUNED_CHANGES)
        return given_up

    def _give_up(self, connection: Connection, collection: int) -> int:
        run_query(connection, "guard_commit")
        self.hold(connection, collection)
        return len(run_query(connection, "abandon_generation", collection=collection))
