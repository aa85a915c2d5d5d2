"""A FAKE of the verbs of knowledge bases, in memory: for the wire, never for their rules.

Jobs do not run by themselves: a test ends them with `end`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from indexmill.domain.identifier import new_job_id
from indexmill.domain.job import Job, JobKind
from indexmill.domain.job_state import OPEN_STATES, TERMINAL_STATES, JobState, Reason
from indexmill.domain.knowledge_base import (
    Chunking,
    DataSource,
    FileCounts,
    IndexingJob,
    KnowledgeBase,
    NewDataSource,
    ReportRow,
    SourceRun,
    SourceRunStatus,
)
from indexmill.domain.metadata_filter import MetadataFilter, document_metadata
from indexmill.domain.outcome import Counters
from indexmill.errors import DataSourceNotFound, IndexingJobRunning, JobNotFound, KnowledgeBaseNotFound
from indexmill.security.keyring import Keyring
from indexmill.security.signed_urls import UrlSigner
from indexmill.sources.upload_store import UploadStore, open_upload_store
from indexmill.vectors.chunk_search import ChunkHit
from indexmill.vectors.stored_documents import StoredDocument
from tests.metadata_matching import matches
from tests.unit.http.fake_service import FakeService

START = datetime(2024, 6, 14, 9, 30, tzinfo=UTC)


@dataclass
class FakeKnowledgeBases:
    bases: dict[UUID, KnowledgeBase] = field(default_factory=dict)
    data_sources: dict[UUID, DataSource] = field(default_factory=dict)
    new_sources: dict[UUID, NewDataSource] = field(default_factory=dict)
    indexing_jobs: dict[UUID, IndexingJob] = field(default_factory=dict)
    rows: list[ReportRow] = field(default_factory=list)
    hits: list[ChunkHit] = field(default_factory=list)
    retrieved: list[tuple[int, MetadataFilter | None]] = field(default_factory=list)
    #: Raised by every verb while it is set.
    raises: Exception | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def of(self, tenant: int, caller: str | None = None, /) -> FakeKnowledgeBases:
        assert tenant == 1
        return self

    def create(
        self, name: str, model: str, sources: Sequence[NewDataSource], details: dict[str, Any], /
    ) -> KnowledgeBase:
        self._enter()
        with self._lock:
            base_id = uuid4()
            now = START + timedelta(minutes=len(self.bases))
            self.bases[base_id] = KnowledgeBase(base_id, name, f"kb-{base_id}", model, details, now, now)
            for each in sources:
                self.add_source(base_id, each)
            if sources:
                self.start(base_id, None)
            return self.get(base_id)

    def get(self, kb_id: UUID, /) -> KnowledgeBase:
        self._enter()
        if kb_id not in self.bases:
            raise KnowledgeBaseNotFound(str(kb_id))
        of_it = [each for each in self.indexing_jobs.values() if each.knowledge_base == kb_id]
        return replace(self.bases[kb_id], last_job=of_it[-1] if of_it else None)

    def page(self, limit: int, offset: int, /) -> tuple[Sequence[KnowledgeBase], int]:
        self._enter()
        newest = [self.get(each) for each in reversed(self.bases)]
        return newest[offset : offset + limit], len(newest)

    def update(
        self, kb_id: UUID, /, *, name: str | None = None, details: dict[str, Any] | None = None
    ) -> KnowledgeBase:
        base = self.get(kb_id)
        self.bases[kb_id] = replace(base, name=name or base.name, details={**base.details, **(details or {})})
        return self.get(kb_id)

    def delete(self, kb_id: UUID, /) -> None:
        self.get(kb_id)
        del self.bases[kb_id]

    def add_source(self, kb_id: UUID, wanted: NewDataSource, /) -> DataSource:
        self.get(kb_id)
        with self._lock:
            made = DataSource(uuid4(), kb_id, wanted.kind, wanted.settings, wanted.chunking, START, START)
            self.data_sources[made.id] = made
            self.new_sources[made.id] = wanted
            return made

    def source(self, kb_id: UUID, source_id: UUID, /) -> DataSource:
        self.get(kb_id)
        found = self.data_sources.get(source_id)
        if found is None or found.knowledge_base != kb_id:
            raise DataSourceNotFound(str(source_id))
        return found

    def sources(self, kb_id: UUID, limit: int, offset: int, /) -> tuple[Sequence[DataSource], int]:
        self.get(kb_id)
        of_it = [each for each in self.data_sources.values() if each.knowledge_base == kb_id]
        return of_it[offset : offset + limit], len(of_it)

    def update_source(self, kb_id: UUID, source_id: UUID, chunking: Chunking, /) -> DataSource:
        self.data_sources[source_id] = replace(self.source(kb_id, source_id), chunking=chunking)
        return self.data_sources[source_id]

    def remove_source(self, kb_id: UUID, source_id: UUID, /) -> None:
        self.source(kb_id, source_id)
        del self.data_sources[source_id]

    def start(self, kb_id: UUID, sources: Sequence[UUID] | None, /) -> IndexingJob:
        self.get(kb_id)
        with self._lock:
            for each in self.indexing_jobs.values():
                if each.knowledge_base == kb_id and each.job.state in OPEN_STATES:
                    raise IndexingJobRunning(str(kb_id), str(each.job.id))
            found = [self.source(kb_id, each) for each in sources] if sources else self.sources(kb_id, 1000, 0)[0]
            runs = tuple(SourceRun(each.id, SourceRunStatus.PENDING, FileCounts()) for each in found)
            made = IndexingJob(self._job(), kb_id, runs)
            self.indexing_jobs[made.job.id] = made
            return made

    def _job(self) -> Job:
        now = START + timedelta(seconds=len(self.indexing_jobs))
        return Job(
            id=new_job_id(),
            external_id=None,
            tenant=1,
            kind=JobKind.INDEXING,
            state=JobState.QUEUED,
            reason=None,
            detail=None,
            collection="handbook",
            model="embed-123",
            attempt=1,
            total_items=0,
            counters=Counters(),
            created_at=now,
            updated_at=now,
            started_at=None,
            finished_at=None,
        )

    def end(
        self, indexing: IndexingJob, state: JobState, reason: Reason | None, *runs: SourceRun, has_report: bool = True
    ) -> IndexingJob:
        """For tests: put the job into a state."""
        now = indexing.job.created_at + timedelta(seconds=2, microseconds=250_000)
        finished = now if state in TERMINAL_STATES else None
        started = None if state is JobState.QUEUED else now
        job = replace(indexing.job, state=state, reason=reason, started_at=started, finished_at=finished)
        ended = replace(indexing, job=job, runs=runs or indexing.runs, has_report=has_report)
        self.indexing_jobs[job.id] = ended
        for run in runs:
            known = self.data_sources.get(run.source)
            if known is not None:
                self.data_sources[run.source] = replace(known, last_run=run, last_job=job.id)
        return ended

    def job(self, job_id: UUID, /) -> IndexingJob:
        self._enter()
        if job_id not in self.indexing_jobs:
            raise JobNotFound(str(job_id))
        return self.indexing_jobs[job_id]

    def jobs(self, limit: int, offset: int, kb_id: UUID | None, /) -> tuple[Sequence[IndexingJob], int]:
        self._enter()
        if kb_id is not None:
            self.get(kb_id)
        newest = [each for each in reversed(self.indexing_jobs.values()) if kb_id in (None, each.knowledge_base)]
        return newest[offset : offset + limit], len(newest)

    def cancel(self, job_id: UUID, /) -> IndexingJob:
        found = self.job(job_id)
        if found.job.is_terminal:
            return found
        runs = tuple(replace(run, status=SourceRunStatus.CANCELLED) for run in found.runs)
        return self.end(found, JobState.CANCELLED, Reason.BY_REQUEST, *runs)

    def report_rows(self, job_id: UUID, /) -> Iterator[ReportRow]:
        self.job(job_id)
        return iter(self.rows)

    def retrieve(self, kb_id: UUID, query: str, limit: int, wanted: MetadataFilter | None, /) -> Sequence[ChunkHit]:
        self.get(kb_id)
        self.retrieved.append((limit, wanted))
        if wanted is None:
            return self.hits[:limit]
        known = [(hit, document_metadata(hit.document.payload, hit.document.item_info)) for hit in self.hits]
        return [hit for hit, metadata in known if matches(wanted, metadata)][:limit]

    def _enter(self) -> None:
        if self.raises is not None:
            raise self.raises


def hit(ordinal: int, *, score: float = 0.5, **payload: Any) -> ChunkHit:
    """A chunk of a document of its own."""
    item_info = {"data_source": "7d3f6a1c-2a53-4bb5-9a0e-5f9e0a1c7b64", "key": f"guide/{ordinal}.md", "size": 100}
    document = StoredDocument(f"doc-{ordinal}", payload, item_info, 1, START)
    return ChunkHit(document, ordinal, 0, 4, score, f"text {ordinal}", [], [], 3, ["Jobs"])


class FakeIndexingService(FakeService):
    """The fake service with this door's parts; signer and upload store are the real ones."""

    knowledge_bases: FakeKnowledgeBases
    url_signer: UrlSigner
    upload_store: UploadStore

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.knowledge_bases = FakeKnowledgeBases()
        self.upload_store = open_upload_store(self.settings)
        self.url_signer = UrlSigner(Keyring((b"k" * 32,)))

    def uploaded(self, object_key: str | None) -> bytes | None:
        if object_key is None or self.upload_store.stat(object_key) is None:
            return None
        with self.upload_store.fetch(object_key) as file:
            return file.path.read_bytes()

    def empty(self) -> None:
        """As it was made."""
        self.knowledge_bases.__init__()  # type: ignore[misc]  # the app keeps the object
        self.engine.models.clear()
        self.engine.deploy("embed-123", "deterministic", {})
