"""Comparing: which items say what is stored already, asked of the store in one question a collection."""

from __future__ import annotations

import itertools
from bisect import bisect_right

from indexmill.domain.bodies import BodyHead
from indexmill.domain.document import HASH_BYTES, canonical_json, payload_hashes
from indexmill.domain.outcome import ItemStatus
from indexmill.ledger.claims import ClaimedBatch
from indexmill.ledger.collections import Collections
from indexmill.pipeline.window import BatchComparison, Window, WorkItem
from indexmill.vectors.vector_store import Existing, VectorStore

__all__ = ["compare_batches", "compare_payload", "compare_text", "is_unchanged"]

#: For fewer items, moving their versions costs less than asking whether that is needed.
_FEW_ITEMS = 64


def compare_batches(window: Window, collections: Collections, vectors: VectorStore) -> None:
    """Give the window what is stored of its documents."""
    # Before the comparison: what is settled then is settled in it.
    is_worth_asking = sum(batch.items for batch in window.claim.batches) >= _FEW_ITEMS
    settled = collections.settled(list(window.collections)) if is_worth_asking else {}
    for number, collection in window.collections.items():
        batches = [batch for batch in window.claim.batches if batch.collection == number]
        if not batches:
            continue
        newest = _compare(window, vectors, batches)
        for batch in batches:
            comes_last = max(newest + 1, collection.min_seq) <= batch.seq <= settled.get(number, 0)
            window.comparisons[batch.key].is_settled = comes_last and batch.distinct_ids


def _compare(window: Window, vectors: VectorStore, batches: list[ClaimedBatch]) -> int:
    """The greatest `seq` of those of its documents that are as stored."""
    recipe = window.collections[batches[0].collection].recipe
    hashes = payload_hashes(recipe, b"".join(window.heads[batch.key].digests for batch in batches))
    found = vectors.compare(batches[0].collection, _ids_json([window.heads[batch.key] for batch in batches]), hashes)
    starts = [0, *itertools.accumulate(batch.items for batch in batches)]
    mine: list[BatchComparison] = []
    for start, end in itertools.pairwise(starts):
        mine.append(BatchComparison(hashes[start * HASH_BYTES : end * HASH_BYTES], found.chunks[start:end]))
    for place, each in found.different.items():
        number = bisect_right(starts, place) - 1
        mine[number].different[place - starts[number]] = each
    window.comparisons |= zip((batch.key for batch in batches), mine, strict=True)
    return found.newest


def _ids_json(heads: list[BodyHead]) -> str:
    """One list of the ids of all. One that the store cannot hold stands for nothing: its digest is equal to nothing."""
    joined = b"[" + b",".join(head.ids_json[1:-1] for head in heads) + b"]"
    if b"\\u0000" in joined:
        return canonical_json([object_id.replace("\0", "") for head in heads for object_id in head.ids])
    return joined.decode()


def is_unchanged(window: Window, batch: ClaimedBatch) -> bool:
    """Whether nothing of this batch needs work: all of it runs, and all of it is as stored."""
    comparison = window.comparisons.get(batch.key)
    return (
        comparison is not None
        and comparison.all_are_same
        and not batch.force
        and batch.outcomes is None
        and not batch.set_aside
        # What is indexed of a data source is noted with the documents that are written.
        and batch.source is None
        and (batch.distinct_ids or len(set(window.heads[batch.key].ids)) == batch.items)
    )


def compare_payload(item: WorkItem, comparison: BatchComparison) -> None:
    """Older than what is stored, or the same: then there is nothing to do for it."""
    index = item.position - item.batch.first_position
    item.payload_hash = comparison.hash_of(index)
    stored = comparison.different.get(index)
    if stored is not None and stored.version > item.version:
        item.superseded_by = stored.version.seq
    elif comparison.is_same(index) and not item.batch.force:
        item.action = ItemStatus.UNCHANGED


def compare_text(item: WorkItem, comparison: BatchComparison) -> None:
    """The same text with another payload: no vector is made."""
    stored: Existing | None = comparison.different.get(item.position - item.batch.first_position)
    if stored is not None and stored.fingerprint == item.fingerprint and not item.batch.force:
        item.action = ItemStatus.PAYLOAD_UPDATED
