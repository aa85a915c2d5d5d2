"""What one window carries from stage to stage: its items, what is known of them, what became of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from indexmill.domain.bodies import BodyHead, StoredItem
from indexmill.domain.document import HASH_BYTES, Version
from indexmill.domain.failure import Failure, FailureCode, Stage
from indexmill.domain.given_parts import PartedText
from indexmill.domain.item_source import reported_item_info
from indexmill.domain.job import MADE_HERE, BatchWork
from indexmill.domain.outcome import ItemStatus
from indexmill.errors import ItemError, TransientError
from indexmill.ledger.batches import BatchKey
from indexmill.ledger.claims import Claim, ClaimedBatch
from indexmill.ledger.collections import Collection
from indexmill.readers.extracted_text import Heading, Page
from indexmill.vectors.vector_store import Existing

__all__ = ["BatchComparison", "Reading", "Window", "WorkItem"]


@dataclass(slots=True)
class Reading:
    """What is known of the file that an item's text comes from. `size`: bytes; `media_type`: by its content."""

    sha256: str
    size: int
    media_type: str
    file_name: str | None
    pages: tuple[Page, ...] = ()
    headings: tuple[Heading, ...] = ()
    #: Of a document that was given in parts.
    parted: PartedText | None = None


@dataclass(slots=True)
class WorkItem:
    """One open item of a claimed batch. `number` counts within the window; the later fields are filled by stages."""

    number: int
    batch: ClaimedBatch
    position: int
    content: StoredItem
    text: str | None = None
    fingerprint: bytes | None = None
    payload_hash: bytes | None = None
    action: ItemStatus = ItemStatus.INDEXED
    spans: tuple[tuple[int, int], ...] = ()
    vectors: npt.NDArray[np.float32] | None = None
    tokens: int = 0
    #: Texts that the model was given for it; a text that several items have counts with the first.
    embedded: int = 0
    reading: Reading | None = None
    failure: Failure | None = None
    superseded_by: int | None = None
    #: How it becomes chunks; None: as its collection says.
    splitting: str | None = None

    @property
    def object_id(self) -> str:
        return self.content.object_id

    @property
    def is_upload(self) -> bool:
        """Whether the service itself made its `item_info`: a front door for documents, or a scan."""
        return self.batch.kind in MADE_HERE

    @property
    def version(self) -> Version:
        return Version(self.batch.seq, self.position)

    def fail(self, stage: Stage, code: FailureCode, sentence: str, *, retryable: bool) -> None:
        """Take this item out; its neighbours go on, its previous vectors stay."""
        self.failure = Failure(
            position=self.position,
            stage=stage,
            code=code,
            sentence=sentence,
            retryable=retryable,
            object_id=self.object_id,
            payload=self.content.payload,
            item_info=reported_item_info(self.content.item_info) if self.is_upload else self.content.item_info,
        )

    def fail_by(self, error: ItemError) -> None:
        self.fail(error.stage, error.code, error.sentence, retryable=error.retryable)


@dataclass(slots=True)
class BatchComparison:
    """A batch's items against what is stored, by index in the batch.

    `hashes`: their payload hashes, 16 bytes each. `chunks`: of those whose documents have these very hashes, how many
    chunks they are; -1 for the others. `different`: what is stored of these, where something is. `is_settled`: all
    that may ever be written to the documents is written, but for what is submitted later than the batch.
    """

    hashes: bytes = b""
    chunks: npt.NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    different: dict[int, Existing] = field(default_factory=dict)
    is_settled: bool = False

    def hash_of(self, index: int) -> bytes:
        return self.hashes[index * HASH_BYTES : (index + 1) * HASH_BYTES]

    def is_same(self, index: int) -> bool:
        return index < len(self.chunks) and bool(self.chunks[index] >= 0)

    @property
    def all_are_same(self) -> bool:
        return bool((self.chunks >= 0).all())


@dataclass
class Window:
    """The claimed batches' open items. All batches are of one lane, so of one kind of work.

    `deadline`: monotonic seconds; it moves on where an item runs alone.
    """

    claim: Claim
    collections: dict[int, Collection]
    deadline: float
    #: Whether the worker stops and has waited long enough for this window.
    must_release: Callable[[], bool] = lambda: False
    #: What is compared of each batch.
    heads: dict[BatchKey, BodyHead] = field(default_factory=dict)
    #: The items of each batch of which something is to be done, in the order of its body.
    contents: dict[BatchKey, list[StoredItem]] = field(default_factory=dict)
    #: What is stored of each batch's documents; none for batches of deletions.
    comparisons: dict[BatchKey, BatchComparison] = field(default_factory=dict)
    items: list[WorkItem] = field(default_factory=list)
    #: The item that runs alone now.
    position: int | None = None
    #: Batches that wait for a source of one of their items, with what it said.
    postponed: dict[BatchKey, TransientError] = field(default_factory=dict)

    def drop(self, keys: set[BatchKey]) -> None:
        """Take these batches out: they are decided."""
        self.claim = replace(self.claim, batches=[batch for batch in self.claim.batches if batch.key not in keys])

    @property
    def deletes(self) -> bool:
        return bool(self.claim.batches) and self.claim.batches[0].work is BatchWork.DELETE

    def alive(self) -> list[WorkItem]:
        """Items that neither failed nor are known to be superseded."""
        return [item for item in self.items if item.failure is None and item.superseded_by is None]

    def to_embed(self) -> list[WorkItem]:
        return [
            item
            for item in self.alive()
            if item.action is ItemStatus.INDEXED and item.vectors is None and item.batch.key not in self.postponed
        ]

    def collection_of(self, item: WorkItem) -> Collection:
        return self.collections[item.batch.collection]

    def recipe_of(self, item: WorkItem) -> str:
        """What, with the text, decides the item's vectors."""
        return self.collection_of(item).recipe_with(item.splitting)

    def of_collection(self, collection: int, items: Sequence[WorkItem]) -> list[WorkItem]:
        return [item for item in items if item.batch.collection == collection]
