"""Prefetching: the next files of a window are fetched several at once, while the one before them is being read."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from indexmill.errors import ItemError, TransientError
from indexmill.sources.source import Check, FetchedSource

__all__ = ["MAX_BYTES", "Prefetch", "WantedFile"]

#: Of files that are fetched or being fetched and that nobody has read yet, as their listing says; the next one always
#: may be. They are in the data folder's disk, not in memory.
MAX_BYTES: Final = 64 * 1024 * 1024
#: How often whoever waits for a file looks whether it is still wanted.
_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True)
class WantedFile:
    """`open`: called by the reader, gives what fetches the file, in any thread. `size`: about so many bytes."""

    number: int
    size: int
    open: Callable[[], Callable[[Check], FetchedSource]]


class _Unwanted(Exception):
    """Nobody waits for the file any more."""


class Prefetch:
    """Files in the order in which they will be taken; for one thread. Leaving its `with` block ends what is under way.

    A fetch that is ended stops at its next piece, and its file is removed; nobody waits for that.
    """

    def __init__(self, wanted: Sequence[WantedFile], executor: Executor, at_once: int, patience: float) -> None:
        """`at_once`: files ahead, at least 1. `patience`: seconds that waiting for one is a sign of life."""
        self._patience = patience
        self._waiting = deque(wanted)
        self._ahead: deque[tuple[WantedFile, Future[FetchedSource]]] = deque()
        self._executor = executor
        self._at_once = at_once
        self._bytes = 0
        self._is_over = threading.Event()

    def __enter__(self) -> Prefetch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._waiting.clear()
        while self._ahead:
            _discard(self._ahead.popleft()[1])

    def take(self, number: int, check: Check) -> FetchedSource | None:
        """The file, the caller's own now; None where it was not wanted. What stands before it is passed over.

        Raises:
            What fetching it has raised, and what `check` raises, which is called several times a second. After
            `patience` it is not called any more: the fetch hangs, and whoever watches the window ends it.
        """
        self._skip_to(number)
        self._fill()
        if not self._ahead or self._ahead[0][0].number != number:
            return None
        wanted, future = self._ahead[0]
        check()
        until = time.monotonic() + self._patience
        while not wait([future], timeout=_POLL_SECONDS).done:
            if time.monotonic() < until:
                check()
        self._ahead.popleft()
        self._bytes -= wanted.size
        try:
            self._fill()
        except BaseException:
            # It has left the queue, and nobody else would remove its file.
            _discard(future)
            raise
        return future.result()

    def _skip_to(self, number: int) -> None:
        while self._ahead and self._ahead[0][0].number < number:
            wanted, future = self._ahead.popleft()
            self._bytes -= wanted.size
            _discard(future)
        while self._waiting and self._waiting[0].number < number:
            self._waiting.popleft()

    def _fill(self) -> None:
        while self._waiting and len(self._ahead) < self._at_once:
            wanted = self._waiting[0]
            if self._ahead and self._bytes + wanted.size > MAX_BYTES:
                return
            self._waiting.popleft()
            self._bytes += wanted.size
            self._ahead.append((wanted, self._begun(wanted)))

    def _begun(self, wanted: WantedFile) -> Future[FetchedSource]:
        try:
            fetch = wanted.open()
        except (ItemError, TransientError) as error:
            failed: Future[FetchedSource] = Future()
            failed.set_exception(error)
            return failed
        return self._executor.submit(fetch, self._go_on)

    def _go_on(self) -> None:
        if self._is_over.is_set():
            raise _Unwanted


def _discard(future: Future[FetchedSource]) -> None:
    if not future.cancel():
        future.add_done_callback(_remove)


def _remove(future: Future[FetchedSource]) -> None:
    if future.exception() is None:
        future.result().remove()
