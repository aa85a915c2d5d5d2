"""Submitting documents in the test's own process: uploads, texts, URIs and deletions, and what became of them."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

from indexmill.domain.failure import Failure
from indexmill.domain.job import Item, Job, JobKind, Submission
from indexmill.domain.job_state import JobState, Reason
from indexmill.domain.outcome import Counters
from indexmill.domain.splitting import Splitting
from indexmill.engine import Engine
from indexmill.pipeline.read_documents import DocumentReader, open_document_reader
from indexmill.pipeline.run_window import WindowRunner
from indexmill.settings import Settings, SourceSettings
from indexmill.sources.spool import open_spool
from tests import sample_files
from tests.draining import assert_conserved, drain, failures, job_of, rows, runner_of

__all__ = [
    "COLLECTION", "LONG", "Library", "chunks_of", "done", "failed", "finished", "item_of", "stored", "text_item",
    "uri_item",
]  # fmt: skip

COLLECTION = "library"
#: Of several chunks.
LONG = "\n\n".join(f"Paragraph {n} speaks of cranes and of fog in the morning." for n in range(12))
#: Words, as the deterministic model counts tokens.
SMALL = Splitting(12, 3)


def text_item(name: str, text: str, metadata: dict[str, Any] | None = None, **more: Any) -> Item:
    """Text that came with a request."""
    return Item(name, metadata, {"source": "text", "value": text, **more})


def uri_item(name: str, uri: str, metadata: dict[str, Any] | None = None, **more: Any) -> Item:
    return Item(name, metadata, {"source": "uri", "uri": uri, **more})


class Library:
    """The engine with a data folder and a collection whose documents are split, as a front door for them uses it."""

    def __init__(self, engine: Engine, settings: Settings, model: str = "tiny", **sources: Any) -> None:
        options = {"allow_private_addresses": True, "timeout_seconds": 5.0, **sources}
        self.settings = settings.model_copy(update={"sources": SourceSettings.model_validate(options)})
        self.engine = engine
        self.model = model
        self.spool = open_spool(self.settings)
        self.readers: list[DocumentReader] = []
        self.open(COLLECTION)

    def close(self) -> None:
        for each in self.readers:
            each.close()

    @property
    def inbox(self) -> Path:
        folder = self.settings.data_folder / "inbox"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def open(self, collection: str, splitting: Splitting = SMALL) -> None:
        self.engine.open_collection(collection, self.model, splitting.name)

    def runner(self, **changes: Any) -> WindowRunner:
        """A worker process's runner; they share the reader, whose extraction process takes its time to start."""
        if not self.readers:
            self.readers.append(open_document_reader(self.settings, self.engine.ledger))
        return runner_of(self.engine, documents=self.readers[-1], **changes)

    def upload(self, name: str, path: Path, metadata: dict[str, Any] | None = None, **more: Any) -> Item:
        """The file in the spool, and the item that names it."""
        stored = self.spool.write([path.read_bytes()])
        info = {"source": "spool", "value": stored.reference, "file_name": path.name, **more}
        return Item(name, metadata, info, weight=stored.size)

    def ingest(self, *items: Item, collection: str = COLLECTION) -> Job:
        return self._submit(JobKind.INGESTION, list(items), collection)

    def upsert(self, *items: Item, collection: str = COLLECTION) -> Job:
        return self._submit(JobKind.UPSERTION, list(items), collection)

    def delete(self, *names: str, collection: str = COLLECTION) -> Job:
        return self._submit(JobKind.DELETION, [Item(name) for name in names], collection)

    def leftovers(self) -> list[str]:
        """Temporary files that nobody holds any more."""
        return [path.name for path in self.settings.data_folder.rglob("*.part")]

    def _submit(self, kind: JobKind, items: list[Item], collection: str) -> Job:
        return self.engine.submit(Submission(kind, self.model, items, collection=collection)).job


def chunks_of(engine: Engine, collection: str, name: str) -> list[tuple[int, int]]:
    """Where the document's chunks begin and end."""
    found = rows(
        engine,
        "SELECT d.key, c.id, c.generation FROM document d JOIN collection c ON c.id = d.collection "
        "WHERE c.name = %s AND d.id = %s",
        collection,
        name,
    )[0]
    table = f"chunk_{found['id']}_{found['generation']}"
    stored = rows(
        engine,
        f"SELECT start_offset, end_offset FROM {table} WHERE document = %s ORDER BY ordinal",  # noqa: S608
        found["key"],
    )
    return [(row["start_offset"], row["end_offset"]) for row in stored]


def finished(library: Library, job: Job) -> Job:
    """The job after all that is ready has run."""
    drain(library.engine, library.runner())
    assert_conserved(library.engine)
    assert library.leftovers() == []
    return job_of(library.engine, job)


def done(library: Library, *items: Item, **options: Any) -> Counters:
    return finished(library, library.ingest(*items, **options)).counters


def failed(library: Library, *items: Item) -> Failure:
    job = finished(library, library.ingest(*items))
    assert (job.state, job.reason) == (JobState.FAILED, Reason.BY_ITEMS)
    (failure,) = failures(library.engine, job).values()
    return failure


def stored(library: Library, collection: str = COLLECTION) -> dict[str, dict[str, Any]]:
    found = rows(
        library.engine,
        "SELECT d.* FROM document d JOIN collection c ON c.id = d.collection "
        "WHERE c.name = %s AND d.deleted_at IS NULL ORDER BY d.id",
        collection,
    )
    return {row["id"]: row for row in found}


def item_of(library: Library, folder: Path, way: str, text: str, metadata: dict[str, Any]) -> Item:
    """The document `a` of that text, in one of the ways in which content may come."""
    if way == "text":
        return text_item("a", text, metadata)
    if way == "upload":
        return library.upload("a", sample_files.plain_text(folder / "a.txt", text), metadata)
    if way == "data":
        return uri_item("a", f"data:text/plain;base64,{b64encode(text.encode()).decode()}", metadata)
    (library.inbox / "a.txt").write_text(text)
    return uri_item("a", str(library.inbox / "a.txt"), metadata)
