"""Work items without a window around them."""

from __future__ import annotations

from uuid import UUID

from indexmill.domain.bodies import StoredItem
from indexmill.domain.document import canonical_json
from indexmill.domain.job import JobKind
from indexmill.ledger.claims import ClaimedBatch
from indexmill.pipeline.window import WorkItem

__all__ = ["batch", "work_item"]


def batch(kind: JobKind = JobKind.UPSERTION, *, items: int = 1, seq: int = 5, force: bool = False) -> ClaimedBatch:
    return ClaimedBatch(UUID(int=seq), 0, kind, seq, force, 1, "tiny", 1, 0, items, 100, 0, 0, (), None, b"[]")


def work_item(
    text: str | None = None, position: int = 0, of: ClaimedBatch | None = None, item_info: object = None
) -> WorkItem:
    info = None if item_info is None else canonical_json(item_info).encode()
    return WorkItem(position, of or batch(), position, StoredItem(f"d{position}", None, info), text)
