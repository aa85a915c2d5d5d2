"""The vector store interface: what a window stages and writes, what a search asks and gets."""

from __future__ import annotations

from collections.abc import Collection as AbstractCollection
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from indexmill.domain.document import StoredPart, Version
from indexmill.domain.outcome import ItemStatus
from indexmill.ledger.collections import Collection
from indexmill.ledger.database import Connection
from indexmill.vectors.attribute_sets import AttributeSets
from indexmill.vectors.chunk_search import ChunkHit, ChunkQuery
from indexmill.vectors.stored_documents import DocumentContent, PageQuery, StoredDocument

__all__ = [
    "Comparison",
    "Existing",
    "Hit",
    "SearchQuery",
    "SkippedDocument",
    "StagedDocument",
    "VectorStore",
    "Written",
]


@dataclass(frozen=True, slots=True)
class Existing:
    """A stored document as a window finds it before it embeds."""

    version: Version
    fingerprint: bytes | None
    payload_hash: bytes | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is stored of the documents that were asked for, by their places in the question.

    `chunks`: of those whose payload hash is the stored one, how many chunks they are; -1 for the others. `newest`: the
    greatest `seq` among the same ones, 0 where there are none. `different`: the others that are there.
    """

    chunks: npt.NDArray[np.int32]
    newest: int
    different: dict[int, Existing]


@dataclass(frozen=True, slots=True)
class SkippedDocument:
    """A document that says already what its item says: only its version moves."""

    id: str
    version: Version
    payload_hash: bytes


@dataclass(frozen=True, slots=True)
class StagedDocument:
    """What an item would do to its document.

    `item`: its number in the window. `action`: INDEXED (write all), UNCHANGED (move the version), PAYLOAD_UPDATED
    (payload and version), REMOVED (leave a tombstone). `vectors`: float32, unit length, shape (chunks, dimension);
    `spans`: the chunks' places in `text`; `structure`: where its pages and headings begin, as JSON. `parts`: its
    sections with their metadata, in order; they come along with every payload, and no chunk lies in two of them.
    """

    item: int
    id: str
    version: Version
    action: ItemStatus
    fingerprint: bytes | None = None
    payload_hash: bytes | None = None
    text: str | None = None
    payload: str | None = None
    item_info: str | None = None
    structure: str | None = None
    vectors: npt.NDArray[np.float32] | None = None
    spans: tuple[tuple[int, int], ...] = ()
    parts: tuple[StoredPart, ...] = ()

    @property
    def chunks(self) -> int:
        return len(self.spans)


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a staged document. `stale`: what its action relied on has changed; it must be embedded."""

    item: int
    status: ItemStatus
    chunks: int = 0
    superseded_by: int | None = None
    stale: bool = False


@dataclass(frozen=True)
class SearchQuery:
    """`equal`: payload fields that must have these scalar values."""

    vector: list[float]
    limit: int
    equal: dict[str, Any]


@dataclass(frozen=True)
class Hit:
    """A found document; `score` is the cosine similarity of its best chunk, `text` that chunk's text."""

    document_id: str
    score: float
    text: str | None
    payload: dict[str, Any] | None


class VectorStore(Protocol):
    """Everything runs in the caller's transaction, so that vectors and outcomes are one commit."""

    @property
    def attribute_sets(self) -> AttributeSets:
        """The filter attributes of collections; `write` writes their values with the documents."""
        ...

    def hold_writers(self, connection: Connection, collection: int) -> None:
        """Wait for those who write to the collection, and hold off others until the transaction ends."""
        ...

    def clear(self, connection: Connection, collection: Collection) -> None:
        """Remove every document of a collection whose writers are held off.

        Its chunks go with their generation, which another one takes the place of.
        """
        ...

    def create_generation(self, connection: Connection, collection: Collection, dimension: int) -> None: ...

    def compare(self, collection: int, ids_json: str, hashes: bytes) -> Comparison:
        """Compare these documents with what is stored, in one question.

        `ids_json`: a JSON list of their ids, without NUL; `hashes`: their payload hashes, 16 bytes each.
        """
        ...

    def skip(
        self, connection: Connection, collection: Collection, documents: Sequence[SkippedDocument]
    ) -> list[int] | None:
        """Move the versions of these distinct documents; the chunks of each, in order.

        None where one of them has changed meanwhile, or is newer: then the transaction must not stand.
        """
        ...

    def stage(self, connection: Connection, documents: Sequence[StagedDocument]) -> None:
        """Stream the documents to the server; takes no lock that another transaction could wait for."""
        ...

    def write(
        self,
        connection: Connection,
        collection: Collection,
        documents: Sequence[StagedDocument],
        writable: AbstractCollection[int],
    ) -> list[Written]:
        """Apply those of the staged documents whose item may be written; one result each, in no order."""
        ...

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
        ...

    def search(self, collection: Collection, query: SearchQuery) -> list[Hit]: ...

    def documents(self, collection: Collection, query: PageQuery) -> list[StoredDocument]:
        """A page of the living documents by id. Only an empty page says that there are no more."""
        ...

    def contents(self, collection: Collection, query: PageQuery) -> list[DocumentContent]:
        """As `documents`, with their texts."""
        ...

    def search_chunks(self, collection: Collection, query: ChunkQuery) -> list[ChunkHit]:
        """The nearest chunks, best first; each with what belongs to it as of one moment."""
        ...
