"""What became of each item: statuses, and the counters that are their sums."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from indexmill.domain.failure import Failure, FailureCode, Stage
from indexmill.domain.job_state import JobState, Reason

__all__ = [
    "OUTCOME_DTYPE",
    "Counters",
    "Ending",
    "Failure",
    "FailureCode",
    "ItemStatus",
    "OutcomeArray",
    "Stage",
    "count",
    "decode_outcomes",
    "encode_outcomes",
    "ending",
    "open_positions",
]


class ItemStatus(IntEnum):
    #: Not decided yet.
    OPEN = 0
    #: Embedded and written.
    INDEXED = 1
    #: Same fingerprint and payload: at most the version moved.
    UNCHANGED = 2
    #: Same fingerprint, another payload: no vector written.
    PAYLOAD_UPDATED = 3
    #: A later submission of the same document won.
    SUPERSEDED = 4
    #: A delete that removed a document.
    REMOVED = 5
    #: A delete of what was not there.
    ABSENT = 6
    #: Could not be indexed; its previous vectors stay.
    FAILED = 7
    #: The job was cancelled before the item ran.
    CANCELLED = 8


_TO_RUN: Final = frozenset({ItemStatus.OPEN, ItemStatus.FAILED, ItemStatus.CANCELLED})


#: One record an item of a batch, in the order of its body.
OUTCOME_DTYPE: Final = np.dtype([("status", "u1"), ("chunks", "<u4"), ("tokens", "<u4")])
OutcomeArray: TypeAlias = npt.NDArray[np.void]


def encode_outcomes(outcomes: OutcomeArray) -> bytes:
    return outcomes.tobytes()


def decode_outcomes(data: bytes | None, items: int) -> OutcomeArray:
    """The stored outcomes of a batch, or `items` open ones where none are stored. A copy: writable."""
    if data is None:
        return np.zeros(items, dtype=OUTCOME_DTYPE)
    return np.frombuffer(data, dtype=OUTCOME_DTYPE).copy()


def open_positions(outcomes: bytes | None, first: int, items: int, set_aside: Iterable[int]) -> list[int]:
    """The positions of a batch that are still to run: undecided, failed or cancelled before, and not set aside."""
    statuses = decode_outcomes(outcomes, items)["status"].tolist()
    aside = set(set_aside)
    return [first + index for index, status in enumerate(statuses) if status in _TO_RUN and first + index not in aside]


@dataclass(frozen=True)
class Counters:
    """Items by status, plus chunks and tokens; `embedded`: texts the model was given, again too."""

    indexed: int = 0
    unchanged: int = 0
    payload_updated: int = 0
    superseded: int = 0
    removed: int = 0
    absent: int = 0
    failed: int = 0
    cancelled: int = 0
    chunks: int = 0
    tokens: int = 0
    embedded: int = 0

    def __add__(self, other: Counters) -> Counters:
        return Counters(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(Counters)))

    @property
    def finished(self) -> int:
        """Items whose outcome is decided, cancelled ones included."""
        return self.kept + self.superseded + self.failed + self.cancelled

    @property
    def kept(self) -> int:
        """Items that are as the request wants them."""
        return self.indexed + self.unchanged + self.payload_updated + self.removed + self.absent

    @property
    def changed(self) -> int:
        return self.indexed + self.payload_updated + self.removed


def count(outcomes: OutcomeArray, embedded: int = 0) -> Counters:
    """The counters of one batch."""
    by_status = np.bincount(outcomes["status"], minlength=len(ItemStatus)).tolist()
    return Counters(
        indexed=by_status[ItemStatus.INDEXED],
        unchanged=by_status[ItemStatus.UNCHANGED],
        payload_updated=by_status[ItemStatus.PAYLOAD_UPDATED],
        superseded=by_status[ItemStatus.SUPERSEDED],
        removed=by_status[ItemStatus.REMOVED],
        absent=by_status[ItemStatus.ABSENT],
        failed=by_status[ItemStatus.FAILED],
        cancelled=by_status[ItemStatus.CANCELLED],
        chunks=int(outcomes["chunks"].sum()),
        tokens=int(outcomes["tokens"].sum()),
        embedded=embedded,
    )


@dataclass(frozen=True)
class Ending:
    """How a job ends."""

    state: JobState
    reason: Reason


def ending(counters: Counters) -> Ending:
    """How a job whose batches are all done ends.

    Any kept item, or no items: succeeded; else failed; else cancelled, or superseded.
    """
    if counters.kept == 0 and counters.failed:
        return Ending(JobState.FAILED, Reason.BY_ITEMS)
    if counters.kept == 0 and counters.cancelled:
        # All that it was to do has been taken away from it: its data sources were deleted meanwhile.
        return Ending(JobState.CANCELLED, Reason.BY_REQUEST)
    if counters.kept == 0 and counters.superseded:
        return Ending(JobState.CANCELLED, Reason.SUPERSEDED)
    if counters.failed:
        return Ending(JobState.SUCCEEDED, Reason.WITH_FAILURES)
    if counters.changed:
        return Ending(JobState.SUCCEEDED, Reason.COMPLETE)
    return Ending(JobState.SUCCEEDED, Reason.NOTHING_CHANGED)
