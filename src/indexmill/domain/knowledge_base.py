"""Knowledge bases, their data sources, and the indexing jobs that keep one in step with the other: the records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from indexmill.domain.job import Job

__all__ = [
    "Chunking",
    "ChunkingAlgorithm",
    "DataSource",
    "DataSourceKind",
    "FileCounts",
    "IndexingJob",
    "KnowledgeBase",
    "NewDataSource",
    "ReportRow",
    "SourceRun",
    "SourceRunStatus",
]


class DataSourceKind(StrEnum):
    #: A bucket of an S3-compatible store whose endpoint is a setting, by region.
    SPACES = "spaces"
    #: A bucket of S3 itself, or of the configured endpoint, with keys of its own.
    AWS = "aws"
    WEB_CRAWLER = "web_crawler"
    #: One file that was uploaded; a new upload replaces it.
    FILE_UPLOAD = "file_upload"
    DROPBOX = "dropbox"
    GOOGLE_DRIVE = "google_drive"


class ChunkingAlgorithm(StrEnum):
    SECTION_BASED = "section_based"
    HIERARCHICAL = "hierarchical"
    SEMANTIC = "semantic"
    FIXED_LENGTH = "fixed_length"


@dataclass(frozen=True)
class Chunking:
    """How the files of a data source become chunks; sizes in tokens of the embedding model, None: the default."""

    algorithm: ChunkingAlgorithm = ChunkingAlgorithm.SECTION_BASED
    max_chunk_size: int | None = None
    parent_chunk_size: int | None = None
    child_chunk_size: int | None = None
    semantic_threshold: float | None = None


@dataclass(frozen=True)
class NewDataSource:
    """A data source to be. `secrets` are encrypted at rest and never given back."""

    kind: DataSourceKind
    settings: dict[str, Any]
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    chunking: Chunking = Chunking()


class SourceRunStatus(StrEnum):
    """What became of one data source in one indexing job."""

    PENDING = "pending"
    RUNNING = "running"
    UPDATED = "updated"
    NOT_UPDATED = "not_updated"
    PARTIALLY_UPDATED = "partially_updated"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class FileCounts:
    """Files of a data source, or of a job, by what became of them; `total` does not count what was removed.

    `tokens`: really embedded. `bytes_indexed`: of the files that were indexed now.
    """

    total: int = 0
    indexed: int = 0
    skipped: int = 0
    failed: int = 0
    removed: int = 0
    cancelled: int = 0
    chunks: int = 0
    tokens: int = 0
    bytes_total: int = 0
    bytes_indexed: int = 0

    def __add__(self, other: FileCounts) -> FileCounts:
        return FileCounts(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(FileCounts)))

    @staticmethod
    def sum(counts: Iterable[FileCounts]) -> FileCounts:
        return sum(counts, FileCounts())


@dataclass(frozen=True)
class SourceRun:
    """One data source in one indexing job. `error_code`: the part that failed, for programs."""

    source: UUID
    status: SourceRunStatus
    files: FileCounts
    started_at: datetime | None = None
    completed_at: datetime | None = None
    error_code: str | None = None
    error_sentence: str | None = None

    @property
    def is_complete(self) -> bool:
        return self.status not in {SourceRunStatus.PENDING, SourceRunStatus.RUNNING}


@dataclass(frozen=True)
class IndexingJob:
    """A job that pulls data sources into its knowledge base's collection."""

    job: Job
    knowledge_base: UUID
    runs: tuple[SourceRun, ...]
    #: Whether its report can still be written: its items are kept for a while after its end.
    has_report: bool = False

    @property
    def counts(self) -> FileCounts:
        """The sums of its sources."""
        return FileCounts.sum(run.files for run in self.runs)


@dataclass(frozen=True)
class DataSource:
    """`settings`: what the caller said, without secrets."""

    id: UUID
    knowledge_base: UUID
    kind: DataSourceKind
    settings: dict[str, Any]
    chunking: Chunking
    created_at: datetime
    updated_at: datetime
    last_run: SourceRun | None = None
    #: The job of `last_run`.
    last_job: UUID | None = None


@dataclass(frozen=True)
class KnowledgeBase:
    """`details`: what the caller said of it and wants to hear again."""

    id: UUID
    name: str
    collection: str
    model: str
    details: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    last_job: IndexingJob | None = None


@dataclass(frozen=True)
class ReportRow:
    """One file in one indexing job. `status`: indexed, unchanged, removed, failed, cancelled, superseded or pending."""

    source: UUID
    key: str
    status: str
    chunks: int
    tokens: int
    bytes: int
    code: str | None = None
    sentence: str | None = None
