"""The verbs of jobs, models, search and documents, for every front door. No HTTP, no vendor words, no SQL."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from indexmill.domain.bodies import StoredItem
from indexmill.domain.failure import Failure
from indexmill.domain.job import (
    DEFAULT_TENANT,
    Job,
    JobEvent,
    JobFilter,
    JobKind,
    JobPage,
    JobPlace,
    JobWalk,
    Submission,
    Submitted,
)
from indexmill.domain.job_state import JobState, Reason
from indexmill.domain.metadata_filter import MetadataFilter
from indexmill.domain.splitting import WHOLE
from indexmill.errors import Conflict, IndexmillError, InvalidRequest, JobNotFound, LimitReached
from indexmill.ledger.collections import Collection, CollectionSummary
from indexmill.ledger.database import Connection
from indexmill.ledger.ledger import Ledger
from indexmill.models.embedding_model import Deployment, Embeddings, refuse_faults
from indexmill.models.model_cache import ModelCache
from indexmill.models.token_limit import fitting
from indexmill.vectors.chunk_search import ChunkHit, ChunkQuery
from indexmill.vectors.selection import Selection
from indexmill.vectors.stored_documents import MAX_PAGE, DocumentContent, PageQuery, StoredDocument
from indexmill.vectors.vector_store import Hit, SearchQuery, VectorStore

__all__ = ["Engine"]

MAX_SEARCH_LIMIT = 1000
MAX_EXPAND = 10
MAX_EMBED_TEXTS = 2048
MAX_EMBED_CHARACTERS = 8_000_000


@dataclass
class Engine:
    """One instance a process; every method may be called from several threads.

    `wake` is called after a commit that made work ready; it must return at once and never raise.
    """

    ledger: Ledger
    vectors: VectorStore
    models: ModelCache
    wake: Callable[[], None]
    #: Whether models for tests may crash workers and write files.
    allow_faults: bool = False
    #: Whether a tenant may have so many items more that wait (0: not known how many); raises `LimitReached`.
    check_queue: Callable[[int, int], None] = lambda _tenant, _count: None
    #: Whose jobs, models, collections and documents there are for it; no other tenant's are found by any name or id.
    tenant: int = DEFAULT_TENANT
    #: As whose its jobs are stored: the key or token of whoever asks, by name.
    caller: str | None = None

    def of(self, tenant: int, caller: str | None = None) -> Engine:
        """The engine for another tenant and caller, over the same parts; making one costs next to nothing."""
        is_mine = (tenant, caller) == (self.tenant, self.caller)
        return self if is_mine else replace(self, tenant=tenant, caller=caller)

    # Jobs

    def submit(self, submission: Submission) -> Submitted:
        """Make the job durable, then wake the workers.

        Raises:
            ModelNotFound: nothing was created.
            JobExists: the external id belongs to another request.
            LimitReached: too many items of the tenant wait.
        """
        submitted = self.ledger.submissions.submit(self._admitted(submission))
        if submitted.created and not submitted.job.is_terminal:
            self.wake()
        return submitted

    def submit_new(self, submission: Submission) -> Submitted | None:
        """As `submit`, and raising the same, of the ingestion of one document: it makes it only where there is none.

        Returns:
            None: the document is there. Not `created`: another job, which is making it now.
        """
        submitted = self.ledger.submissions.submit_new(self._admitted(submission))
        if submitted is not None and submitted.created:
            self.wake()
        return submitted

    def submit_together(self, submissions: list[Submission]) -> list[Submitted | IndexmillError]:
        """Store several small requests in one commit; each one's result, or what `submit` would have raised for it.

        They may be several tenants': each submission says whose it is.
        """
        results: list[Submitted | IndexmillError | None] = [self._over_limit(each) for each in submissions]
        wanted = [each for each, refused in zip(submissions, results, strict=True) if refused is None]
        stored = iter(self.ledger.submissions.submit_together(wanted) if wanted else ())
        answers = [next(stored) if each is None else each for each in results]
        if any(isinstance(each, Submitted) and each.created and not each.job.is_terminal for each in answers):
            self.wake()
        return answers

    def _admitted(self, submission: Submission) -> Submission:
        self._check_queue(owned := replace(submission, tenant=self.tenant, submitted_by=self.caller))
        return owned

    def _check_queue(self, submission: Submission) -> None:
        items = submission.items
        self.check_queue(submission.tenant, len(items) if isinstance(items, Sized) else 0)

    def _over_limit(self, submission: Submission) -> LimitReached | None:
        try:
            self._check_queue(submission)
        except LimitReached as error:
            return error
        return None

    def find(self, reference: str, kind: JobKind | None = None) -> Job:
        """The job with this external id (of this kind, where one is given), else with this id in any door's form.

        Raises:
            JobNotFound
        """
        job = self.ledger.jobs.find(reference, kind, self.tenant)
        if job is None:
            raise JobNotFound(reference)
        return job

    def over(self, job_ids: Sequence[UUID]) -> list[UUID]:
        """Those of these jobs, whoever's they are, that have ended or are not there any more."""
        return self.ledger.jobs.over(job_ids)

    def list_jobs(
        self, wanted: JobFilter, *, limit: int, offset: int = 0, after: str | None = None, count: bool = True
    ) -> JobPage:
        """A page of jobs, newest first by (created_at, id). `after`: the last job of the page before (keyset).

        Raises:
            JobNotFound: there is no job `after`.
        """
        cursor = self.find(after) if after is not None else None
        return self.ledger.jobs.page(
            replace(wanted, tenant=self.tenant), limit=limit, offset=offset, after=cursor, count=count
        )

    def walk_jobs(self, wanted: JobWalk, *, after: JobPlace | None = None, limit: int) -> list[Job]:
        """The next jobs, newest first; a walk meets each job once, however many are added meanwhile."""
        return self.ledger.jobs.walk(wanted, after=after, limit=limit)

    def events(self, job: Job) -> list[JobEvent]:
        """The job's transitions, oldest first."""
        return self.ledger.events.of(job.id)

    def failed_items(
        self, job: Job, *, limit: int, after_position: int = -1, max_bytes: int | None = None
    ) -> list[Failure]:
        """The job's failed items by position; `max_bytes` bounds their stored size together."""
        return self.ledger.failed_items.page(job.id, limit=limit, after_position=after_position, max_bytes=max_bytes)

    def failed_items_of(self, jobs: list[Job], *, limit: int) -> dict[UUID, list[Failure]]:
        """The first `limit` failed items of each of these jobs, in one query."""
        failing = [job.id for job in jobs if job.counters.failed]
        return self.ledger.failed_items.first_of(failing, limit=limit) if failing else {}

    def revoke_earlier(self, deletion: Job) -> None:
        """End the unfinished ingestions of the deletion's document that were submitted before it, at once."""
        self.ledger.transitions.revoke_earlier(deletion)

    def first_item(self, job: Job) -> StoredItem | None:
        """The job's first item as it was submitted; None where it has none, or where they are no longer kept."""
        return self.ledger.jobs.first_item(job.id)

    def cancel(self, job: Job) -> Job:
        """Cancel it, unless it has ended; nothing of it is written after that. Raises: Conflict: it is a cleanup."""
        return self.ledger.transitions.cancel(job.id)

    def retry(self, job: Job) -> Job:
        """Reopen the failed and unfinished items of an ended job, at its old place in the order.

        A job that is unfinished, or that has nothing to retry, is returned unchanged.

        Raises:
            BodiesExpired: its items are no longer kept.
        """
        return self._woken(self.ledger.reopening.retry(job.id))

    def rerun(self, job: Job, *, force: bool = False) -> Job:
        """Run all items of a succeeded job again with a new sequence number; `force` ignores fingerprints.

        A job in another state is returned unchanged.

        Raises:
            BodiesExpired: its items are no longer kept.
        """
        return self._woken(self.ledger.reopening.rerun(job.id, force=force))

    def restart(self, job: Job, *, force: bool = False) -> Job:
        """A door's "restart": succeeded without failures reruns; anything failed or unfinished retries."""
        if job.state is JobState.SUCCEEDED and job.reason is not Reason.WITH_FAILURES:
            return self.rerun(job, force=force)
        if job.is_terminal:
            return self.retry(job)
        return job

    def delete_finished(self, wanted: JobFilter) -> int:
        """Delete the ended jobs that match, with their bodies, failures and events; vectors stay. How many."""
        return self.ledger.retention.delete_finished(replace(wanted, tenant=self.tenant))

    def _woken(self, job: Job) -> Job:
        if job.state is JobState.QUEUED:
            self.wake()
        return job

    # Models and collections

    def deploy(self, model_id: str, provider: str, settings: dict[str, Any]) -> tuple[Deployment, bool]:
        """Load the model, measure its dimension, record it and open its collection. True where it was new.

        Raises:
            InvalidRequest: no such provider, or settings it does not take.
            ModelError: it cannot be loaded.
            ModelExists: the id is deployed with another definition.
        """
        wanted = Deployment(model_id, provider, settings)
        if not self.allow_faults:
            refuse_faults(wanted)
        dimension = self.models.warm(wanted)
        with self.ledger.database.transaction() as connection:
            measured = Deployment(model_id, provider, settings, dimension)
            stored, created = self.ledger.models.deploy(connection, measured, self.tenant)
            self._open(connection, model_id, stored, WHOLE)
        return stored, created

    def open_collection(self, name: str, model_id: str, splitting: str) -> Collection:
        """The collection of this name, made with this model and splitting where there is none; they are fixed then.

        Raises:
            ModelNotFound
            Conflict: it is there with another model.
        """
        return self._opened(name, model_id, splitting)[0]

    def _opened(
        self,
        name: str,
        model_id: str,
        splitting: str,
        begin: Callable[[Connection, Collection], None] = lambda _connection, _collection: None,
    ) -> tuple[Collection, bool]:
        found = self.ledger.collections.find(name, self.tenant)
        if found is not None:
            return _with_model(found, model_id), False
        deployment = self.ledger.models.require(model_id, self.tenant)

        def work(connection: Connection) -> tuple[Collection, bool]:
            collection, opened = self._open(connection, name, deployment, splitting)
            if opened:
                begin(connection, collection)
            return collection, opened

        return self.ledger.database.once(work)

    def make_collection(
        self,
        name: str,
        model_id: str,
        splitting: str,
        begin: Callable[[Connection, Collection], None] = lambda _connection, _collection: None,
    ) -> tuple[Collection, bool]:
        """As `open_collection`, but one that is there must have this splitting too; True where it was made now.

        `begin`: what belongs to the making, in its transaction.

        Raises:
            ModelNotFound
            Conflict: it is there with another model or splitting.
        """
        collection, is_new = self._opened(name, model_id, splitting, begin)
        if collection.splitting != splitting:
            raise Conflict(
                f"Collection `{name}` is made with the splitting `{collection.splitting}`, expected `{splitting}`; "
                "choose another name"
            )
        return collection, is_new

    def _open(
        self, connection: Connection, name: str, deployment: Deployment, splitting: str
    ) -> tuple[Collection, bool]:
        collection, opened = self.ledger.collections.open(
            connection, name, deployment, tenant=self.tenant, splitting=splitting
        )
        if opened:
            self.vectors.create_generation(connection, collection, deployment.dimension)
        return _with_model(collection, deployment.id), opened

    def fitting(self, model_id: str, text: str, tokens: int) -> int:
        """How many characters of the text, from its beginning, have at most so many tokens of the model.

        Raises:
            ModelNotFound
        """
        return fitting(self.models.get(self.ledger.models.require(model_id, self.tenant)), text, tokens)

    def deployments(self) -> list[Deployment]:
        return self.ledger.models.deployed(self.tenant)

    def withdraw(self, model_id: str) -> None:
        """Take the model out of service: its queued jobs are refused, its running ones fail; vectors stay.

        Raises:
            ModelNotFound
        """
        self.ledger.withdrawal.withdraw(model_id, self.tenant)

    def collections(self) -> list[CollectionSummary]:
        return self.ledger.collections.summaries(self.tenant)

    def has_collections(self) -> bool:
        """Costs nothing, however many documents there are."""
        return self.ledger.collections.has_any(self.tenant)

    def rebuild(self, collection_name: str) -> Job:
        """Lay the collection's vector index down anew, aside; searches go on, and what is written meanwhile is in it.

        Queued behind what else changes the whole collection. The index is measured against exact search: a worse one
        than `search.min_recall` is refused, and the old one stays. The job's `result` says what was measured.

        Raises:
            CollectionNotFound
        """
        return self.change_all(self.collection(collection_name), JobKind.REBUILD)

    def change_all(self, collection: Collection, kind: JobKind, request: dict[str, Any] | None = None) -> Job:
        """Queue a job that changes the whole collection, behind what else does.

        Raises:
            CollectionNotFound: it has been deleted meanwhile.
            LimitReached: too many items of the tenant wait.
        """
        self.check_queue(self.tenant, 1)
        return self._woken(self.ledger.structural_jobs.submit(collection, kind, request, submitted_by=self.caller))

    def collection(self, name: str | Collection) -> Collection:
        """Raises: CollectionNotFound."""
        return name if isinstance(name, Collection) else self.ledger.collections.get(name, self.tenant)

    # Search

    def search(
        self,
        collection_name: str,
        *,
        text: str | None = None,
        vector: list[float] | None = None,
        limit: int = 10,
        equal: dict[str, Any] | None = None,
    ) -> list[Hit]:
        """The nearest documents by cosine, best first; `equal`: payload fields that must have these scalar values.

        Raises:
            CollectionNotFound
            InvalidRequest: not exactly one of text and vector, a wrong dimension, a filter value that is no scalar.
            ModelError: the collection's model cannot be loaded.
        """
        if (text is None) == (vector is None):
            raise InvalidRequest("search: expected exactly one of `text` and `vector`")
        if not 1 <= limit <= MAX_SEARCH_LIMIT:
            raise InvalidRequest(f"limit: expected 1 to {MAX_SEARCH_LIMIT}, got {limit}")
        collection = self.collection(collection_name)
        wanted = self.models.embed_query(collection.deployment, text) if text is not None else vector or []
        return self.vectors.search(collection, SearchQuery(vector=wanted, limit=limit, equal=equal or {}))

    def search_chunks(
        self,
        collection: str | Collection,
        text: str,
        *,
        limit: int,
        ids: Sequence[str] | None = None,
        equal: Sequence[dict[str, Any]] = (),
        metadata_filter: str | None = None,
        metadata: MetadataFilter | None = None,
        min_score: float | None = None,
        expand: int = 0,
    ) -> list[ChunkHit]:
        """The nearest chunks by cosine, best first, also several of one document.

        Args:
            ids: only of these documents; an id that is not there matches nothing.
            equal: only of documents whose payload holds the values of every one of these.
            metadata_filter: only those that this condition over the collection's filter attributes finds.
            metadata: only of documents whose metadata fulfils these conditions.
            min_score: only those that are at least so near.
            expand: neighbours on each side whose texts come along.

        Raises:
            CollectionNotFound
            InvalidRequest: nothing to embed, a number out of range, too many ids, or a filter that JSON cannot hold.
            ModelError: the collection's model cannot be loaded.
            SearchTimeout
        """
        if not 1 <= limit <= MAX_SEARCH_LIMIT:
            raise InvalidRequest(f"limit: expected 1 to {MAX_SEARCH_LIMIT}, got {limit}")
        if not 0 <= expand <= MAX_EXPAND:
            raise InvalidRequest(f"expand: expected 0 to {MAX_EXPAND} neighbours on each side, got {expand}")
        if min_score is not None and not math.isfinite(min_score):
            raise InvalidRequest(f"min_score: expected a number, got {min_score}")
        selection = Selection.of(ids, equal, metadata_filter, metadata)
        searched = self.collection(collection)
        wanted = self.models.embed_query(searched.deployment, text)
        return self.vectors.search_chunks(searched, ChunkQuery(wanted, limit, selection, min_score, expand))

    def embed(self, model_id: str, texts: Sequence[str]) -> Embeddings:
        """Each text's vector at unit length, and its tokens, in the order of the texts.

        Raises:
            ModelNotFound
            InvalidRequest: no text, too many or too long ones, or one with nothing that the model can embed.
            ModelError, TransientError: the model cannot work.
        """
        if not 1 <= len(texts) <= MAX_EMBED_TEXTS:
            raise InvalidRequest(f"texts: expected 1 to {MAX_EMBED_TEXTS}, got {len(texts)}")
        size = sum(map(len, texts))
        if size > MAX_EMBED_CHARACTERS:
            raise InvalidRequest(f"texts: expected at most {MAX_EMBED_CHARACTERS} characters together, got {size}")
        return self.models.embed_texts(self.ledger.models.require(model_id, self.tenant), texts)

    # Stored documents

    def documents(
        self,
        collection: str | Collection,
        *,
        limit: int,
        after: str | None = None,
        ids: Sequence[str] | None = None,
        equal: Sequence[dict[str, Any]] = (),
        metadata_filter: str | None = None,
    ) -> list[StoredDocument]:
        """A page of the living documents by id, without their texts; `after`: the last id of the page before.

        Pages are bounded in bytes too: a short one is not the last one, only an empty one is. `each_document` turns
        them. `ids`, `equal`: as in `search_chunks`; `metadata_filter` too, over `doc.` only.

        Raises:
            CollectionNotFound
            InvalidRequest: a limit out of range, too many ids, or a filter that JSON cannot hold.
            SearchTimeout: a filter that few documents match took too long.
        """
        query = PageQuery(Selection.of(ids, equal, metadata_filter), limit, after)
        return self.vectors.documents(self.collection(collection), query)

    def contents(
        self,
        collection: str | Collection,
        *,
        limit: int,
        after: str | None = None,
        ids: Sequence[str] | None = None,
        equal: Sequence[dict[str, Any]] = (),
    ) -> list[DocumentContent]:
        """As `documents`, with their texts; one document may be larger than a page should be, and comes alone."""
        query = PageQuery(Selection.of(ids, equal), limit, after)
        return self.vectors.contents(self.collection(collection), query)

    def each_document(
        self,
        collection: str | Collection,
        *,
        ids: Sequence[str] | None = None,
        equal: Sequence[dict[str, Any]] = (),
        metadata_filter: str | None = None,
    ) -> Iterator[StoredDocument]:
        """All of `documents`, read page by page: each page is of its own moment."""
        after: str | None = None
        choice: dict[str, Any] = {"ids": ids, "equal": equal, "metadata_filter": metadata_filter}
        while page := self.documents(collection, limit=MAX_PAGE, after=after, **choice):
            yield from page
            after = page[-1].id


def _with_model(collection: Collection, model_id: str) -> Collection:
    if collection.deployment.id != model_id:
        raise Conflict(
            f"Collection `{collection.name}` is made with the embedding model `{collection.deployment.id}`, expected "
            f"`{model_id}`; its vectors would not fit: choose another collection"
        )
    return collection
