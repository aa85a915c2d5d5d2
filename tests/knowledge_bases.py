"""Knowledge bases in the test's own process: a bucket on a real S3 server, jobs drained by one runner."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from indexmill.domain.knowledge_base import (
    Chunking,
    ChunkingAlgorithm,
    DataSourceKind,
    IndexingJob,
    KnowledgeBase,
    NewDataSource,
)
from indexmill.engine import Engine
from indexmill.knowledge_bases import KnowledgeBases
from indexmill.pipeline.read_documents import DocumentReader, open_document_reader
from indexmill.pipeline.run_window import WindowRunner
from indexmill.pipeline.scan import SourceScan
from indexmill.settings import Settings, SourceSettings
from tests.draining import assert_conserved, drain, runner_of
from tests.s3_server import S3Server

__all__ = ["Shelf"]

SMALL = Chunking(ChunkingAlgorithm.SECTION_BASED, max_chunk_size=12)


class Shelf:
    """Knowledge bases, by default of one bucket, and what drives their jobs."""

    def __init__(self, engine: Engine, settings: Settings, s3: S3Server | None = None, bucket: str = "") -> None:
        self.settings = settings
        self.engine = engine
        self.model = "tiny"
        self.bucket = bucket
        if s3 is not None:
            sources = SourceSettings(s3=s3.settings(), timeout_seconds=5)
            self.settings = settings.model_copy(update={"sources": sources})
            self.s3 = s3.client()
            self.s3.create_bucket(Bucket=bucket)
        self.verbs = KnowledgeBases(engine, lambda *_: b"", lambda *_: None)
        self.reader: DocumentReader = open_document_reader(self.settings, engine.ledger)

    def close(self) -> None:
        self.reader.close()

    def put(self, **files: str) -> None:
        """Objects by name, without `.txt`."""
        for name, text in files.items():
            self.s3.put_object(Bucket=self.bucket, Key=f"{name}.txt", Body=text.encode())

    def remove(self, *names: str) -> None:
        for name in names:
            self.s3.delete_object(Bucket=self.bucket, Key=f"{name}.txt")

    def source(self, bucket: str | None = None, **settings: Any) -> NewDataSource:
        return NewDataSource(DataSourceKind.SPACES, {"bucket_name": bucket or self.bucket, **settings}, chunking=SMALL)

    def create(self, *sources: NewDataSource) -> KnowledgeBase:
        return self.verbs.create("shelf", self.model, sources or [self.source()], {"region": "tor1"})

    def runner(self, **changes: Any) -> WindowRunner:
        scan = SourceScan(self.engine.ledger, self.reader.data_sources, **changes.pop("scanning", {}))
        return runner_of(self.engine, documents=self.reader, scan=scan, **changes)

    def drain(self, **changes: Any) -> None:
        drain(self.engine, self.runner(**changes))
        assert_conserved(self.engine)

    def run(self, kb: KnowledgeBase, sources: list[UUID] | None = None) -> IndexingJob:
        """A job from its start to its end."""
        job = self.verbs.start(kb.id, sources)
        self.drain()
        return self.verbs.job(job.job.id)

    def last(self, kb: KnowledgeBase) -> IndexingJob:
        job = self.verbs.get(kb.id).last_job
        assert job is not None
        return job

    def names(self, kb: KnowledgeBase) -> set[str]:
        """The keys of the files that are indexed."""
        return {each.id.partition("/")[2] for each in self.engine.each_document(kb.collection)}
