"""Writing: vectors, outcomes, failures and the end of the batches in one transaction behind the fence."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Collection as AbstractCollection
from dataclasses import dataclass
from uuid import UUID

import psycopg

from indexmill.domain.backoff import backoff_seconds
from indexmill.domain.document import Version, canonical_json, with_plain_floats
from indexmill.domain.failure import FailureCode, Stage
from indexmill.domain.job import BatchWork
from indexmill.domain.outcome import ItemStatus, count, decode_outcomes
from indexmill.errors import ServiceError
from indexmill.ledger.batches import BatchEnd, BatchKey
from indexmill.ledger.claims import ClaimedBatch
from indexmill.ledger.collections import Collection
from indexmill.ledger.database import Connection, is_connection_loss, is_repeatable
from indexmill.ledger.ledger import Ledger
from indexmill.ledger.scans import WrittenFile
from indexmill.pipeline.window import Reading, Window, WorkItem
from indexmill.readers.extracted_text import MAX_PLACES
from indexmill.vectors.vector_store import SkippedDocument, StagedDocument, VectorStore, Written

__all__ = ["StaleItems", "WindowWriter"]

_log = logging.getLogger(__name__)


#: The store will never take this: bad data, a broken constraint, something too large for an index or the parser.
_REJECTIONS = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
)


#: A repeated commit waits so long for a connection: a worker that stops must notice it.
_RETRY_PATIENCE = 2.0


class StaleItems(Exception):
    """What these items' skips relied on has changed; the transaction was rolled back. They must be embedded."""

    def __init__(self, items: list[int]) -> None:
        super().__init__(f"{len(items)} items")
        self.items = items


class _Probe(Exception):
    pass


@dataclass(frozen=True)
class WindowWriter:
    """Commits one window, until its deadline. `worker` names this process in the totals.

    `restart_deadline` is called while the database is away: a process that waits for it does not hang.
    """

    ledger: Ledger
    vectors: VectorStore
    window: Window
    worker: str
    restart_deadline: Callable[[], None] = lambda: None

    def commit(self, keys: set[BatchKey] | None = None) -> set[BatchKey]:
        """Write these batches, by default all; those of them that were still ours and are done now.

        Raises:
            StaleItems: nothing was written.
            ServiceError: the database did not come back in time, or before the worker had to stop; nothing is lost, the
                lease will be rescued.
        """
        if keys is None:
            keys = {batch.key for batch in self.window.claim.batches}
        try:
            return self._commit(keys, self._write)
        except _REJECTIONS as error:
            _log.info("window rejected by the store (SQLSTATE %s); trying batch by batch", error.sqlstate)
        done: set[BatchKey] = set()
        for key in sorted(keys):
            done |= self._commit_alone(key)
        return done

    def commit_skips(self, keys: set[BatchKey]) -> set[BatchKey]:
        """End these batches, of which nothing has changed; those of them that were still ours and are done now.

        Raises:
            StaleItems: something has changed after all; nothing was written.
            ServiceError: as `commit`.
        """
        return self._commit(keys, self._skip)

    def _commit_alone(self, key: BatchKey) -> set[BatchKey]:
        try:
            return self._commit({key}, self._write)
        except _REJECTIONS:
            self._fail_rejected([item for item in self.window.alive() if item.batch.key == key])
            return self._commit({key}, self._write)

    def _fail_rejected(self, items: list[WorkItem]) -> None:
        """Find by halving which items the store rejects, with trials that are rolled back; they fail."""
        error = self._trial(items)
        if error is None:
            return
        if len(items) > 1:
            middle = len(items) // 2
            self._fail_rejected(items[:middle])
            self._fail_rejected(items[middle:])
            return
        reason = (error.diag.message_primary or type(error).__name__)[:300]
        items[0].fail(
            Stage.WRITE, FailureCode.STORE_REJECTED, f"The database cannot store this item: {reason}", retryable=False
        )

    def _trial(self, items: list[WorkItem]) -> psycopg.Error | None:
        try:
            with self.ledger.database.transaction() as connection:
                self._write_documents(connection, items, {item.batch.key for item in items})
                raise _Probe
        except _Probe:
            return None
        except _REJECTIONS as error:
            return error

    def _commit(
        self, keys: set[BatchKey], write: Callable[[Connection, set[BatchKey]], set[BatchKey]]
    ) -> set[BatchKey]:
        """One transaction, repeated with the vectors kept while its failure is one that passes."""
        tries = 0
        while True:
            # The first try waits as long as everybody; the next ones come back often, to see whether to go on.
            patience = _RETRY_PATIENCE if tries else None
            try:
                with self.ledger.database.transaction(patience) as connection:
                    return write(connection, keys)
            except psycopg.Error as error:
                if not is_repeatable(error):
                    raise
                if is_connection_loss(error) and self._has_committed(keys):
                    return keys
                tries = self._pause(tries, error)
            except ServiceError as error:
                tries = self._pause(tries, error)

    def _pause(self, tries: int, error: Exception) -> int:
        if time.monotonic() > self.window.deadline:
            raise ServiceError("database: expected the window to commit before its deadline, it did not") from error
        if self.window.must_release():
            raise ServiceError("database: expected the window to commit before the worker stops, it did not") from error
        _log.info("commit repeated: %s", type(error).__name__)
        self.restart_deadline()
        time.sleep(backoff_seconds(tries + 1, base=0.05, cap=2))
        return tries + 1

    def _has_committed(self, keys: set[BatchKey]) -> bool:
        try:
            return self.ledger.batches.has_committed(self.window.claim.token, keys, _RETRY_PATIENCE)
        except (psycopg.Error, ServiceError):
            # Not answered: the next try of the commit finds no batch of ours if this one was committed.
            return False

    def _write(self, connection: Connection, keys: set[BatchKey]) -> set[BatchKey]:
        items = [item for item in self.window.alive() if item.batch.key in keys]
        held, results = self._write_documents(connection, items, keys)
        if not held:
            return held
        stale = [result.item for result in results if result.stale]
        if stale:
            raise StaleItems(stale)
        self._note_files(connection, items, results)
        self._end_batches(connection, held, results)
        return held

    def _note_files(self, connection: Connection, items: list[WorkItem], results: Sequence[Written]) -> None:
        """What is indexed of data sources now, so that their next scan knows it."""
        numbered = {item.number: item for item in items if item.batch.source is not None}
        if not numbered:
            return
        mine = [(numbered[result.item], result) for result in results if result.item in numbered]
        is_delete = self.window.claim.batches[0].work is BatchWork.DELETE
        if is_delete:
            gone = [_removed_file(item) for item, result in mine if result.superseded_by is None]
            self.ledger.scans.forget(connection, [each for each in gone if each is not None])
        else:
            written = [_written_file(item, result) for item, result in mine if result.superseded_by is None]
            self.ledger.scans.record(connection, [each for each in written if each is not None])

    def _skip(self, connection: Connection, keys: set[BatchKey]) -> set[BatchKey]:
        held = self.ledger.batches.fence(connection, self.window.claim.token, keys)
        batches = [batch for batch in self.window.claim.batches if batch.key in held]
        numbers = sorted({batch.collection for batch in batches})
        for number in numbers:
            self.ledger.collections.share(connection, number)
        for number, collection in sorted(self.ledger.collections.read(connection, numbers).items()):
            self._move_versions(connection, collection, [batch for batch in batches if batch.collection == number])
        if batches:
            ends = [self._unchanged(batch) for batch in batches]
            self.ledger.batches.end(connection, sorted(ends, key=lambda end: end.key))
            items = sum(batch.items for batch in batches)
            self.ledger.workload.add_totals(connection, self.worker, items=items, embedded=0, tokens=0)
        return held

    def _move_versions(self, connection: Connection, collection: Collection, batches: list[ClaimedBatch]) -> None:
        """The versions hold off what is older and comes later; where nothing is, they need not move."""
        comparisons = self.window.comparisons
        moving = [batch for batch in batches if not comparisons[batch.key].is_settled]
        seen = self.window.collections[collection.id]
        if len(moving) < len(batches) and (seen.generation, seen.min_seq) != (
            collection.generation,
            collection.min_seq,
        ):
            # A reset came after the comparison.
            raise StaleItems([])
        documents = [document for batch in moving for document in self._skipped(batch)]
        if documents and self.vectors.skip(connection, collection, documents) is None:
            raise StaleItems([])

    def _unchanged(self, batch: ClaimedBatch) -> BatchEnd:
        outcomes = decode_outcomes(None, batch.items)
        outcomes["status"] = ItemStatus.UNCHANGED
        outcomes["chunks"] = self.window.comparisons[batch.key].chunks
        return BatchEnd(batch.key, outcomes, count(outcomes), [], None)

    def _skipped(self, batch: ClaimedBatch) -> Iterator[SkippedDocument]:
        comparison = self.window.comparisons[batch.key]
        for index, object_id in enumerate(self.window.heads[batch.key].ids):
            version = Version(batch.seq, batch.first_position + index)
            yield SkippedDocument(object_id, version, comparison.hash_of(index))

    def _write_documents(
        self, connection: Connection, items: list[WorkItem], keys: AbstractCollection[BatchKey]
    ) -> tuple[set[BatchKey], list[Written]]:
        documents = {item.number: _staged(item) for item in items}
        if documents:
            self.vectors.stage(connection, list(documents.values()))
        held = self.ledger.batches.fence(connection, self.window.claim.token, keys)
        writable = {item.number for item in items if item.batch.key in held}
        results: list[Written] = []
        numbers = sorted({item.batch.collection for item in items})
        for number in numbers:
            self.ledger.collections.share(connection, number)
        current = self.ledger.collections.read(connection, numbers) if writable else {}
        for number, collection in sorted(current.items()):
            mine = [documents[item.number] for item in self.window.of_collection(number, items)]
            results += self.vectors.write(connection, collection, mine, writable)
        return held, results

    def _end_batches(self, connection: Connection, held: set[BatchKey], results: Sequence[Written]) -> None:
        by_item = {result.item: result for result in results}
        by_batch: dict[BatchKey, list[WorkItem]] = {key: [] for key in held}
        for item in self.window.items:
            if item.batch.key in held:
                by_batch[item.batch.key].append(item)
        batches = {batch.key: batch for batch in self.window.claim.batches}
        ends = [_end_of(batches[key], by_batch[key], by_item) for key in sorted(held)]
        self.ledger.batches.end(connection, ends)
        self.ledger.workload.add_totals(
            connection,
            self.worker,
            items=sum(len(items) for items in by_batch.values()),
            embedded=sum(end.counters.embedded for end in ends),
            tokens=sum(item.tokens for items in by_batch.values() for item in items if item.embedded),
        )


def _staged(item: WorkItem) -> StagedDocument:
    if item.action is ItemStatus.REMOVED:
        return StagedDocument(item.number, item.object_id, item.version, item.action)
    is_full = item.action is ItemStatus.INDEXED
    is_skip = item.action is ItemStatus.UNCHANGED
    return StagedDocument(
        item=item.number,
        id=item.object_id,
        version=item.version,
        action=item.action,
        fingerprint=item.fingerprint,
        payload_hash=item.payload_hash,
        text=item.text if is_full else None,
        structure=_structure(item.reading) if is_full else None,
        payload=None if is_skip else _decoded(item.content.payload_json),
        item_info=None if is_skip else _item_info(item),
        vectors=item.vectors if is_full else None,
        spans=item.spans if is_full else (),
        parts=() if is_skip or item.reading is None or item.reading.parted is None else item.reading.parted.parts,
    )


def _item_info(item: WorkItem) -> str | None:
    """What came with the item; of an upload, whose `item_info` only says where its bytes lie, what the file was."""
    reading = item.reading
    if reading is None or not item.is_upload:
        return _decoded(item.content.item_info_json)
    if reading.parted is not None:
        return canonical_json({"digest": reading.parted.digest})
    return canonical_json(
        {
            "file_name": reading.file_name,
            "hash": reading.sha256,
            "media_type": reading.media_type,
            "size": reading.size,
        }
    )


def _written_file(item: WorkItem, result: Written) -> WrittenFile | None:
    source, info = item.batch.source, item.content.item_info
    if source is None or info is None or "revision" not in info:
        return None
    size = item.reading.size if item.reading is not None else info["size"]
    return WrittenFile(source, info["key"], item.object_id, info["revision"], size, result.chunks, item.batch.seq)


def _removed_file(item: WorkItem) -> tuple[UUID, str, int] | None:
    source = item.batch.source
    return None if source is None else (source, item.object_id, item.batch.seq)


def _structure(reading: Reading | None) -> str | None:
    if reading is None or not (reading.pages or reading.headings):
        return None
    return canonical_json({"pages": reading.pages[:MAX_PLACES], "headings": reading.headings[:MAX_PLACES]})


def _decoded(data: bytes | None) -> str | None:
    return None if data is None else with_plain_floats(data.decode())


def _end_of(batch: ClaimedBatch, items: list[WorkItem], by_item: dict[int, Written]) -> BatchEnd:
    outcomes = decode_outcomes(batch.outcomes, batch.items)
    superseded_by: int | None = None
    for position in batch.set_aside:
        outcomes[position - batch.first_position] = (ItemStatus.FAILED, 0, 0)
    for item in items:
        status, chunks, winner = _status(item, by_item)
        outcomes[item.position - batch.first_position] = (status, chunks, item.tokens if item.embedded else 0)
        superseded_by = max(filter(None, (superseded_by, winner)), default=None)
    return BatchEnd(
        key=batch.key,
        outcomes=outcomes,
        counters=count(outcomes, embedded=sum(item.embedded for item in items)),
        failures=[item.failure for item in items if item.failure is not None],
        superseded_by=superseded_by,
    )


def _status(item: WorkItem, by_item: dict[int, Written]) -> tuple[ItemStatus, int, int | None]:
    """Status, chunks, and the sequence number of whoever superseded it."""
    if item.failure is not None:
        return ItemStatus.FAILED, 0, None
    if item.superseded_by is not None:
        return ItemStatus.SUPERSEDED, 0, item.superseded_by
    written = by_item[item.number]
    return written.status, written.chunks, written.superseded_by
