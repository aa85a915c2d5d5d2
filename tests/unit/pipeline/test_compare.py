"""What is known to be the same before anything is read, by what is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from indexmill.domain.document import Version
from indexmill.domain.job import JobKind
from indexmill.domain.outcome import ItemStatus
from indexmill.pipeline.compare import compare_payload, compare_text
from indexmill.pipeline.window import BatchComparison, WorkItem
from indexmill.vectors.vector_store import Existing
from tests.unit.pipeline.items import batch, work_item

SEQ = 5


def compared(item: WorkItem, *, same: bool = False, **stored: Any) -> WorkItem:
    different = {0: Existing(**{"version": Version(1, 0), "fingerprint": b"f", "payload_hash": b"p", **stored})}
    chunks = np.array([1 if same else -1], np.int32)
    compare_payload(item, BatchComparison(b"h" * 16, chunks, {} if same else different))
    return item


def test_the_same_hash_is_unchanged_unless_forced() -> None:
    assert compared(work_item(), same=True).action is ItemStatus.UNCHANGED
    assert compared(work_item(of=batch(force=True)), same=True).action is ItemStatus.INDEXED


@pytest.mark.parametrize(
    ("version", "is_newer"),
    [(Version(SEQ, 1), True), (Version(SEQ + 1, 0), True), (Version(SEQ, 0), False), (Version(SEQ - 1, 9), False)],
)
def test_what_is_older_than_the_stored_document_is_superseded_by_it(version: Version, is_newer: bool) -> None:
    item = compared(work_item(of=batch(JobKind.INGESTION, seq=SEQ)), version=version)
    assert item.superseded_by == (version.seq if is_newer else None)


@pytest.mark.parametrize(
    ("force", "fingerprint", "action"),
    [
        (False, b"f", ItemStatus.PAYLOAD_UPDATED),
        (False, b"g", ItemStatus.INDEXED),
        (False, None, ItemStatus.INDEXED),
        (True, b"f", ItemStatus.INDEXED),
    ],
)
def test_the_same_text_with_another_payload_is_not_embedded(
    force: bool, fingerprint: bytes | None, action: ItemStatus
) -> None:
    item = work_item(of=batch(force=force))
    item.fingerprint = b"f"
    compare_text(item, BatchComparison(different={0: Existing(Version(1, 0), fingerprint, None)}))
    assert item.action is action
