"""What this door needs of others: the verbs of knowledge bases, signed addresses, and where uploaded files lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from indexmill.domain.knowledge_base import (
    Chunking,
    DataSource,
    IndexingJob,
    KnowledgeBase,
    NewDataSource,
    ReportRow,
)
from indexmill.domain.metadata_filter import MetadataFilter
from indexmill.vectors.chunk_search import ChunkHit

__all__ = ["KnowledgeBaseVerbs", "UploadStore", "UrlSigner"]


class KnowledgeBaseVerbs(Protocol):
    """The verbs of knowledge bases. Synchronous: routes call them in threads.

    Raises:
        NotFound: of a knowledge base, a data source or a job that is not there.
        Conflict: an indexing job runs already; the message contains its id.
        InvalidRequest: a value that cannot be accepted.
    """

    def create(self, name: str, model: str, sources: Sequence[NewDataSource], details: dict[str, Any]) -> KnowledgeBase:
        """With sources: an indexing job is started, the `last_job`."""

    def get(self, knowledge_base: UUID) -> KnowledgeBase: ...

    def list(self, limit: int, offset: int) -> tuple[Sequence[KnowledgeBase], int]:
        """A page, newest first, and how many there are in all."""

    def update(
        self, knowledge_base: UUID, name: str | None = None, details: dict[str, Any] | None = None
    ) -> KnowledgeBase:
        """None leaves it as it is; `details` are all of them."""

    def delete(self, knowledge_base: UUID) -> None: ...

    def add_source(self, knowledge_base: UUID, source: NewDataSource) -> DataSource: ...

    def source(self, knowledge_base: UUID, source: UUID) -> DataSource: ...

    def sources(self, knowledge_base: UUID, limit: int, offset: int) -> tuple[Sequence[DataSource], int]: ...

    def update_source(self, knowledge_base: UUID, source: UUID, chunking: Chunking) -> DataSource: ...

    def remove_source(self, knowledge_base: UUID, source: UUID) -> None: ...

    def start(self, knowledge_base: UUID, sources: Sequence[UUID] | None) -> IndexingJob:
        """`sources` None: all of them."""

    def job(self, job: UUID) -> IndexingJob: ...

    def jobs(self, limit: int, offset: int, knowledge_base: UUID | None = None) -> tuple[Sequence[IndexingJob], int]:
        """A page, newest first, and how many there are in all."""

    def cancel(self, job: UUID) -> IndexingJob:
        """A job that has ended stays as it is."""

    def report_rows(self, job: UUID) -> Iterator[ReportRow]:
        """Read page by page: a slow reader holds no connection."""

    def retrieve(
        self, knowledge_base: UUID, query: str, limit: int, filters: MetadataFilter | None
    ) -> Sequence[ChunkHit]:
        """The nearest chunks, best first, of documents whose `metadata_filter.document_metadata` matches."""


class UrlSigner(Protocol):
    """Makes addresses that work for a while without a key, for one method, path and query."""

    def sign(self, method: str, path: str, parameters: Mapping[str, str], expires_at: datetime) -> str:
        """The query string: the parameters, when it expires, and the signature."""

    def check(self, method: str, path: str, query: str) -> dict[str, str]:
        """The parameters that were signed.

        Raises:
            Forbidden: no such signature, or it has expired.
        """


class UploadStore(Protocol):
    """Where uploaded files lie while a data source names them."""

    def new_key(self, file_name: str) -> str:
        """Of letters, digits, dots, hyphens, underscores and slashes."""

    def has(self, key: str) -> bool: ...

    def store(self, key: str, file_name: str, chunks: Iterable[bytes]) -> int:
        """Durable when this returns the size; replaces what was stored under the key.

        Raises:
            TransientError: the store is full or does not answer.
        """
