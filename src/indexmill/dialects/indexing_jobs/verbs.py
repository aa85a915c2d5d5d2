"""The verbs of knowledge bases as this door calls them; its wire is tested without those that do the work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

__all__ = ["KnowledgeBaseVerbs"]


class KnowledgeBaseVerbs(Protocol):
    """The verbs of knowledge bases. Synchronous: routes call them in threads.

    Raises:
        NotFound: of a knowledge base, a data source or a job that is not there.
        Conflict: an indexing job runs already; the message contains its id.
        InvalidRequest: a value that cannot be accepted.
    """

    def of(self, tenant: int, caller: str | None = None, /) -> KnowledgeBaseVerbs:
        """Those of another tenant."""

    def create(
        self, name: str, model: str, sources: Sequence[NewDataSource], details: dict[str, Any], /
    ) -> KnowledgeBase:
        """With sources: an indexing job is started, the `last_job`."""

    def get(self, kb_id: UUID, /) -> KnowledgeBase: ...

    def page(self, limit: int, offset: int, /) -> tuple[Sequence[KnowledgeBase], int]:
        """Newest first, and how many there are in all."""

    def update(
        self, kb_id: UUID, /, *, name: str | None = None, details: dict[str, Any] | None = None
    ) -> KnowledgeBase:
        """`details`: those that change; the others stay."""

    def delete(self, kb_id: UUID, /) -> None: ...

    def add_source(self, kb_id: UUID, wanted: NewDataSource, /) -> DataSource: ...

    def source(self, kb_id: UUID, source_id: UUID, /) -> DataSource: ...

    def sources(self, kb_id: UUID, limit: int, offset: int, /) -> tuple[Sequence[DataSource], int]: ...

    def update_source(self, kb_id: UUID, source_id: UUID, chunking: Chunking, /) -> DataSource: ...

    def remove_source(self, kb_id: UUID, source_id: UUID, /) -> None: ...

    def start(self, kb_id: UUID, sources: Sequence[UUID] | None, /) -> IndexingJob:
        """`sources` None: all of them."""

    def job(self, job_id: UUID, /) -> IndexingJob: ...

    def jobs(self, limit: int, offset: int, kb_id: UUID | None, /) -> tuple[Sequence[IndexingJob], int]:
        """Newest first, and how many there are in all."""

    def cancel(self, job_id: UUID, /) -> IndexingJob:
        """A job that has ended stays as it is."""

    def report_rows(self, job_id: UUID, /) -> Iterator[ReportRow]:
        """Read page by page: a slow reader holds no connection."""

    def retrieve(self, kb_id: UUID, query: str, limit: int, wanted: MetadataFilter | None, /) -> Sequence[ChunkHit]:
        """The nearest chunks, best first, of documents whose metadata fulfils these conditions."""
