"""Collections: which model and splitting, which generation of chunks."""

from __future__ import annotations

from dataclasses import dataclass

from indexmill.domain.splitting import WHOLE
from indexmill.errors import CollectionNotFound, ServiceError
from indexmill.ledger.database import Connection, Database, Row, run_query
from indexmill.ledger.models import deployment_of
from indexmill.models.embedding_model import Deployment

__all__ = ["Collection", "CollectionSummary", "Collections", "lane_of"]

#: Of making one: somebody else's may be deleted between two statements.
_TRIES = 3


@dataclass(frozen=True)
class Collection:
    """`generation`: which table holds its chunks; `min_seq`: versions below it lose.

    `attribute_set`: the number of the filter attributes that filters see; `prepared_set`: of those that will follow.
    `next_generation`: the one that a rebuild fills: changes of chunks are logged for it. `ef_search`: what the HNSW
    index of its chunks is searched with; None: search is exact.
    """

    id: int
    name: str
    splitting: str
    generation: int
    min_seq: int
    deployment: Deployment
    attribute_set: int | None = None
    prepared_set: int | None = None
    next_generation: int | None = None
    ef_search: int | None = None
    is_deleted: bool = False

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
    """`index`: `exact` (none), `building` or `hnsw`; `index_progress`: 0 to 1 while one is built; `recall`: its own."""

    name: str
    model: str
    documents: int
    chunks: int
    generation: int
    #: As `domain.splitting` names it.
    splitting: str
    index: str = "exact"
    index_progress: float | None = None
    recall: float | None = None


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
        """The collection of this name, made if it is not there; True where it was made now.

        Raises:
            ServiceError: it goes as often as it is there.
        """
        for _ in range(_TRIES):
            opened = run_query(
                connection,
                "open_collection",
                tenant=tenant,
                name=name,
                model=deployment.id,
                splitting=splitting,
                lane=lane_of(tenant, deployment.id, splitting),
            )
            rows = run_query(connection, "find_collection", tenant=tenant, name=name)
            if rows:
                return _collection(rows[0]), bool(opened)
        raise ServiceError(f"Collection `{name}` was deleted again and again while it was looked for; try again")

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

    def still(self, number: int, name: str) -> Collection:
        """The collection that had this name a moment ago: another one may have it by now.

        Raises:
            CollectionNotFound: it has been deleted meanwhile.
        """
        found = self.by_id([number]).get(number)
        if found is None or found.is_deleted:
            raise CollectionNotFound(name, [])
        return found

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

    def settled(self, ids: list[int]) -> dict[int, int]:
        """Of each collection, a sequence number below which nothing can be written any more, now or ever.

        Where somebody is being given a number at this moment, nothing is known. It holds for whatever is read later.
        """
        settled = [row["id"] for row in self.database.query("settle_collections", ids=ids)]
        # Another statement, whose snapshot is newer: it sees all that was committed before the locks were had.
        found = self.database.query("oldest_open_seqs", ids=settled) if settled else []
        return {row["id"]: row["seq"] for row in found}

    def summaries(self, tenant: int) -> list[CollectionSummary]:
        rows = self.database.query("collection_summaries", tenant=tenant)
        return [_summary(row) for row in rows]


def _collection(row: Row) -> Collection:
    return Collection(
        id=row["collection"],
        name=row["name"],
        splitting=row["splitting"],
        generation=row["generation"],
        min_seq=row["min_seq"],
        deployment=deployment_of(row),
        attribute_set=row["attribute_set"],
        prepared_set=row["prepared_set"],
        next_generation=row["next_generation"],
        ef_search=row["ef_search"],
        is_deleted=row["is_deleted"],
    )


def _summary(row: Row) -> CollectionSummary:
    is_building = row["index_progress"] is not None
    return CollectionSummary(
        name=row["name"],
        model=row["model"],
        documents=row["documents"],
        chunks=row["chunks"],
        generation=row["generation"],
        splitting=row["splitting"],
        index="hnsw" if row["is_indexed"] else "building" if is_building else "exact",
        index_progress=round(row["index_progress"], 4) if is_building else None,
        recall=row["recall"],
    )
