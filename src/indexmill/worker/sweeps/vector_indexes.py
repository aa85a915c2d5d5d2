"""Vector indexes: large collections get one, one after the other; what a killed build left behind is removed."""

from __future__ import annotations

import logging
import time

import psycopg

from indexmill.errors import SearchTimeout, ServiceError
from indexmill.ledger.generations import IndexCandidate
from indexmill.ledger.ledger import Ledger
from indexmill.settings import Settings
from indexmill.vectors.chunk_tables import MAX_INLINE_DIMENSION, table_of
from indexmill.vectors.recall import Recall, measure
from indexmill.vectors.vector_index import MAX_INDEXED_DIMENSION, ROW_BYTES, VectorIndexes
from indexmill.worker.sweeps import Sweep

__all__ = ["sweep"]

_log = logging.getLogger(__name__)
_SECONDS = 5.0
#: A measurement of so many exact searches ends early, unless it has hardly begun.
_MEASURE_SECONDS = 120.0
_LEAST_QUERIES = 20


def sweep(ledger: Ledger, settings: Settings, indexes: VectorIndexes) -> Sweep:
    return Sweep("vector_indexes", _SECONDS, _Upkeep(ledger, settings, indexes).run, slow=True)


class _Upkeep:
    """Builds take minutes: it needs a thread of its own, and while one process builds, the others leave it at that."""

    def __init__(self, ledger: Ledger, settings: Settings, indexes: VectorIndexes) -> None:
        self._ledger = ledger
        self._settings = settings.search
        self._indexes = indexes

    def run(self) -> None:
        if self._indexes.is_building():
            return
        self._indexes.drop_broken()
        candidates = self._ledger.generations.to_index(
            rows=self._settings.exact_chunks, row_bytes=ROW_BYTES, inline_dimension=MAX_INLINE_DIMENSION
        )
        for candidate in candidates:
            try:
                self._look_after(candidate)
            except (psycopg.Error, ServiceError, SearchTimeout) as error:
                # A rebuild was given up and its table dropped, a lock was not to be had: the next turn tries again.
                _log.warning("index of %s: %s", _table(candidate), type(error).__name__)

    def _look_after(self, candidate: IndexCandidate) -> None:
        table, threshold = _table(candidate), self._settings.exact_chunks
        if candidate.dimension > MAX_INDEXED_DIMENSION or not self._indexes.exceeds(
            table, threshold, candidate.dimension
        ):
            return
        if not self._indexes.is_ready(table):
            started = time.monotonic()
            self._indexes.build(table, candidate.dimension)
            _log.info("index of %s built in %.1f s", table, time.monotonic() - started)
        if candidate.in_use:
            self._measure(candidate)

    def _measure(self, candidate: IndexCandidate) -> None:
        """Searches use the index from here on, if it finds enough."""
        collection = self._ledger.collections.by_id([candidate.collection]).get(candidate.collection)
        if collection is None:
            return
        until = time.monotonic() + _MEASURE_SECONDS
        recall = Recall()
        measure(
            self._ledger.database,
            collection,
            candidate.generation,
            recall,
            queries=self._settings.recall_sample,
            may_go_on=lambda: time.monotonic() < until or recall.queries < _LEAST_QUERIES,
        )
        ef_search = recall.least_effort(self._settings.min_recall)
        if ef_search is None:
            _log.warning(
                "index of %s is not used: it finds %.4f of the ten nearest chunks, expected %g (search.min_recall)",
                _table(candidate),
                recall.best,
                self._settings.min_recall,
            )
        found = recall.best if ef_search is None else recall.at(ef_search)
        self._ledger.generations.note_index(
            candidate.collection, candidate.generation, ef_search=ef_search, recall=found
        )


def _table(candidate: IndexCandidate) -> str:
    return table_of(candidate.collection, candidate.generation)
