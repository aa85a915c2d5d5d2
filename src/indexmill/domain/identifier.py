"""Job ids (UUID version 7: sorted by time) and lease tokens (random UUIDs, new at every claim)."""

from __future__ import annotations

import os
import threading
import time
from uuid import UUID, uuid4

__all__ = ["new_job_id", "new_token", "parse_job_id"]

#: How the front doors dress a job's id: 2 `task_<id>`, 4 `job_<id>`.
_DRESSES = ("task_", "job_")


class _Ticks:
    """48 bits of milliseconds and 12 of their fraction, moved on by one where the clock stands still."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        with self._lock:
            self._last = max((time.time_ns() << 12) // 1_000_000, self._last + 1)
            return self._last


_ticks = _Ticks()


def new_job_id() -> UUID:
    """A UUIDv7 that is greater than every earlier one of this process."""
    ticks = _ticks.next()
    low = int.from_bytes(os.urandom(8)) & 0x3FFF_FFFF_FFFF_FFFF
    return UUID(int=((ticks >> 12) << 80) | (0x7 << 76) | ((ticks & 0xFFF) << 64) | (0x2 << 62) | low)


def new_token() -> UUID:
    return uuid4()


def parse_job_id(reference: str) -> UUID | None:
    """The job id in `reference`, in any front door's dress; None where it is none."""
    for dress in _DRESSES:
        reference = reference.removeprefix(dress)
    try:
        return UUID(reference)
    except ValueError:
        return None
