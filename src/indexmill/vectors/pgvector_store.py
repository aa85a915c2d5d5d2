"""Documents and chunks in PostgreSQL with pgvector: one `document` table, one chunk table a generation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Collection as AbstractCollection
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from indexmill.domain.document import HASH_BYTES, Version, canonical_json, parts_from_json, with_plain_floats
from indexmill.domain.outcome import ItemStatus
from indexmill.domain.splitting import WHOLE
from indexmill.errors import CollectionNotFound, InvalidRequest, ServiceError
from indexmill.ledger.collections import Collection, Collections
from indexmill.ledger.database import Connection, Database, Row
from indexmill.vectors.attribute_rows import DocumentMetadata
from indexmill.vectors.attribute_sets import AttributeSets
from indexmill.vectors.binary_copy import COLUMNS, copy_bytes
from indexmill.vectors.chunk_search import ChunkHit, ChunkQuery, find_chunks
from indexmill.vectors.chunk_tables import MAX_INLINE_DIMENSION, chunk_table
from indexmill.vectors.generation_copy import log_changes
from indexmill.vectors.index_search import IndexSearch, candidates_for, found
from indexmill.vectors.selection import Selection, can_be_id
from indexmill.vectors.statements import read_within, run_statement
from indexmill.vectors.stored_documents import DocumentContent, PageQuery, StoredDocument, read_contents, read_documents
from indexmill.vectors.vector_store import (
    Comparison,
    Existing,
    Hit,
    SearchQuery,
    SkippedDocument,
    StagedDocument,
    Written,
)

__all__ = ["PgvectorStore"]

T = TypeVar("T")

#: What a write does that changes a document's chunks.
_CHANGES_CHUNKS = frozenset({ItemStatus.INDEXED, ItemStatus.REMOVED})
#: Of a search that meets another generation than it was told of: rebuilds take longer than searches.
_TRIES = 3
#: A document counts once: several of the nearest chunks may be of one.
_CHUNKS_A_DOCUMENT = 4
_RELIES_ON_STORED = frozenset({ItemStatus.UNCHANGED, ItemStatus.PAYLOAD_UPDATED})


class _OtherGeneration(Exception):
    """A rebuild has switched to other chunks since the collection was read."""


@dataclass
class PgvectorStore:
    database: Database
    #: What a search may take.
    search_seconds: float = 10
    attribute_sets: AttributeSets = field(init=False)
    _vector_oid: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.attribute_sets = AttributeSets(self.database)

    def hold_writers(self, connection: Connection, collection: int) -> None:
        """Wait for those who write to the collection, and hold off others until the transaction ends."""
        run_statement(connection, "writers_patience")
        run_statement(connection, "lock_collection", collection=collection)

    def clear(self, connection: Connection, collection: Collection) -> None:
        """Remove every document of a collection whose writers are held off.

        Its chunks go with their generation, which another one takes the place of.
        """
        run_statement(connection, "clear_documents", collection=collection.id)
        self.attribute_sets.clear(connection, collection)

    def create_generation(self, connection: Connection, collection: Collection, dimension: int) -> None:
        """Make the chunk table of the collection's generation; there already: nothing."""
        storage = "PLAIN" if dimension <= MAX_INLINE_DIMENSION else "EXTERNAL"
        parts = {"dimension": sql.Literal(dimension), "storage": sql.SQL(storage)}
        run_statement(connection, "create_chunk_table", parts=_table(collection) | parts)

    def compare(self, collection: int, ids_json: str, hashes: bytes) -> Comparison:
        """Compare these documents with what is stored, in one question.

        `ids_json`: a JSON list of their ids, without NUL; `hashes`: their payload hashes, 16 bytes each.
        """
        rows = self.database.read(
            lambda connection: run_statement(
                connection, "compare_documents", collection=collection, ids=ids_json, payload_hashes=hashes
            )
        )
        chunks = np.full(len(hashes) // HASH_BYTES, -1, np.int32)
        newest = 0
        different: dict[int, Existing] = {}
        for row in rows:
            if row["place"] is not None:
                version = Version(row["seq"], row["position"])
                different[row["place"]] = Existing(version, row["fingerprint"], row["payload_hash"])
            elif row["same"] is not None:
                chunks[row["same"]] = row["chunks"]
                newest = row["seq"]
        return Comparison(chunks, newest, different)

    def skip(
        self, connection: Connection, collection: Collection, documents: Sequence[SkippedDocument]
    ) -> list[int] | None:
        """Move the versions of these distinct documents; the chunks of each, in order.

        None where one of them has changed meanwhile, or is newer: then the transaction must not stand.
        """
        (row,) = run_statement(
            connection,
            "skip_documents",
            collection=collection.id,
            min_seq=collection.min_seq,
            ids=[document.id for document in documents],
            seqs=[document.version.seq for document in documents],
            positions=[document.version.position for document in documents],
            payload_hashes=b"".join(document.payload_hash for document in documents),
        )
        chunks: list[int] = row["chunks"]
        return chunks if len(chunks) == len(documents) else None

    def stage(self, connection: Connection, documents: Sequence[StagedDocument]) -> None:
        """COPY the documents into a table of this transaction's own."""
        run_statement(connection, "create_staging")
        oid = self._oid(connection)
        statement = sql.SQL("COPY staged_2 ({columns}) FROM STDIN (FORMAT binary)").format(
            columns=sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
        )
        with connection.cursor().copy(statement) as copy:
            for piece in copy_bytes(documents, oid):
                copy.write(piece)

    def write(
        self,
        connection: Connection,
        collection: Collection,
        documents: Sequence[StagedDocument],
        writable: AbstractCollection[int],
    ) -> list[Written]:
        """Apply the newest writable staged document of each id; the other ones of that id are superseded by it."""
        winners: dict[str, StagedDocument] = {}
        for document in documents:
            rival = winners.get(document.id)
            if document.item in writable and (rival is None or rival.version < document.version):
                winners[document.id] = document
        rows = self._upsert(connection, collection, winners)
        shrunk = [row["key"] for row in rows.values() if row["previous_chunks"] > row["chunks"]]
        if shrunk:
            run_statement(connection, "delete_surplus_chunks", parts=_table(collection), keys=shrunk)
        self._write_attributes(connection, collection, winners, rows)
        changed = [row["key"] for row in rows.values() if row["outcome"] in _CHANGES_CHUNKS]
        log_changes(connection, collection, changed)
        missing = [name for name in winners if name not in rows]
        rivals = self._versions(connection, collection, missing)
        results: list[Written] = []
        for document in documents:
            if document.item in writable:
                winner = winners[document.id]
                results.append(_judge(document, winner, rows.get(document.id), rivals.get(document.id)))
        return results

    def update_payload(
        self,
        connection: Connection,
        collection: Collection,
        document_id: str,
        payload: dict[str, Any],
        *,
        replaces: bool,
    ) -> dict[str, Any] | None:
        """Change what is said of a living document, and nothing else of it; the payload that it has now.

        The transaction shares the collection, and has read it after that. None: there is no such document.
        """
        if not can_be_id(document_id):
            return None
        rows = run_statement(
            connection,
            "update_payload",
            collection=collection.id,
            id=document_id,
            payload=Jsonb(payload, dumps=_dumps),
            replaces=replaces,
        )
        if not rows:
            return None
        row = rows[0]
        written = DocumentMetadata(row["key"], row["payload"], parts_from_json(row["parts"]))
        self.attribute_sets.write(connection, collection, [written], [])
        found: dict[str, Any] = row["payload"]
        return found

    def _write_attributes(
        self,
        connection: Connection,
        collection: Collection,
        winners: Mapping[str, StagedDocument],
        rows: Mapping[str, Row],
    ) -> None:
        """The values of filter attributes of what was written; where nothing was declared, there are none."""
        if collection.attribute_set is None and collection.prepared_set is None:
            return
        written: list[DocumentMetadata] = []
        removed: list[int] = []
        for name, row in rows.items():
            document = winners[name]
            if document.action is ItemStatus.REMOVED:
                removed.append(row["key"])
            elif document.action is not ItemStatus.UNCHANGED:
                metadata = json.loads(document.payload) if document.payload is not None else None
                written.append(DocumentMetadata(row["key"], metadata, document.parts))
        self.attribute_sets.write(connection, collection, written, removed)

    def _upsert(
        self, connection: Connection, collection: Collection, winners: dict[str, StagedDocument]
    ) -> dict[str, Row]:
        run_statement(connection, "join_by_hash", nestloop="off")
        rows = run_statement(
            connection,
            "write_documents",
            parts=_table(collection),
            collection=collection.id,
            min_seq=collection.min_seq,
            winners=[document.item for document in winners.values()],
        )
        run_statement(connection, "join_by_hash", nestloop="on")
        return {row["id"]: row for row in rows}

    def _versions(self, connection: Connection, collection: Collection, ids: list[str]) -> dict[str, Version]:
        if not ids:
            return {}
        rows = run_statement(connection, "document_versions", collection=collection.id, ids=ids)
        return {row["id"]: Version(row["seq"], row["position"]) for row in rows}

    def _oid(self, connection: Connection) -> int:
        if not self._vector_oid:
            self._vector_oid = run_statement(connection, "vector_oid")[0]["oid"]
        return self._vector_oid

    def search(self, collection: Collection, query: SearchQuery) -> list[Hit]:
        """The nearest documents, each by its best chunk: exactly, or by the collection's index where it has one.

        Raises:
            InvalidRequest: the vector has another dimension than the collection, or a filter value is no scalar.
            SearchTimeout: it took too long.
            CollectionNotFound: it has been deleted meanwhile.
        """
        vector = _checked_vector(collection, query.vector)
        for name, value in query.equal.items():
            if "\0" in name or not _is_scalar(value):
                raise InvalidRequest(f"filter: expected a string, number, boolean or null for `{name[:100]}`")

        def find(connection: Connection, current: Collection) -> list[Row]:
            rows = _near_documents(connection, current, query, vector)
            if rows is not None:
                return run_statement(connection, "found_documents", parts=_table(current), **found(rows))
            run_statement(connection, "begin_search", milliseconds=self._milliseconds)
            return run_statement(
                connection,
                "search_filtered" if query.equal else "search",
                parts=_table(current),
                collection=current.id,
                vector=vector,
                limit=query.limit,
                filter=Jsonb(query.equal),
            )

        rows = self._search(collection, find)
        return [Hit(row["id"], float(row["score"]), row["text"], row["payload"]) for row in rows]

    def _search(self, collection: Collection, find: Callable[[Connection, Collection], list[T]]) -> list[T]:
        """Run the search in one snapshot, on the chunks that are in use in it."""
        for _ in range(_TRIES):

            def find_in_use(connection: Connection, current: Collection = collection) -> list[T]:
                rows = run_statement(connection, "current_generation", collection=current.id)
                if not rows or rows[0]["generation"] != current.generation:
                    raise _OtherGeneration
                return find(connection, current)

            try:
                return read_within(self.database, self.search_seconds, "begin_read", find_in_use, is_snapshot=True)
            except (_OtherGeneration, psycopg.errors.UndefinedTable):
                current = Collections(self.database).by_id([collection.id]).get(collection.id)
                if current is None:
                    raise CollectionNotFound(collection.name, []) from None
                collection = current
        raise ServiceError(f"search: expected the chunks of `{collection.name}` to stay for a moment; try again")

    @property
    def _milliseconds(self) -> str:
        return f"{max(1, round(self.search_seconds * 1000))}ms"

    def documents(self, collection: Collection, query: PageQuery) -> list[StoredDocument]:
        """A page of the living documents by id. Only an empty page says that there are no more.

        Raises:
            SearchTimeout: it took too long.
        """
        return read_documents(self.database, collection, query, seconds=self.search_seconds)

    def contents(self, collection: Collection, query: PageQuery) -> list[DocumentContent]:
        """As `documents`, with their texts."""
        return read_contents(self.database, collection, query, seconds=self.search_seconds)

    def search_chunks(self, collection: Collection, query: ChunkQuery) -> list[ChunkHit]:
        """The nearest chunks, best first: exactly, or by the collection's index where it has one.

        Raises:
            InvalidRequest: the vector has another dimension than the collection.
            SearchTimeout: it took too long.
            CollectionNotFound: it has been deleted meanwhile.
        """
        vector = _checked_vector(collection, query.vector)
        return self._search(
            collection,
            lambda connection, current: find_chunks(
                connection, current, query, vector=vector, seconds=self.search_seconds
            ),
        )


def _near_documents(
    connection: Connection, collection: Collection, query: SearchQuery, vector: str
) -> list[Row] | None:
    """Each document's best chunk by the index; None where that has none, or did not find as many as are wanted."""
    if collection.ef_search is None:
        return None
    index = IndexSearch(connection, chunk_table(collection), collection.deployment.dimension, collection.ef_search)
    is_whole = collection.splitting == WHOLE
    wanted = candidates_for(query.limit if is_whole else _CHUNKS_A_DOCUMENT * query.limit)
    best: dict[int, Row] = {}
    for row in index.near(vector, wanted, Selection(equal=(query.equal,) if query.equal else ()), collection.id):
        best.setdefault(row["document"], row)
    return list(best.values())[: query.limit] if len(best) >= query.limit else None


def _dumps(payload: object) -> str:
    return with_plain_floats(canonical_json(payload))


def _table(collection: Collection) -> dict[str, sql.Composable]:
    return {"table": sql.Identifier(chunk_table(collection))}


def _judge(document: StagedDocument, winner: StagedDocument, row: Row | None, rival: Version | None) -> Written:
    """What became of one staged document, from the row that its id's winner wrote, if it wrote one."""
    if document is not winner:
        return Written(document.item, ItemStatus.SUPERSEDED, superseded_by=winner.version.seq)
    if row is None:
        if rival is not None and rival > document.version:
            return Written(document.item, ItemStatus.SUPERSEDED, superseded_by=rival.seq)
        if document.action in _RELIES_ON_STORED:
            return Written(document.item, document.action, stale=True)
        # Below the collection's min_seq: a reset came after it.
        return Written(document.item, ItemStatus.SUPERSEDED)
    if document.action is ItemStatus.REMOVED:
        return Written(document.item, ItemStatus.REMOVED if row["previous_chunks"] else ItemStatus.ABSENT)
    if document.action in _RELIES_ON_STORED:
        # Nothing was stored any more: the row that was just made is empty, so the transaction must not stand.
        return Written(document.item, document.action, row["chunks"], stale=row["previous_chunks"] == 0)
    return Written(document.item, ItemStatus.INDEXED, row["chunks"])


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float) or (isinstance(value, str) and "\0" not in value)


def _checked_vector(collection: Collection, vector: list[float]) -> str:
    """The vector at unit length, as pgvector's text.

    Raises:
        InvalidRequest: it has another dimension than the collection, no length, or is not finite.
    """
    wanted = collection.deployment.dimension
    if len(vector) != wanted:
        raise InvalidRequest(f"vector: expected {wanted} numbers, got {len(vector)}")
    values = np.asarray(vector, dtype=np.float64)
    length = float(np.linalg.norm(values))
    if not np.isfinite(length) or length == 0:
        raise InvalidRequest("vector: expected finite numbers that are not all zero")
    return "[" + ",".join(repr(number) for number in (values / length).tolist()) + "]"
