"""Comparing: which items say what is stored already, asked of the store in one question a collection."""

from __future__ import annotations

from indexmill.domain.document import payload_hash
from indexmill.domain.item_source import is_fixed
from indexmill.domain.outcome import ItemStatus
from indexmill.ledger.claims import ClaimedBatch
from indexmill.ledger.collections import Collections
from indexmill.pipeline.window import MADE_HERE, BatchComparison, Window, WorkItem
from indexmill.vectors.vector_store import Existing, VectorStore

__all__ = ["compare_batches", "compare_payload", "compare_text", "is_unchanged"]

#: Equal to nothing that is stored: of an item whose id the store cannot hold (it fails later, with a sentence), and of
#: one whose source must be read before anybody knows.
_NO_HASH = bytes(16)
#: For fewer items, moving their versions costs less than asking whether that is needed.
_FEW_ITEMS = 64


def compare_batches(window: Window, collections: Collections, vectors: VectorStore) -> None:
    """Give the window what is stored of its documents."""
    # Before the comparison: what is settled then is settled in it.
    is_worth_asking = sum(batch.items for batch in window.claim.batches) >= _FEW_ITEMS
    settled = collections.settled(list(window.collections)) if is_worth_asking else {}
    for number, collection in window.collections.items():
        batches = [batch for batch in window.claim.batches if batch.collection == number]
        newest = _compare(window, vectors, batches)
        for batch in batches:
            comes_last = max(newest + 1, collection.min_seq) <= batch.seq <= settled.get(number, 0)
            window.comparisons[batch.key].is_settled = comes_last and batch.distinct_ids


def _compare(window: Window, vectors: VectorStore, batches: list[ClaimedBatch]) -> int:
    """The greatest `seq` of those of its documents that are as stored."""
    ids: list[str] = []
    hashes: list[bytes] = []
    for batch in batches:
        recipe = window.collections[batch.collection].recipe
        contents = window.contents[batch.key]
        mine = [
            payload_hash(recipe, item.payload_json, item.item_info_json)
            if "\0" not in item.object_id and is_fixed(item.item_info_json, is_upload=batch.kind in MADE_HERE)
            else _NO_HASH
            for item in contents
        ]
        window.comparisons[batch.key] = BatchComparison(mine, {}, {})
        hashes += mine
        ids += [item.object_id.replace("\0", "") for item in contents]
    found = vectors.compare(batches[0].collection, ids, hashes)
    start = 0
    for batch in batches:
        comparison = window.comparisons[batch.key]
        places = range(start, start + batch.items)
        comparison.same = {place - start: found.same[place] for place in places if place in found.same}
        if found.different:
            comparison.different = {
                place - start: found.different[place] for place in places if place in found.different
            }
        start += batch.items
    return found.newest


def is_unchanged(window: Window, batch: ClaimedBatch) -> bool:
    """Whether nothing of this batch needs work: all of it runs, and all of it is as stored."""
    comparison = window.comparisons.get(batch.key)
    return (
        comparison is not None
        and len(comparison.same) == batch.items
        and not batch.force
        and batch.outcomes is None
        and not batch.set_aside
        # What is indexed of a data source is noted with the documents that are written.
        and batch.source is None
        and (batch.distinct_ids or len({item.object_id for item in window.contents[batch.key]}) == batch.items)
    )


def compare_payload(item: WorkItem, comparison: BatchComparison) -> None:
    """Older than what is stored, or the same: then there is nothing to do for it."""
    index = item.position - item.batch.first_position
    item.payload_hash = comparison.payload_hashes[index]
    stored = comparison.different.get(index)
    if stored is not None and stored.version > item.version:
        item.superseded_by = stored.version.seq
    elif index in comparison.same and not item.batch.force:
        item.action = ItemStatus.UNCHANGED


def compare_text(item: WorkItem, comparison: BatchComparison) -> None:
    """The same text with another payload: no vector is made."""
    stored: Existing | None = comparison.different.get(item.position - item.batch.first_position)
    if stored is not None and stored.fingerprint == item.fingerprint and not item.batch.force:
        item.action = ItemStatus.PAYLOAD_UPDATED
