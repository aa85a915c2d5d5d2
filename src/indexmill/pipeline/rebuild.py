"""Rebuilding a vector index: a generation aside is filled, indexed and measured, then takes the old one's place."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from indexmill.domain.failure import FailureCode, Stage
from indexmill.errors import ItemError, SearchTimeout
from indexmill.ledger.claims import ClaimedBatch
from indexmill.ledger.collections import Collection
from indexmill.ledger.database import Connection
from indexmill.ledger.ledger import Ledger
from indexmill.pipeline.scan_slice import commit_scan
from indexmill.pipeline.structural_work import count_work
from indexmill.settings import SearchSettings
from indexmill.vectors.chunk_tables import table_of
from indexmill.vectors.generation_copy import GenerationCopy, begin_generation
from indexmill.vectors.recall import Recall, measure
from indexmill.vectors.vector_index import MAX_INDEXED_DIMENSION, VectorIndexes
from indexmill.vectors.vector_store import VectorStore

__all__ = ["Phase", "Rebuild", "RebuildProgress"]

#: Between two looks whether the index is built.
_INDEX_POLL: Final = 1.0
#: Changes and chunks: so few are left that writers may wait for them.
_LAST_CHANGES: Final = 100


class Phase(StrEnum):
    #: Chunks are copied, by their document's key.
    COPYING = "copying"
    #: The sweep that builds indexes sees this and builds one.
    INDEXING = "indexing"
    #: The index is compared with exact search.
    MEASURING = "measuring"
    #: What has changed since is caught up with, until little enough is left.
    SWITCHING = "switching"


@dataclass(frozen=True)
class RebuildProgress:
    """How far a rebuild is. `cursor`: the last document that was copied; None: all were. `chunks`: copied so far, of
    `total` that there were at its beginning.
    """

    generation: int
    phase: Phase = Phase.COPYING
    cursor: int | None = 0
    chunks: int = 0
    recall: Recall = field(default_factory=Recall)
    has_index: bool = False
    total: int = 0
    #: How often it was looked for the index in vain while nobody was building any.
    idle_polls: int = 0

    @property
    def done(self) -> float:
        """0 to 1: copying and building an index take about as long as each other."""
        if self.phase is Phase.COPYING:
            return 0.5 * self.chunks / max(self.chunks, self.total) if self.total else 0.0
        return {Phase.INDEXING: 0.5, Phase.MEASURING: 0.9}.get(self.phase, 0.95)

    def as_json(self) -> dict[str, Any]:
        return {
            "generation": self.generation,
            "phase": str(self.phase),
            "cursor": self.cursor,
            "chunks": self.chunks,
            "recall": self.recall.as_json(),
            "has_index": self.has_index,
            "total": self.total,
            "idle_polls": self.idle_polls,
        }

    @classmethod
    def of_json(cls, stored: dict[str, Any]) -> RebuildProgress:
        return cls(
            stored["generation"],
            Phase(stored["phase"]),
            stored["cursor"],
            stored["chunks"],
            Recall.of_json(stored["recall"]),
            stored["has_index"],
            stored["total"],
            stored["idle_polls"],
        )


@dataclass
class Rebuild:
    """One a worker process. A rebuild gives its turn back after `slice_seconds`; whoever is next goes on with it."""

    ledger: Ledger
    vectors: VectorStore
    indexes: VectorIndexes
    settings: SearchSettings
    slice_seconds: float = 2.0
    #: Chunks that are copied, and committed, together.
    page_chunks: int = 2000
    #: Looks for an index that nobody is building, before the rebuild fails: an hour or two.
    max_idle_polls: int = 3600

    def run(self, token: UUID, batch: ClaimedBatch, check: Callable[[], None]) -> None:
        """Take the rebuild as far as its slice allows.

        Raises:
            ScanLost: nothing more may be written for it.
            ItemError: the index is no better than it must be; the old one stays.
        """
        _Slice(self, token, batch, check, time.monotonic() + self.slice_seconds).run()


@dataclass
class _Slice:
    rebuild: Rebuild
    token: UUID
    batch: ClaimedBatch
    check: Callable[[], None]
    until: float

    def run(self) -> None:
        collection = self._collection()
        stored = self._ledger.structural_jobs.progress(self.batch.job)
        progress = RebuildProgress.of_json(stored) if stored is not None else None
        if progress is None or collection.next_generation != progress.generation:
            # Not begun, or a reset or another rebuild has come in between: what was copied is worth nothing.
            progress = self._begin(collection)
        steps = {
            Phase.COPYING: self._copy,
            Phase.INDEXING: self._await_index,
            Phase.MEASURING: self._measure,
            Phase.SWITCHING: self._switch,
        }
        while True:
            self.check()
            after = steps[progress.phase](collection, progress)
            if after is None:
                return
            progress = after
            if self._is_over:
                break
        self._let_go(0.0)

    @property
    def _ledger(self) -> Ledger:
        return self.rebuild.ledger

    @property
    def _is_over(self) -> bool:
        return time.monotonic() > self.until

    def _collection(self) -> Collection:
        return self._ledger.collections.by_id([self.batch.collection])[self.batch.collection]

    def _commit(self, work: Callable[[Connection], object]) -> None:
        commit_scan(self._ledger, self.token, self.batch, lambda connection: _ignore(work(connection)))

    def _let_go(self, seconds: float) -> None:
        self._commit(lambda connection: self._ledger.scans.let_go(connection, self.token, self.batch, seconds))

    def _note(self, connection: Connection, progress: RebuildProgress) -> None:
        self._ledger.structural_jobs.note_progress(connection, self.batch.job, progress.as_json(), progress.done)

    def _begin(self, collection: Collection) -> RebuildProgress:
        """An empty generation; from here on every commit logs what it changes."""
        begun: list[RebuildProgress] = []
        total = count_work(self._ledger, collection.id).parts

        def work(connection: Connection) -> None:
            self._ledger.generations.hold(connection, collection.id)
            number = begin_generation(connection, self._ledger.generations, self.rebuild.vectors, collection)
            begun.append(RebuildProgress(number, total=total))
            self._note(connection, begun[-1])

        self._commit(work)
        return begun[-1]

    def _copy(self, collection: Collection, progress: RebuildProgress) -> RebuildProgress:
        copy = GenerationCopy(collection, progress.generation)
        done: list[RebuildProgress] = []

        def work(connection: Connection) -> None:
            cursor = progress.cursor or 0
            # As it goes, so that the log stays short.
            copy.catch_up(connection, cursor)
            last, copied = copy.page(connection, cursor, self.rebuild.page_chunks)
            if last is not None:
                done.append(replace(progress, cursor=last, chunks=progress.chunks + copied))
            else:
                copy.analyze(connection)
                done.append(replace(progress, cursor=None, phase=Phase.INDEXING))
            self._note(connection, done[-1])

        self._commit(work)
        return done[-1]

    def _await_index(self, collection: Collection, progress: RebuildProgress) -> RebuildProgress | None:
        """The sweep builds it: that may take longer than any window."""
        table = table_of(collection.id, progress.generation)
        indexes = self.rebuild.indexes
        dimension = collection.deployment.dimension
        is_wanted = dimension <= MAX_INDEXED_DIMENSION and indexes.exceeds(
            table, self.rebuild.settings.exact_chunks, dimension
        )
        if is_wanted and not indexes.is_ready(table):
            self._catch_up(collection, progress)
            self._poll_again(progress)
            return None
        phase = Phase.MEASURING if is_wanted else Phase.SWITCHING
        after = replace(progress, phase=phase, has_index=is_wanted)
        self._commit(lambda connection: self._note(connection, after))
        return after

    def _poll_again(self, progress: RebuildProgress) -> None:
        """Others are built before it, and what failed is built again; but it is not waited for for ever."""
        idle = progress.idle_polls + (not self.rebuild.indexes.is_building())
        if idle > self.rebuild.max_idle_polls:
            raise ItemError(
                Stage.ENGINE,
                FailureCode.DEADLINE,
                "The new index was not built: the log of the service says why; the old one stays in use",
                retryable=True,
            )

        def work(connection: Connection) -> None:
            self._note(connection, replace(progress, idle_polls=idle))
            self._ledger.scans.let_go(connection, self.token, self.batch, _INDEX_POLL)

        self._commit(work)

    def _measure(self, collection: Collection, progress: RebuildProgress) -> RebuildProgress:
        settings = self.rebuild.settings

        def may_go_on() -> bool:
            self.check()
            return not self._is_over

        try:
            recall = measure(
                self._ledger.database,
                collection,
                progress.generation,
                progress.recall,
                queries=settings.recall_sample,
                may_go_on=may_go_on,
            )
        except SearchTimeout as error:
            sentence = f"The new index could not be measured: {error}; the old one stays in use"
            raise ItemError(Stage.ENGINE, FailureCode.DEADLINE, sentence, retryable=True) from error
        after = replace(progress, recall=recall)
        if recall.queries >= settings.recall_sample or not recall.queries:
            self._require(recall)
            after = replace(after, phase=Phase.SWITCHING)
        self._commit(lambda connection: self._note(connection, after))
        return after

    def _require(self, recall: Recall) -> None:
        wanted = self.rebuild.settings.min_recall
        if recall.least_effort(wanted) is None:
            raise ItemError(
                Stage.ENGINE,
                FailureCode.RECALL_TOO_LOW,
                f"The new index finds {recall.best:.4f} of the ten nearest chunks, expected {wanted:g} "
                "(search.min_recall); the old one stays in use",
                retryable=True,
            )

    def _switch(self, collection: Collection, progress: RebuildProgress) -> RebuildProgress | None:
        if self._catch_up(collection, progress) > _LAST_CHANGES:
            return progress
        ef_search = progress.recall.least_effort(self.rebuild.settings.min_recall) if progress.has_index else None
        # Exact search misses nothing.
        recall = progress.recall.at(ef_search) if ef_search is not None else 1.0
        result = _result(progress, ef_search, recall)

        def work(connection: Connection) -> None:
            self._ledger.generations.hold(connection, collection.id)
            while GenerationCopy(collection, progress.generation).catch_up(connection, None):
                pass
            switched = self._ledger.generations.switch(
                connection, collection.id, progress.generation, ef_search=ef_search, recall=recall
            )
            if not switched:
                # A reset came first: the next slice begins anew.
                self._ledger.scans.let_go(connection, self.token, self.batch, 0.0)
                return
            self._ledger.structural_jobs.end(connection, self.batch, result, progress.chunks)

        self._commit(work)
        return None

    def _catch_up(self, collection: Collection, progress: RebuildProgress) -> int:
        """Copy again what has changed, as far as the slice allows; what the last transaction had to do."""
        copy = GenerationCopy(collection, progress.generation)
        counted: list[int] = []
        while not counted or (counted[-1] > _LAST_CHANGES and not self._is_over):
            self.check()
            self._commit(lambda connection: counted.append(copy.catch_up(connection, None)))
        return counted[-1]


def _ignore(_: object) -> None:
    """Steps answer what their callers do not need."""


def _result(progress: RebuildProgress, ef_search: int | None, recall: float) -> dict[str, Any]:
    sentence = (
        f"Generation {progress.generation} holds {progress.chunks} {'chunk' if progress.chunks == 1 else 'chunks'}"
    )
    if ef_search is None:
        sentence += "; search is exact"
    else:
        sentence += (
            f"; its index finds {recall:.4f} of the ten nearest, measured with {progress.recall.queries} of them"
        )
    return {
        "generation": progress.generation,
        "chunks": progress.chunks,
        "index": "exact" if ef_search is None else "hnsw",
        "ef_search": ef_search,
        "recall_at_10": round(recall, 6),
        "sampled": progress.recall.queries if ef_search is not None else 0,
        "sentence": sentence,
    }
