"""The verbs of corpora: collections with filter attributes, documents in parts, and what changes all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import psycopg

from indexmill.domain.corpus import (
    Corpus,
    CorpusDocument,
    CorpusSize,
    DocumentPart,
    DocumentState,
    NewDocument,
    NewFile,
    QueryHit,
    Removal,
    checked_key,
    keys_of,
)
from indexmill.domain.filter_attributes import FilterAttribute, attributes_to_json, checked_attributes
from indexmill.domain.given_parts import spans_of_parts
from indexmill.domain.job import Item, Job, JobKind, Submission
from indexmill.domain.job_state import JobState, Reason
from indexmill.domain.metadata_coercion import check_fit
from indexmill.domain.outcome import Ending
from indexmill.domain.pending import Pending
from indexmill.engine import Engine
from indexmill.errors import CollectionNotFound, Conflict, InvalidRequest, ItemError, TransientError
from indexmill.ledger.collections import Collection
from indexmill.ledger.database import Connection
from indexmill.new_documents import Making, WantedDocument, begin_making, collection_of, settled_state, submission_of
from indexmill.vectors.generation_copy import begin_generation
from indexmill.vectors.selection import Selection
from indexmill.vectors.stored_documents import MAX_PAGE, DocumentContent, PageQuery, StoredDocument

__all__ = ["Corpora"]

_MAX_PATTERN: Final = 200
_EVERY_SEQ: Final = 2**63 - 1


@dataclass
class Corpora:
    """One instance a process; every method may be called from several threads.

    `model`, `splitting`: what corpora are made with.
    """

    engine: Engine
    model: str
    splitting: str

    def of(self, tenant: int, caller: str | None = None) -> Corpora:
        """The same verbs for another tenant and caller."""
        return replace(self, engine=self.engine.of(tenant, caller))

    def create(
        self,
        key: str | None,
        name: str,
        description: str = "",
        attributes: Sequence[FilterAttribute] = (),
        details: dict[str, Any] | None = None,
    ) -> Corpus:
        """A collection with these filter attributes; without a key one is made of its name.

        Raises:
            ModelNotFound: the model that corpora are made with is not deployed.
            Conflict: the key is taken.
            InvalidRequest: a key or attributes that cannot be.
        """
        checked = checked_attributes(attributes)

        def begin(connection: Connection, collection: Collection) -> None:
            self.engine.vectors.attribute_sets.declare(connection, collection.id, checked)
            self.engine.ledger.corpora.save(connection, collection.id, name, description, details or {})

        for wanted in (checked_key(key),) if key is not None else keys_of(name):
            try:
                _, is_new = self.engine.make_collection(wanted, self.model, self.splitting, begin)
            except Conflict:
                # Another door's, with a model of its own.
                is_new = False
            if is_new:
                return self.get(wanted)
        raise Conflict(f"Corpus `{key or name}` exists already; choose another key")

    def get(self, reference: str | int) -> Corpus:
        """By key, or by number.

        Raises:
            CollectionNotFound
        """
        is_number = isinstance(reference, int)
        found = self.engine.ledger.corpora.find(
            None if is_number else str(reference), int(reference) if is_number else None, self.engine.tenant
        )
        if found is None:
            raise CollectionNotFound(str(reference), [])
        return found

    def several(self, numbers: Sequence[int]) -> dict[int, Corpus]:
        """Those that are there, by number, in one query."""
        return {each.number: each for each in self.engine.ledger.corpora.numbered(numbers, self.engine.tenant)}

    def page(self, limit: int, after: int | None = None, pattern: str | None = None) -> list[Corpus]:
        """By number; `pattern`: a regular expression that their names or descriptions match.

        Raises:
            InvalidRequest: no regular expression, or one that takes too long.
        """
        if pattern is not None and len(pattern) > _MAX_PATTERN:
            raise InvalidRequest(f"filter: expected at most {_MAX_PATTERN} characters, got {len(pattern)}")
        try:
            return self.engine.ledger.corpora.page(limit, after or 0, pattern, self.engine.tenant)
        except psycopg.errors.InvalidRegularExpression as error:
            raise InvalidRequest(f"filter: expected a regular expression, got {pattern!r:.80}") from error

    def update(
        self,
        reference: str | int,
        *,
        name: str | None = None,
        description: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> Corpus:
        """Say something else of it; what is not given stays.

        Raises:
            CollectionNotFound
        """
        number = self.get(reference).number
        self.engine.ledger.database.repeat(
            lambda connection: self.engine.ledger.corpora.save(connection, number, name, description, details or {})
        )
        return self.get(number)

    def size(self, reference: str | int, *, characters: bool = False) -> CorpusSize:
        """How much is in it, counted now; `characters`: of texts and metadata, too.

        Raises:
            CollectionNotFound
        """
        return self.engine.ledger.corpora.size(self.get(reference).number, characters=characters)

    def reset(self, reference: str | int) -> None:
        """Remove every document; what was submitted before and has not run is cancelled.

        Raises:
            CollectionNotFound
        """
        self._empty(self.get(reference), deletes=False)

    def delete(self, reference: str | int) -> None:
        """As `reset`, and the corpus itself; its key is free again.

        Raises:
            CollectionNotFound
            Conflict: it is a knowledge base's.
        """
        corpus = self.get(reference)
        base = self.engine.ledger.corpora.knowledge_base(corpus.number)
        if base is not None:
            raise Conflict(f"Corpus `{corpus.key}` belongs to the knowledge base `{base}`; delete that instead")
        self._empty(corpus, deletes=True)

    def _empty(self, corpus: Corpus, *, deletes: bool) -> None:
        ledger, vectors = self.engine.ledger, self.engine.vectors

        def work(connection: Connection) -> int:
            # Whoever is writing has ended, and whoever begins later sees what is said here.
            vectors.hold_writers(connection, corpus.number)
            before = ledger.corpora.reset(connection, corpus.number)
            collection = ledger.collections.read(connection, [corpus.number])[corpus.number]
            if deletes:
                ledger.corpora.delete(connection, corpus.number)
                # Also what came in while writers were waited for.
                before = _EVERY_SEQ
            else:
                self._begin_anew(connection, collection)
            vectors.clear(connection, collection)
            return before

        before = ledger.database.once(work)
        end = Ending(JobState.CANCELLED, Reason.BY_REQUEST)
        said = "Its corpus was deleted" if deletes else "Its corpus was reset"
        for job_id in ledger.corpora.open_jobs(corpus.number, before):
            ledger.transitions.alone(job_id, partial(ledger.transitions.close, job_id=job_id, end=end, detail=said))

    def _begin_anew(self, connection: Connection, collection: Collection) -> None:
        """An empty generation: whoever searches, or builds an index, of the old one is not waited for."""
        generations = self.engine.ledger.generations
        number = begin_generation(connection, generations, self.engine.vectors, collection)
        generations.switch(connection, collection.id, number, ef_search=None, recall=None)

    # Documents

    def submit(self, reference: str | int, document: NewDocument) -> Making:
        """Queue the document, unless there is one of its id.

        Raises:
            CollectionNotFound
            InvalidRequest: an id or text that cannot be stored, or metadata that the filter attributes do not take.
        """
        return begin_making(self.engine, self.get(reference), WantedDocument.of_parts(document))

    def replace(self, reference: str | int, document: NewDocument) -> Job:
        """Queue the document, whatever is there.

        Raises:
            What `submit` raises.
        """
        return self.engine.submit(submission_of(self.get(reference), WantedDocument.of_parts(document))).job

    def put(
        self, reference: str | int, document: NewDocument, wait_seconds: float
    ) -> Pending[tuple[DocumentState, CorpusDocument]]:
        """As `submit`; when its job has ended the document can be found.

        Raises:
            What `submit` raises; at its end
            ItemError: it cannot be indexed.
            Conflict: it was cancelled; or one of its id that was being made has come to nothing.
        """
        return self._put(self.get(reference), WantedDocument.of_parts(document), wait_seconds)

    def put_file(
        self, reference: str | int, file: NewFile, wait_seconds: float
    ) -> Pending[tuple[DocumentState, CorpusDocument]]:
        """A file of the spool, as a document of its name; there already: its bytes and metadata decide.

        Raises:
            CollectionNotFound
            InvalidRequest: metadata that the filter attributes do not take; at its end
            ItemError: it cannot be read or indexed.
            Conflict: as `put`.
        """
        return self._put(self.get(reference), WantedDocument.of_file(file), wait_seconds)

    def _put(
        self, corpus: Corpus, wanted: WantedDocument, wait_seconds: float
    ) -> Pending[tuple[DocumentState, CorpusDocument]]:
        making = begin_making(self.engine, corpus, wanted)

        def finish(ended: Job | None) -> tuple[DocumentState, CorpusDocument]:
            if making.state is None:
                state = settled_state(self.engine, corpus, wanted)
            else:
                state = making.state
                if ended is not None:
                    self._check(ended)
            found = self.document(corpus.number, wanted.id)
            # Removed by somebody else a moment ago: it has been there.
            return state, found if found is not None else CorpusDocument(wanted.id, {}, ())

        return Pending(making.job, wait_seconds, finish)

    def update_metadata(
        self, reference: str | int, document_id: str, metadata: dict[str, Any], *, replaces: bool = False
    ) -> CorpusDocument | None:
        """Say this of the document: what is not given stays, or, where it `replaces`, is forgotten. None: no document.

        At once, and without a job: nothing is embedded. Updates of one document at the same time are all made.

        Raises:
            CollectionNotFound
            InvalidRequest: metadata that the filter attributes do not take.
        """
        corpus = self.get(reference)
        check_fit(corpus.attributes, metadata)

        def work(connection: Connection) -> dict[str, Any] | None:
            self.engine.ledger.collections.share(connection, corpus.number)
            collection = self.engine.ledger.collections.read(connection, [corpus.number])[corpus.number]
            return self.engine.vectors.update_payload(connection, collection, document_id, metadata, replaces=replaces)

        said = self.engine.ledger.database.repeat(work)
        return None if said is None else CorpusDocument(document_id, said)

    def _check(self, ended: Job) -> None:
        """
        Raises:
            ItemError: its item failed.
            Conflict: it was cancelled, or refused.
            TransientError: the system gave up.
        """
        if ended.state is JobState.FAILED:
            failures = self.engine.failed_items(ended, limit=1)
            if failures:
                first = failures[0]
                raise ItemError(first.stage, first.code, first.sentence, retryable=first.retryable)
            raise TransientError(ended.detail or "The service could not do it")
        if ended.state is JobState.REFUSED or ended.reason is Reason.BY_REQUEST:
            raise Conflict(ended.detail or f"job_{ended.id} was cancelled before it was done")

    def document(self, reference: str | int, document_id: str) -> CorpusDocument | None:
        """The document with its parts; None: there is none."""
        corpus = self.get(reference)
        stored = self._stored(corpus, document_id)
        if stored is None:
            return None
        contents = self.engine.contents(collection_of(self.engine, corpus), limit=1, ids=[document_id])
        parts: list[DocumentPart] = []
        for content in contents:
            parts = _parts_of(content)
        return CorpusDocument(stored.id, stored.payload or {}, tuple(parts), stored.chunks, stored.updated_at)

    def documents(
        self, reference: str | int, limit: int, after: str | None = None, metadata_filter: str | None = None
    ) -> list[CorpusDocument]:
        """A page by id. Only an empty page says that there are no more.

        Raises:
            CollectionNotFound
            InvalidRequest: a filter that cannot be read, or of what is no attribute.
        """
        corpus = self.get(reference)
        found = self._page(collection_of(self.engine, corpus), limit, after, metadata_filter)
        return [CorpusDocument(each.id, each.payload or {}, None, each.chunks, each.updated_at) for each in found]

    def remove(self, reference: str | int, document_id: str, wait_seconds: float) -> Pending[bool]:
        """When its job has ended the document cannot be found; whether there was one.

        Raises:
            CollectionNotFound
        """
        job = self.remove_all(reference, [document_id])
        return Pending(job, wait_seconds, lambda ended: bool(self._removal(ended or job).deleted))

    def bulk_remove(
        self,
        reference: str | int,
        ids: Sequence[str] | None,
        metadata_filter: str | None,
        wait_seconds: float | None,
    ) -> Pending[Removal]:
        """Documents by id, or those that the filter finds; without `wait_seconds` the job goes on by itself.

        Raises:
            CollectionNotFound
            InvalidRequest: a filter that cannot be read.
        """
        if ids is not None:
            job = self.remove_all(reference, list(dict.fromkeys(ids)))
        else:
            job = self.remove_where(reference, metadata_filter)
        if wait_seconds is None:
            return Pending.done(Removal(job.id, job.created_at))
        return Pending(job, wait_seconds, lambda ended: self._removal(ended or job))

    def _removal(self, job: Job) -> Removal:
        self._check(job)
        counters = job.counters
        return Removal(job.id, job.created_at, counters.removed, counters.absent + counters.superseded)

    def remove_all(self, reference: str | int, ids: Sequence[str]) -> Job:
        """Queue the removal of these documents.

        Raises:
            CollectionNotFound
        """
        return self._remove(self.get(reference), (Item(each) for each in ids))

    def remove_where(self, reference: str | int, metadata_filter: str | None) -> Job:
        """Queue the removal of the documents that the filter finds now; without one, of all.

        Raises:
            CollectionNotFound
            InvalidRequest: a filter that cannot be read, or of what is no attribute.
            Conflict: the filter attributes were replaced meanwhile.
        """
        corpus = self.get(reference)
        return self._remove(corpus, self._found(collection_of(self.engine, corpus), metadata_filter))

    def _remove(self, corpus: Corpus, items: Iterator[Item]) -> Job:
        wanted = Submission(
            JobKind.DELETION, corpus.model, items, collection=corpus.key, collection_number=corpus.number
        )
        return self.engine.submit(wanted).job

    def _found(self, collection: Collection, metadata_filter: str | None) -> Iterator[Item]:
        """Raises: Conflict: other filter attributes have taken the place of those that it began with."""
        sets = self.engine.vectors.attribute_sets
        began, after = sets.active(collection.id).number, None
        while True:
            page = self._page(collection, MAX_PAGE, after, metadata_filter)
            if sets.active(collection.id).number != began:
                # By these the filter may find other documents.
                raise Conflict(
                    "The filter attributes were replaced meanwhile, nothing is deleted; send the request again"
                )
            if not page:
                return
            yield from (Item(each.id) for each in page)
            after = page[-1].id

    def _page(
        self, collection: Collection, limit: int, after: str | None, metadata_filter: str | None
    ) -> list[StoredDocument]:
        query = PageQuery(Selection.of(None, (), metadata_filter), limit, after)
        return self.engine.vectors.documents(collection, query)

    def _stored(self, corpus: Corpus, document_id: str) -> StoredDocument | None:
        found = self.engine.documents(collection_of(self.engine, corpus), limit=1, ids=[document_id])
        return found[0] if found else None

    # Queries

    def query(
        self, reference: str | int, text: str, limit: int, offset: int = 0, metadata_filter: str | None = None
    ) -> list[QueryHit]:
        """The nearest parts, best first, after the first `offset`.

        Raises:
            CollectionNotFound
            InvalidRequest: nothing to embed, or a filter that cannot be read.
            What `Engine.search_chunks` raises.
        """
        corpus = self.get(reference)
        searched = collection_of(self.engine, corpus)
        hits = self.engine.search_chunks(searched, text, limit=limit + offset, metadata_filter=metadata_filter)
        return [
            QueryHit(hit.document.id, hit.text, hit.score, hit.part_metadata or {}, hit.document.payload or {})
            for hit in hits[offset:]
        ]

    def attributes(self, reference: str | int) -> Sequence[FilterAttribute]:
        """Those that filters see now.

        Raises:
            CollectionNotFound
        """
        return self.get(reference).attributes

    def replace_attributes(self, reference: str | int, attributes: Sequence[FilterAttribute]) -> Job:
        """Queue the replacement of all filter attributes; the old ones apply until every document is read anew.

        Raises:
            CollectionNotFound
            InvalidRequest: attributes that cannot be.
        """
        wanted = attributes_to_json(checked_attributes(attributes))
        collection = collection_of(self.engine, self.get(reference))
        return self.engine.change_all(collection, JobKind.REPLACE_FILTER_ATTRIBUTES, {"attributes": wanted})

    def rebuild(self, reference: str | int) -> Job:
        """Queue a rebuild of its vector index.

        Raises:
            CollectionNotFound
        """
        return self.engine.change_all(collection_of(self.engine, self.get(reference)), JobKind.REBUILD)


def _parts_of(content: DocumentContent) -> list[DocumentPart]:
    """As they were given; a file is one part."""
    if not content.parts:
        return [DocumentPart(content.text)]
    spans = spans_of_parts(content.parts, len(content.text))
    return [
        DocumentPart(content.text[start:end], part.metadata)
        for part, (start, end) in zip(content.parts, spans, strict=True)
    ]
