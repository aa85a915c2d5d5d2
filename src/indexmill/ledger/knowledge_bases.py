"""Knowledge bases and their data sources: what is kept of them, and their secrets, sealed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from indexmill.domain.knowledge_base import Chunking, ChunkingAlgorithm, DataSource, DataSourceKind, KnowledgeBase
from indexmill.errors import DataSourceNotFound, KnowledgeBaseNotFound
from indexmill.ledger.database import Connection, Database, Row, run_query

__all__ = ["KnowledgeBases", "OpenDataSource"]

#: Data sources of one knowledge base that are read at once.
MAX_SOURCES = 1000


@dataclass(frozen=True)
class OpenDataSource:
    """What reading from a data source needs. `collection`: the id of its knowledge base's."""

    id: UUID
    knowledge_base: UUID
    kind: DataSourceKind
    settings: dict[str, Any]
    sealed: bytes | None
    chunking: Chunking
    collection: int
    is_deleted: bool


@dataclass(frozen=True)
class KnowledgeBases:
    database: Database

    def insert(self, connection: Connection, kb_id: UUID, collection: int, name: str, details: dict[str, Any]) -> None:
        """Its tenant is the collection's."""
        run_query(
            connection,
            "insert_knowledge_base",
            id=kb_id,
            collection=collection,
            name=name,
            details=Jsonb(details),
        )

    def find(self, kb_id: UUID, tenant: int) -> KnowledgeBase:
        """Raises: KnowledgeBaseNotFound."""
        rows = self.database.query("find_knowledge_base", id=kb_id, tenant=tenant)
        if not rows:
            raise KnowledgeBaseNotFound(str(kb_id))
        return _knowledge_base(rows[0])

    def lock(self, connection: Connection, kb_id: UUID, tenant: int) -> None:
        """Raises: KnowledgeBaseNotFound."""
        if not self.is_there(connection, kb_id, tenant):
            raise KnowledgeBaseNotFound(str(kb_id))

    def is_there(self, connection: Connection, kb_id: UUID, tenant: int) -> bool:
        """It is locked, where it is there."""
        return bool(run_query(connection, "lock_knowledge_base", id=kb_id, tenant=tenant))

    def page(self, limit: int, offset: int, tenant: int) -> tuple[list[KnowledgeBase], int]:
        """Newest first, and how many there are."""
        rows = self.database.query("page_of_knowledge_bases", tenant=tenant, limit=limit, offset=offset)
        total = self.database.query("count_knowledge_bases", tenant=tenant)[0]["total"]
        return [_knowledge_base(row) for row in rows], total

    def update(self, kb_id: UUID, name: str | None, details: dict[str, Any], tenant: int) -> None:
        """Raises: KnowledgeBaseNotFound."""
        if not self.database.query("update_knowledge_base", id=kb_id, tenant=tenant, name=name, details=Jsonb(details)):
            raise KnowledgeBaseNotFound(str(kb_id))

    def delete(self, connection: Connection, kb_id: UUID) -> None:
        run_query(connection, "delete_knowledge_base", id=kb_id)

    def insert_source(self, connection: Connection, source: DataSource, sealed: bytes | None) -> None:
        run_query(
            connection,
            "insert_data_source",
            id=source.id,
            knowledge_base=source.knowledge_base,
            kind=str(source.kind),
            settings=Jsonb(source.settings),
            secrets=sealed,
            chunking=Jsonb(_chunking_json(source.chunking)),
        )

    def sources(
        self, kb_id: UUID, ids: Sequence[UUID] | None = None, *, limit: int = MAX_SOURCES, offset: int = 0
    ) -> list[DataSource]:
        """Those of the knowledge base that are there, in the order in which they were added."""
        with self.database.connection() as connection:
            return self.read_sources(connection, kb_id, ids, limit=limit, offset=offset)

    def read_sources(
        self,
        connection: Connection,
        kb_id: UUID,
        ids: Sequence[UUID] | None = None,
        *,
        limit: int = MAX_SOURCES,
        offset: int = 0,
    ) -> list[DataSource]:
        rows = run_query(
            connection,
            "find_data_sources",
            knowledge_base=kb_id,
            ids=None if ids is None else list(ids),
            limit=limit,
            offset=offset,
        )
        return [_data_source(row) for row in rows]

    def count_sources(self, kb_id: UUID) -> int:
        return int(self.database.query("count_data_sources", knowledge_base=kb_id)[0]["total"])

    def source(self, kb_id: UUID, source_id: UUID) -> DataSource:
        """Raises: DataSourceNotFound."""
        found = self.sources(kb_id, [source_id])
        if not found:
            raise DataSourceNotFound(str(source_id))
        return found[0]

    def update_source(
        self,
        kb_id: UUID,
        source_id: UUID,
        *,
        chunking: Chunking | None = None,
        settings: dict[str, Any] | None = None,
        sealed: bytes | None = None,
    ) -> None:
        """Raises: DataSourceNotFound."""
        if not self.database.query(
            "update_data_source",
            id=source_id,
            knowledge_base=kb_id,
            chunking=None if chunking is None else Jsonb(_chunking_json(chunking)),
            settings=None if settings is None else Jsonb(settings),
            secrets=sealed,
        ):
            raise DataSourceNotFound(str(source_id))

    def delete_sources(self, connection: Connection, kb_id: UUID, ids: Sequence[UUID]) -> list[UUID]:
        """Those of them that were there."""
        rows = run_query(connection, "delete_data_sources", knowledge_base=kb_id, ids=list(ids))
        return [row["id"] for row in rows]

    def open_source(self, source_id: UUID) -> OpenDataSource:
        """Also of one that is deleted.

        Raises:
            DataSourceNotFound
        """
        rows = self.database.query("open_data_source", id=source_id)
        if not rows:
            raise DataSourceNotFound(str(source_id))
        row = rows[0]
        return OpenDataSource(
            id=row["id"],
            knowledge_base=row["knowledge_base"],
            kind=DataSourceKind(row["kind"]),
            settings=row["settings"],
            sealed=None if row["secrets"] is None else bytes(row["secrets"]),
            chunking=_chunking(row["chunking"]),
            collection=row["collection"],
            is_deleted=row["deleted_at"] is not None,
        )

    def uploads_in_use(self, keys: Collection[str]) -> set[str]:
        """Which of these uploaded objects belong to a data source."""
        rows = self.database.query("uploads_in_use", keys=list(keys)) if keys else []
        return {row["object_key"] for row in rows}


def _knowledge_base(row: Row) -> KnowledgeBase:
    return KnowledgeBase(
        id=row["id"],
        name=row["name"],
        collection=row["collection"],
        model=row["model"],
        details=row["details"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _data_source(row: Row) -> DataSource:
    return DataSource(
        id=row["id"],
        knowledge_base=row["knowledge_base"],
        kind=DataSourceKind(row["kind"]),
        settings=row["settings"],
        chunking=_chunking(row["chunking"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _chunking_json(chunking: Chunking) -> dict[str, Any]:
    return {
        "algorithm": str(chunking.algorithm),
        "max_chunk_size": chunking.max_chunk_size,
        "parent_chunk_size": chunking.parent_chunk_size,
        "child_chunk_size": chunking.child_chunk_size,
        "semantic_threshold": chunking.semantic_threshold,
    }


def _chunking(value: dict[str, Any]) -> Chunking:
    return Chunking(
        algorithm=ChunkingAlgorithm(value["algorithm"]),
        max_chunk_size=value["max_chunk_size"],
        parent_chunk_size=value["parent_chunk_size"],
        child_chunk_size=value["child_chunk_size"],
        semantic_threshold=value["semantic_threshold"],
    )
