"""The verbs of knowledge bases: their data sources, and the jobs that keep them in step. No HTTP, no SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg

from indexmill.domain.chunking import check_chunking, splitting_of
from indexmill.domain.job import JobKind
from indexmill.domain.job_state import JobState, Reason
from indexmill.domain.knowledge_base import (
    Chunking,
    DataSource,
    IndexingJob,
    KnowledgeBase,
    NewDataSource,
    ReportRow,
)
from indexmill.domain.metadata_filter import MetadataFilter
from indexmill.domain.outcome import Ending
from indexmill.engine import Engine
from indexmill.errors import DataSourceNotFound, InvalidRequest
from indexmill.ledger.database import Connection
from indexmill.ledger.knowledge_bases import MAX_SOURCES
from indexmill.vectors.chunk_search import ChunkHit

__all__ = ["KnowledgeBases"]

_NAME_TRIES = 3
#: Of what other front doors put into its collection: its own files are split as their data source says.
_SPLITTING = splitting_of(Chunking())[0]


@dataclass
class KnowledgeBases:
    """One instance a process; every method may be called from several threads.

    `seal`: encrypts a data source's secrets, for this id. `check_source`: raises `InvalidRequest` where a data source
    cannot be read by this tenant as it is described, as far as that is known without contacting anybody.
    """

    engine: Engine
    seal: Callable[[Mapping[str, str], str], bytes]
    check_source: Callable[[NewDataSource, int], None]

    @property
    def tenant(self) -> int:
        """Whose knowledge bases there are: the engine's."""
        return self.engine.tenant

    def of(self, tenant: int, caller: str | None = None) -> KnowledgeBases:
        """The verbs for another tenant and caller; making them costs next to nothing."""
        engine = self.engine.of(tenant, caller)
        return self if engine is self.engine else replace(self, engine=engine)

    def create(self, name: str, model: str, sources: Sequence[NewDataSource], details: dict[str, Any]) -> KnowledgeBase:
        """A new knowledge base over a collection of its own; with data sources, the job that indexes them is queued.

        Raises:
            ModelNotFound
            InvalidRequest: a data source that cannot be read as it is described.
        """
        ledger = self.engine.ledger
        ledger.models.require(model, self.tenant)
        for source in sources:
            self.check_source(source, self.tenant)
        kb_id = uuid4()
        for attempt in range(_NAME_TRIES):
            is_taken = attempt > 0 or ledger.collections.find(name, self.tenant) is not None
            wanted = f"{name[:240]}-{kb_id.hex[: 8 * attempt or 8]}" if is_taken else name
            collection = self.engine.open_collection(wanted, model, _SPLITTING)
            try:
                self._insert(kb_id, collection.id, name, details, sources)
                break
            except psycopg.errors.UniqueViolation:
                # Another one took this collection a moment ago.
                if attempt == _NAME_TRIES - 1:
                    raise
        if sources:
            self.engine.wake()
        return self.get(kb_id)

    def _insert(
        self,
        kb_id: UUID,
        collection: int,
        name: str,
        details: dict[str, Any],
        sources: Sequence[NewDataSource],
    ) -> None:
        ledger = self.engine.ledger

        def work(connection: Connection) -> None:
            ledger.knowledge_bases.insert(connection, kb_id, collection, name, details)
            ids = [self._add(connection, kb_id, each).id for each in sources]
            if ids:
                ledger.indexing_jobs.start(connection, kb_id, ids, JobKind.INDEXING, self.engine.caller)

        ledger.database.once(work)

    def _add(self, connection: Connection, kb_id: UUID, wanted: NewDataSource) -> DataSource:
        now = datetime.now(UTC)
        source = DataSource(uuid4(), kb_id, wanted.kind, wanted.settings, wanted.chunking, now, now)
        sealed = self.seal(wanted.secrets, str(source.id)) if wanted.secrets else None
        self.engine.ledger.knowledge_bases.insert_source(connection, source, sealed)
        return source

    def get(self, kb_id: UUID) -> KnowledgeBase:
        """Raises: KnowledgeBaseNotFound."""
        return self._with_jobs([self.engine.ledger.knowledge_bases.find(kb_id, self.tenant)])[0]

    def page(self, limit: int, offset: int) -> tuple[list[KnowledgeBase], int]:
        """Newest first, and how many there are."""
        found, total = self.engine.ledger.knowledge_bases.page(limit, offset, self.tenant)
        return self._with_jobs(found), total

    def _with_jobs(self, found: Sequence[KnowledgeBase]) -> list[KnowledgeBase]:
        jobs = self.engine.ledger.indexing_jobs.last_of([each.id for each in found], self.tenant)
        return [replace(each, last_job=jobs.get(each.id)) for each in found]

    def update(self, kb_id: UUID, *, name: str | None = None, details: dict[str, Any] | None = None) -> KnowledgeBase:
        """Another name for people, other details; model and collection are fixed.

        Raises:
            KnowledgeBaseNotFound
        """
        self.engine.ledger.knowledge_bases.update(kb_id, name, details or {}, self.tenant)
        return self.get(kb_id)

    def delete(self, kb_id: UUID) -> None:
        """Cancel its job, forget its data sources and their secrets, and remove their documents by a job of its own.

        Raises:
            KnowledgeBaseNotFound
        """
        ledger = self.engine.ledger

        def work(connection: Connection) -> None:
            ledger.knowledge_bases.lock(connection, kb_id, self.tenant)
            running = ledger.indexing_jobs.running(connection, kb_id)
            if running is not None:
                end = Ending(JobState.CANCELLED, Reason.BY_REQUEST)
                ledger.transitions.close(connection, running, end, "Its knowledge base was deleted")
            sources = [each.id for each in ledger.knowledge_bases.read_sources(connection, kb_id)]
            if sources:
                ledger.knowledge_bases.delete_sources(connection, kb_id, sources)
                ledger.indexing_jobs.start(connection, kb_id, sources, JobKind.CLEANUP, self.engine.caller)
            ledger.knowledge_bases.delete(connection, kb_id)

        ledger.database.once(work)
        self.engine.wake()

    # Data sources

    def add_source(self, kb_id: UUID, wanted: NewDataSource) -> DataSource:
        """A data source more; the next job indexes it.

        Raises:
            KnowledgeBaseNotFound
            InvalidRequest: it cannot be read as it is described, or there are too many.
        """
        ledger = self.engine.ledger
        ledger.knowledge_bases.find(kb_id, self.tenant)
        self.check_source(wanted, self.tenant)

        def work(connection: Connection) -> DataSource:
            ledger.knowledge_bases.lock(connection, kb_id, self.tenant)
            if len(ledger.knowledge_bases.read_sources(connection, kb_id)) >= MAX_SOURCES:
                raise InvalidRequest(f"Expected at most {MAX_SOURCES} data sources in a knowledge base")
            return self._add(connection, kb_id, wanted)

        return self.source(kb_id, ledger.database.once(work).id)

    def source(self, kb_id: UUID, source_id: UUID) -> DataSource:
        """Raises: KnowledgeBaseNotFound, DataSourceNotFound."""
        self.engine.ledger.knowledge_bases.find(kb_id, self.tenant)
        return self._with_runs([self.engine.ledger.knowledge_bases.source(kb_id, source_id)])[0]

    def sources(self, kb_id: UUID, limit: int, offset: int) -> tuple[list[DataSource], int]:
        """In the order in which they were added, and how many there are.

        Raises:
            KnowledgeBaseNotFound
        """
        ledger = self.engine.ledger
        ledger.knowledge_bases.find(kb_id, self.tenant)
        found = ledger.knowledge_bases.sources(kb_id, limit=limit, offset=offset)
        return self._with_runs(found), ledger.knowledge_bases.count_sources(kb_id)

    def _with_runs(self, found: Sequence[DataSource]) -> list[DataSource]:
        jobs = self.engine.ledger.indexing_jobs.last_of_sources([each.id for each in found], self.tenant)
        result = []
        for each in found:
            job = jobs.get(each.id)
            run = next((run for run in job.runs if run.source == each.id), None) if job is not None else None
            result.append(replace(each, last_run=run, last_job=None if job is None else job.job.id))
        return result

    def update_source(self, kb_id: UUID, source_id: UUID, chunking: Chunking) -> DataSource:
        """Another chunking; the next job reads its files again.

        Raises:
            KnowledgeBaseNotFound, DataSourceNotFound
            InvalidRequest: sizes that the model does not take.
        """
        self.source(kb_id, source_id)
        check_chunking(chunking)
        self.engine.ledger.knowledge_bases.update_source(kb_id, source_id, chunking)
        return self.source(kb_id, source_id)

    def remove_source(self, kb_id: UUID, source_id: UUID) -> None:
        """Forget it and its secrets, close its part of a running job, and remove its documents by a job at once.

        Raises:
            KnowledgeBaseNotFound, DataSourceNotFound
        """
        ledger = self.engine.ledger

        def work(connection: Connection) -> UUID | None:
            ledger.knowledge_bases.lock(connection, kb_id, self.tenant)
            if not ledger.knowledge_bases.delete_sources(connection, kb_id, [source_id]):
                raise DataSourceNotFound(str(source_id))
            running = ledger.indexing_jobs.running(connection, kb_id)
            if running is not None:
                ledger.indexing_jobs.leave_out(connection, running, [source_id])
            ledger.indexing_jobs.start(connection, kb_id, [source_id], JobKind.CLEANUP, self.engine.caller)
            return running

        running = ledger.database.once(work)
        if running is not None:
            ledger.transitions.finish([running])
        self.engine.wake()

    # Indexing jobs

    def start(self, kb_id: UUID, sources: Sequence[UUID] | None = None) -> IndexingJob:
        """Queue a job over these data sources, by default over all of the knowledge base.

        Raises:
            KnowledgeBaseNotFound, DataSourceNotFound
            IndexingJobRunning: names the job that is at work.
            InvalidRequest: there is no data source.
            LimitReached: too many items of the tenant wait.
        """
        ledger = self.engine.ledger
        self.engine.check_queue(self.tenant, 0)
        ledger.models.require(ledger.knowledge_bases.find(kb_id, self.tenant).model, self.tenant)
        wanted = list(dict.fromkeys(sources)) if sources else None

        def work(connection: Connection) -> UUID:
            ledger.knowledge_bases.lock(connection, kb_id, self.tenant)
            found = [each.id for each in ledger.knowledge_bases.read_sources(connection, kb_id, wanted)]
            missing = set(wanted or ()) - set(found)
            if missing:
                raise DataSourceNotFound(str(min(missing)))
            if not found:
                raise InvalidRequest("The knowledge base has no data source; add one, then start an indexing job")
            return ledger.indexing_jobs.start(connection, kb_id, found, JobKind.INDEXING, self.engine.caller)

        job_id = ledger.database.once(work)
        self.engine.wake()
        return self.job(job_id)

    def job(self, job_id: UUID) -> IndexingJob:
        """Raises: JobNotFound."""
        return self.engine.ledger.indexing_jobs.get(job_id, self.tenant)

    def jobs(self, limit: int, offset: int, kb_id: UUID | None = None) -> tuple[list[IndexingJob], int]:
        """Newest first, and how many there are.

        Raises:
            KnowledgeBaseNotFound
        """
        if kb_id is not None:
            self.engine.ledger.knowledge_bases.find(kb_id, self.tenant)
        return self.engine.ledger.indexing_jobs.page(limit, offset, kb_id, self.tenant)

    def cancel(self, job_id: UUID) -> IndexingJob:
        """Cancel it if it is unfinished; after the return nothing of it is written. An ended job is unchanged.

        Raises:
            JobNotFound
        """
        self.engine.cancel(self.job(job_id).job)
        return self.job(job_id)

    def report_rows(self, job_id: UUID) -> Iterator[ReportRow]:
        """Every file of the job.

        Raises:
            JobNotFound
        """
        self.job(job_id)
        return self.engine.ledger.indexing_jobs.report(job_id)

    # Retrieval

    def retrieve(self, kb_id: UUID, query: str, limit: int, wanted: MetadataFilter | None = None) -> list[ChunkHit]:
        """The nearest chunks of the knowledge base, of documents whose metadata fulfils these conditions.

        Raises:
            KnowledgeBaseNotFound
            What `Engine.search_chunks` raises.
        """
        found = self.engine.ledger.knowledge_bases.find(kb_id, self.tenant)
        return self.engine.search_chunks(found.collection, query, limit=limit, metadata=wanted)
