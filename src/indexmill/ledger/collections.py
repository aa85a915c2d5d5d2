"""Collections: which model and splitting, which generation of chunks."""

from __future__ import annotations

from dataclasses import dataclass

from indexmill.domain.splitting import WHOLE
from indexmill.errors import CollectionNotFound
from indexmill.ledger.database import Connection, Database, Row, run_query
from indexmill.ledger.models import deployment_of
from indexmill.models.embedding_model import Deployment

__all__ = ["Collection", "CollectionSummary", "Collections", "lane_of"]


@dataclass(frozen=True)
class Collection:
    """`generation`: which table holds its chunks; `min_seq`: versions below it lose."""

    id: int
    name: str
    splitting: str
    generation: int
    min_seq: int
    deployment: Deployment

    @property
    def recipe(self) -> str:
        """What, with the text, decides a document's vectors."""
        return self.recipe_with(None)

    def recipe_with(self, splitting: str | None) -> str:
        """The recipe of documents with a splitting of their own; None: with the collection's."""
        return f"{self.deployment.recipe}/{splitting or self.splitting}"


def lane_of(tenant: int, model: str, splitting: str = WHOLE) -> str:
    """The lane in which upserts run that become vectors in this way."""
    return f"{tenant}/{model}/{splitting}"


@dataclass(frozen=True)
class CollectionSummary:
    name: str
    model: str
    documents: int
    chunks: int
    generation: int
    #: As `domain.splitting` names it.
    splitting: str


@dataclass(frozen=True)
class Collections:
    database: Database

    def open(
        self,
        connection: Connection,
        name: str,
        deployment: Deployment,
        *,
        tenant: int,
        splitting: str = WHOLE,
    ) -> tuple[Collection, bool]:
        """The collection of this name, made if it is not there; True where it was made now."""
        opened = run_query(
            connection,
            "open_collection",
            tenant=tenant,
            name=name,
            model=deployment.id,
            splitting=splitting,
            lane=lane_of(tenant, deployment.id, splitting),
        )
        return _collection(run_query(connection, "find_collection", tenant=tenant, name=name)[0]), bool(opened)

    def get(self, name: str, tenant: int) -> Collection:
        """Raises: CollectionNotFound, naming those that are there."""
        found = self.find(name, tenant)
        if found is None:
            known = self.database.query("collection_names", tenant=tenant)
            raise CollectionNotFound(name, [row["name"] for row in known])
        return found

    def find(self, name: str, tenant: int) -> Collection | None:
        """The collection of this name, if there is one."""
        rows = [] if "\0" in name else self.database.query("find_collection", tenant=tenant, name=name)
        return _collection(rows[0]) if rows else None

    def has_any(self, tenant: int) -> bool:
        return bool(self.database.query("collection_names", tenant=tenant))

    def by_id(self, ids: list[int]) -> dict[int, Collection]:
        with self.database.connection() as connection:
            return self.read(connection, ids)

    def read(self, connection: Connection, ids: list[int]) -> dict[int, Collection]:
        rows = run_query(connection, "read_collections", ids=ids)
        return {row["collection"]: _collection(row) for row in rows}

    def share(self, connection: Connection, collection: int) -> None:
        """Hold off whoever wants to flip or reset this collection until the transaction ends."""
        run_query(connection, "share_collection", collection=collection)

    def summaries(self, tenant: int) -> list[CollectionSummary]:
        rows = self.database.query("collection_summaries", tenant=tenant)
        return [
            CollectionSummary(
                row["name"], row["model"], row["documents"], row["chunks"], row["generation"], row["splitting"]
            )
            for row in rows
        ]


def _collection(row: Row) -> Collection:
    return Collection(
        id=row["collection"],
        name=row["name"],
        splitting=row["splitting"],
        generation=row["generation"],
        min_seq=row["min_seq"],
        deployment=deployment_of(row),
    )
