"""Runs one window: load, decide, split, embed, write; and the one place where its outcome becomes a transition."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from indexmill.domain.backoff import backoff_seconds
from indexmill.domain.document import fingerprint
from indexmill.domain.failure import FailureCode, Stage
from indexmill.domain.item_source import has_source
from indexmill.domain.job import BatchWork
from indexmill.domain.outcome import ItemStatus
from indexmill.errors import InvalidRequest, ItemError, ModelError, SourceError, TransientError
from indexmill.ledger.batches import BatchKey
from indexmill.ledger.claims import Claim, ClaimedBatch
from indexmill.ledger.collections import Collection
from indexmill.ledger.ledger import Ledger
from indexmill.models.embedding_model import EmbeddingModel, text_keys
from indexmill.models.model_cache import ModelCache
from indexmill.pipeline.compare import compare_batches, compare_payload, compare_text, is_unchanged
from indexmill.pipeline.embed import embed_items, embed_last_tries
from indexmill.pipeline.load import check_storable, load_bodies, load_heads, load_items, load_texts
from indexmill.pipeline.read_documents import DocumentReader
from indexmill.pipeline.scan import SourceScan
from indexmill.pipeline.scan_slice import ScanLost
from indexmill.pipeline.split import split_items, split_last_tries
from indexmill.pipeline.structural_work import StructuralWorks, run_slice
from indexmill.pipeline.window import BatchComparison, Window, WorkItem
from indexmill.pipeline.write import StaleItems, WindowWriter
from indexmill.vectors.vector_store import VectorStore

__all__ = ["WindowAborted", "WindowOutcome", "WindowReleased", "WindowRunner"]

_log = logging.getLogger(__name__)
#: A window that goes on moves its deadline when less of it is left.
_DEADLINE_LEFT = 0.7


class WindowAborted(Exception):
    """No batch carries the window's token: cancelled, or rescued by somebody else."""


class WindowReleased(Exception):
    """The worker is stopping and has waited long enough for this window."""


class WindowOutcome(Enum):
    #: Committed.
    DONE = "done"
    #: Committed; all of it was as stored already.
    UNCHANGED = "unchanged"
    #: Nothing of it was ours any more.
    LOST = "lost"
    #: Given back because the worker stops; counts as no loss.
    RELEASED = "released"
    #: A transient cause: its batches wait for another try.
    DEFERRED = "deferred"
    #: The model cannot work: its lane is stopped, the batches were given back.
    STOPPED = "stopped"


@dataclass
class WindowRunner:
    """One a worker process. `worker` is its name in leases and totals."""

    ledger: Ledger
    vectors: VectorStore
    models: ModelCache
    documents: DocumentReader
    scan: SourceScan
    #: What changes whole collections, by its kind.
    structural: StructuralWorks
    worker: str
    max_tries: int
    max_text_bytes: int
    deadline_seconds: float
    #: Called where the deadline starts anew: with an item that runs alone, and while the database is away.
    restart_deadline: Callable[[], None] = lambda: None
    #: What splitting and embedding took in the last window, without loading its model.
    embed_seconds: float = 0.0

    def run(
        self, claim: Claim, is_held: Callable[[], bool], must_release: Callable[[], bool] = lambda: False
    ) -> WindowOutcome:
        """Run the claim to its end.

        `is_held`: whether any batch still carries its token. `must_release`: whether to stop and give them back.

        Raises:
            ServiceError: the database went away; the lease will be rescued.
        """

        def check() -> None:
            if not is_held():
                raise WindowAborted
            if must_release():
                raise WindowReleased

        self.embed_seconds = 0.0
        deadline = time.monotonic() + self.deadline_seconds
        collections = self.ledger.collections.by_id(sorted({batch.collection for batch in claim.batches}))
        window = Window(claim, collections, deadline, must_release)
        if not claim.may_go_back:
            self._start(claim.batches)
        if any(batch.tries for batch in claim.batches):
            self.ledger.transitions.resume(claim.job_ids)
        try:
            if claim.batches[0].work is BatchWork.SCAN:
                return self._scan(window, check)
            if claim.batches[0].work in self.structural:
                return self._structural(window, check)
            return self._run(window, check)
        except WindowAborted:
            # Nothing should be held any more; what is, against expectation, goes back.
            self.ledger.leases.give_back(claim.token)
            return WindowOutcome.LOST
        except WindowReleased:
            self.ledger.leases.give_back(claim.token)
            return WindowOutcome.RELEASED
        except TransientError as error:
            self._wait(claim.token, 1, error)
            return WindowOutcome.DEFERRED
        except (ModelError, InvalidRequest) as error:
            return self._stop(claim, error)

    def _scan(self, window: Window, check: Callable[[], None]) -> WindowOutcome:
        """A slice of one data source's scan; one that cannot be read is a failed item of its job."""
        token, batch = window.claim.token, window.claim.batches[0]
        try:
            failure = self._scan_failure(batch, lambda: self.scan.run(token, batch, self._progressing(window, check)))
            if failure is not None:
                self.scan.fail(token, batch, *failure)
        except TransientError as error:
            self._wait(token, batch.tries + 1, error)
            return WindowOutcome.DEFERRED
        except ScanLost:
            self.ledger.leases.drop(token)
            return WindowOutcome.LOST
        return self._conclude(window, {batch.key})

    def _scan_failure(self, batch: ClaimedBatch, scan: Callable[[], None]) -> tuple[str, str] | None:
        """Code and sentence of a scan that has failed for good; None: it goes on, or is over.

        Raises:
            TransientError: it may be tried again.
            ScanLost
        """
        if batch.set_aside:
            return FailureCode.WORKER_LOST, "The scan of this data source ended its worker process again and again"
        try:
            scan()
        except SourceError as error:
            return error.code, error.sentence
        except TransientError as error:
            if batch.tries + 1 < self.max_tries:
                raise
            return "unavailable", f"Given up after {self.max_tries} tries, the last one: {error}"
        return None

    def _structural(self, window: Window, check: Callable[[], None]) -> WindowOutcome:
        """A slice of what changes a whole collection."""
        token, batch = window.claim.token, window.claim.batches[0]
        try:
            run_slice(self.structural, self.ledger, token, batch, self._progressing(window, check))
        except ScanLost:
            self.ledger.leases.drop(token)
            return WindowOutcome.LOST
        return self._conclude(window, {batch.key})

    def _start(self, batches: Iterable[ClaimedBatch]) -> None:
        """Before anything of them is committed. Jobs whose batches are only compared, and go back, have not begun."""
        if queued := sorted({batch.job for batch in batches if batch.is_queued}):
            self.ledger.transitions.start(queued)

    def _run(self, window: Window, check: Callable[[], None]) -> WindowOutcome:
        claimed = window.claim
        self._end_unreadable(window, load_heads(window))
        skipped: set[BatchKey] = set()
        if window.claim.batches and not window.deletes:
            compare_batches(window, self.ledger.collections, self.vectors)
            skipped = self._skip(window)
            if skipped and not window.claim.batches:
                return self._conclude(window, skipped, WindowOutcome.UNCHANGED)
            # Whatever becomes of the rest.
            if skipped:
                self.ledger.transitions.finish(sorted({job for job, _ in skipped}))
            self._return_what_is_too_much(window)
        if claimed.may_go_back:
            self._start(window.claim.batches)
        self._end_unreadable(window, load_bodies(window))
        if not window.claim.batches:
            self.ledger.leases.give_back(window.claim.token)
            return WindowOutcome.DONE if skipped else WindowOutcome.LOST
        check = self._progressing(window, check)
        try:
            self._prepare(window, check)
            done = self._commit(window, check)
        except TransientError as error:
            return self._defer(window, check, error)
        if window.postponed:
            return self._postpone(window, done)
        return self._conclude(window, done | skipped)

    def _return_what_is_too_much(self, window: Window) -> None:
        """Of what is to be embedded, a window keeps what it has the time for; comparing took many times as much."""
        claim, kept = window.claim, 0
        rest: set[BatchKey] = set()
        for batch in claim.batches:
            if kept and kept + batch.size > claim.work_bytes:
                rest.add(batch.key)
            kept += batch.size
        if rest:
            self.ledger.leases.return_some(claim.token, rest)
            window.drop(rest)

    def _end_unreadable(self, window: Window, jobs: set[UUID]) -> None:
        """Their items are not what was stored, whatever happened to the database: they would be claimed for ever."""
        for job in sorted(jobs):
            self.ledger.transitions.fail(
                job, "The stored items of this task are missing or damaged in the database; submit them again"
            )
        window.drop({batch.key for batch in window.claim.batches if batch.job in jobs})

    def _progressing(self, window: Window, check: Callable[[], None]) -> Callable[[], None]:
        """`check`, called as work goes on: a window that is long, and does not hang, moves its deadline."""

        def progress() -> None:
            check()
            if window.deadline - time.monotonic() < self.deadline_seconds * _DEADLINE_LEFT:
                self._restart_deadline(window, window.position)

        return progress

    def _postpone(self, window: Window, done: set[BatchKey]) -> WindowOutcome:
        """The batches that are not done wait for their sources."""
        tries = max(batch.tries for batch in window.claim.batches if batch.key in window.postponed) + 1
        self._wait(window.claim.token, tries, next(iter(window.postponed.values())))
        self.ledger.transitions.finish(sorted({job for job, _ in done}))
        self._resume_probed(window)
        return WindowOutcome.DEFERRED

    def _resume_probed(self, window: Window) -> None:
        if window.claim.probes and any(item.vectors is not None for item in window.items):
            self.ledger.lanes.resume(window.claim.lane)

    def _skip(self, window: Window) -> set[BatchKey]:
        """End the batches of which nothing has changed, and take them out of the window; which they were.

        They need no document read, staged or written, and most batches of a repeated job are like that.
        """
        unchanged = {batch.key for batch in window.claim.batches if is_unchanged(window, batch)}
        moving = [key for key in unchanged if not window.comparisons[key].is_settled]
        ids = [object_id for key in moving for object_id in window.heads[key].ids]
        if not unchanged or len(set(ids)) < len(ids):
            # The same document in two batches: which of them wins is for the whole window to decide.
            return set()
        if window.claim.may_go_back:
            self._start(batch for batch in window.claim.batches if batch.key in unchanged)
        writer = self._writer(window)
        try:
            done = writer.commit_skips(unchanged)
        except StaleItems:
            return set()
        window.drop(unchanged)
        return done

    def _conclude(
        self, window: Window, done: set[BatchKey], outcome: WindowOutcome = WindowOutcome.DONE
    ) -> WindowOutcome:
        """After the commit: end the jobs whose last batch this was."""
        self.ledger.transitions.finish(sorted({job for job, _ in done}))
        self.ledger.leases.drop(window.claim.token)
        self._resume_probed(window)
        return outcome if done else WindowOutcome.LOST

    def _prepare(self, window: Window, check: Callable[[], None]) -> None:
        load_items(window)
        if window.deletes:
            for item in window.items:
                item.action = ItemStatus.REMOVED
            return
        self._tell(window, "Parse", 20)
        for number, collection in window.collections.items():
            self._decide(window, window.of_collection(number, window.alive()), collection, check)
        self._tell(window, "Storage", 60)
        self._embed(window, check)

    def _tell(self, window: Window, step: str, percentage: int) -> None:
        """Tell those who asked for it how far their jobs are."""
        jobs = {batch.job for batch in window.claim.batches if batch.has_callback}
        if jobs:
            callbacks = self.ledger.callbacks
            self.ledger.database.read(lambda connection: callbacks.progress(connection, sorted(jobs), step, percentage))

    def _decide(self, window: Window, items: list[WorkItem], collection: Collection, check: Callable[[], None]) -> None:
        """Compare with what is stored: older than it, the same, or with another payload only.

        What says the same as before is not even parsed.
        """
        for item in items:
            compare_payload(item, window.comparisons[item.batch.key])
        unknown = [item for item in items if item.action is ItemStatus.INDEXED and item.superseded_by is None]
        # Told apart once: an `item_info` may be as long as a document.
        documents = [item for item in unknown if has_source(item.content.item_info_json)]
        sourced = {item.number for item in documents}
        plain = [item for item in unknown if item.number not in sourced]
        load_texts(plain, text_keys(collection.deployment.settings), self.max_text_bytes)
        for item in plain:
            if item.failure is None:
                item.fingerprint = fingerprint(item.text or "", window.recipe_of(item))
                compare_text(item, window.comparisons[item.batch.key])
        if documents:
            self._read(window, documents, check)

    def _read(
        self, window: Window, items: list[WorkItem], check: Callable[[], None], stored: BatchComparison | None = None
    ) -> None:
        """Fetch and extract. An item whose source may be there later makes its batch wait, if it still may.

        `stored`: what is stored of the items, if it is not what the window found.
        """
        before = self._before(window)
        # An item that runs alone is fetched alone too: whatever happens is its own doing.
        with self.documents.prefetch(items if before is None else ()) as ahead:
            for item in items:
                key = item.batch.key
                if key in window.postponed:
                    continue
                check()
                if before is not None:
                    before(item.position)
                try:
                    check_storable(item)
                    self.documents.read(item, window.recipe_of(item), stored or window.comparisons[key], check, ahead)
                except ItemError as error:
                    item.fail_by(error)
                except TransientError as error:
                    self._postpone_batch(window, item, error)
        if before is not None:
            self._restart_deadline(window, None)

    def _postpone_batch(self, window: Window, item: WorkItem, error: TransientError) -> None:
        """Or, at the batch's last try, fail the item alone."""
        batch = item.batch
        if batch.tries + 1 < self.max_tries:
            window.postponed[batch.key] = error
            # Read again at the next try; nobody needs them until then.
            for each in window.items:
                if each.batch.key == batch.key:
                    each.text = None
            return
        sentence = f"Given up after {self.max_tries} tries, the last one: {error}"
        item.fail(Stage.LOAD, FailureCode.TRIES_EXHAUSTED, sentence[:1500], retryable=True)

    def _embed(self, window: Window, check: Callable[[], None]) -> None:
        """Embed what must be embedded, model by model; sets the items' vectors or failures."""
        items = window.to_embed()
        for number, collection in window.collections.items():
            mine = window.of_collection(number, items)
            if mine:
                model = self._model(window, number)
                before = self._before(window)
                began = time.monotonic()
                split_items(mine, collection.splitting, model, check, before)
                mine = [item for item in mine if item.failure is None]
                embed_items(model, mine, check=check, before=before)
                self.embed_seconds += time.monotonic() - began
        if window.claim.runs_item_by_item:
            self._restart_deadline(window, None)

    def _model(self, window: Window, collection: int) -> EmbeddingModel:
        return self.models.get(window.collections[collection].deployment)

    def _before(self, window: Window) -> Callable[[int], None] | None:
        if not window.claim.runs_item_by_item:
            return None
        return lambda position: self._restart_deadline(window, position)

    def _restart_deadline(self, window: Window, position: int | None) -> None:
        """Everybody who watches the window counts its deadline from now: the item at `position` runs alone, or none."""
        self.ledger.leases.note_position(window.claim.token, position)
        self.restart_deadline()
        window.position = position
        window.deadline = time.monotonic() + self.deadline_seconds

    def _commit(self, window: Window, check: Callable[[], None], keys: set[BatchKey] | None = None) -> set[BatchKey]:
        """Commit these batches of the window, by default all of them; those that were still ours."""
        writer = self._writer(window)
        if keys is None:
            keys = {batch.key for batch in window.claim.batches}
        while ready := keys - window.postponed.keys():
            try:
                return writer.commit(ready)
            except StaleItems as stale:
                _log.info("%s: what they relied on has changed; embedding them", stale)
                self._reopen(window, [window.items[number] for number in stale.items], check)
                self._embed(window, check)
                check()
        return set()

    def _writer(self, window: Window) -> WindowWriter:
        return WindowWriter(self.ledger, self.vectors, window, self.worker, self.restart_deadline)

    def _reopen(self, window: Window, items: list[WorkItem], check: Callable[[], None]) -> None:
        """What these items would have skipped must be done after all."""
        documents: list[WorkItem] = []
        for item in items:
            item.action = ItemStatus.INDEXED
            collection = window.collection_of(item)
            if has_source(item.content.item_info_json):
                documents.append(item)
            else:
                load_texts([item], text_keys(collection.deployment.settings), self.max_text_bytes)
                item.fingerprint = fingerprint(item.text or "", window.recipe_of(item))
        # As if nothing were stored: then nothing can be relied on.
        self._read(window, documents, check, stored=BatchComparison())

    def _defer(self, window: Window, check: Callable[[], None], error: TransientError) -> WindowOutcome:
        """Wait and try again; batches that have been tried often enough are ended, each item for itself."""
        claim = window.claim
        exhausted = {batch.key for batch in claim.batches if batch.tries + 1 >= self.max_tries}
        done: set[BatchKey] = set()
        if exhausted:
            self._try_one_by_one(window, check, exhausted)
            done = self._commit(window, check, exhausted)
        if len(exhausted) == len(claim.batches):
            return self._conclude(window, done)
        tries = max(batch.tries for batch in claim.batches if batch.key not in exhausted) + 1
        self._wait(claim.token, tries, error)
        self.ledger.transitions.finish(sorted({job for job, _ in done}))
        return WindowOutcome.DEFERRED

    def _try_one_by_one(self, window: Window, check: Callable[[], None], keys: set[BatchKey]) -> None:
        """The last tries of these batches' items: begun within one deadline together, each with one of its own."""
        until = time.monotonic() + self.deadline_seconds

        def before(position: int) -> None:
            check()
            self._restart_deadline(window, position)

        items = [item for item in window.to_embed() if item.batch.key in keys]
        for number, collection in window.collections.items():
            mine = window.of_collection(number, items)
            if mine:
                model = self._model(window, number)
                split_last_tries(mine, collection.splitting, model, tries=self.max_tries, before=before)
                embed_last_tries(
                    model,
                    [item for item in mine if item.failure is None],
                    tries=self.max_tries,
                    before=before,
                    is_time_up=lambda: time.monotonic() > until,
                )
        self._restart_deadline(window, None)

    def _wait(self, token: UUID, tries: int, error: TransientError) -> None:
        self.ledger.batches.defer(token, backoff_seconds(tries), f"Waiting to try again: {error}"[:1000])

    def _stop(self, claim: Claim, error: Exception) -> WindowOutcome:
        _log.warning("lane %s stopped: %s", claim.lane, error)
        self.ledger.lanes.stop(claim.lane, str(error))
        self.ledger.leases.give_back(claim.token)
        return WindowOutcome.STOPPED
