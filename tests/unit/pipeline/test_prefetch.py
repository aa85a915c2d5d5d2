"""Prefetching: several at once and no more, in order, bounded in bytes; whoever stops waits for nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from indexmill.errors import ItemError, TransientError
from indexmill.pipeline.prefetch import MAX_BYTES, Prefetch, WantedFile
from indexmill.sources.source import Check, FetchedSource, go_on, unavailable

AT_ONCE = 4
PATIENCE = 60.0
SECONDS = 10.0


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(AT_ONCE) as running:
        yield running


class Files:
    """Files that are fetched by a function of the test's, and how many are being fetched."""

    def __init__(self, folder: Path, fetch: Callable[[int, Check], None]) -> None:
        self.folder = folder
        self._fetch = fetch
        self._guard = threading.Lock()
        self.begun: list[int] = []
        self.running = self.most = 0

    def wanted(self, number: int, size: int = 1) -> WantedFile:
        def fetch(check: Check) -> FetchedSource:
            with self._guard:
                self.begun.append(number)
                self.running += 1
                self.most = max(self.most, self.running)
            try:
                self._fetch(number, check)
            finally:
                with self._guard:
                    self.running -= 1
            path = self.folder / str(number)
            path.write_text(str(number))
            return FetchedSource(path, size, "")

        return WantedFile(number, size, lambda: fetch)

    @property
    def left(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


def _nothing(_: int, __: Check) -> None:
    return


def _until(is_true: Callable[[], bool]) -> None:
    waited = threading.Event()
    for _ in range(int(SECONDS / 0.01)):
        if is_true():
            return
        waited.wait(0.01)
    raise AssertionError("it never became true")


def test_so_many_are_fetched_at_once_and_no_more(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    # Each waits for three others: one after another they would wait for ever.
    barrier = threading.Barrier(AT_ONCE)

    def fetch(_: int, __: Check) -> None:
        barrier.wait(SECONDS)

    files = Files(tmp_path, fetch)
    with Prefetch([files.wanted(n) for n in range(12)], executor, AT_ONCE, PATIENCE) as ahead:
        for number in range(12):
            fetched = ahead.take(number, go_on)
            assert fetched is not None
            assert len(files.begun) <= number + 1 + AT_ONCE
            with fetched:
                assert fetched.path.read_text() == str(number)
    assert files.most == AT_ONCE
    assert not files.left


def test_one_at_once_is_one_after_another(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    files = Files(tmp_path, _nothing)
    with Prefetch([files.wanted(n) for n in range(5)], executor, 1, PATIENCE) as ahead:
        for number in range(5):
            fetched = ahead.take(number, go_on)
            assert fetched is not None
            fetched.remove()
    assert files.begun == list(range(5))
    assert files.most == 1


def test_large_files_are_not_ahead_together(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    files = Files(tmp_path, _nothing)
    sizes = [2 * MAX_BYTES, MAX_BYTES // 2, MAX_BYTES // 2, 1, 1]
    with Prefetch([files.wanted(n, size) for n, size in enumerate(sizes)], executor, AT_ONCE, PATIENCE) as ahead:
        for number, begun in ((0, 3), (1, 5), (2, 5), (3, 5), (4, 5)):
            fetched = ahead.take(number, go_on)
            assert fetched is not None
            fetched.remove()
            _until(lambda begun=begun: len(files.begun) == begun)  # type: ignore[misc]
    assert files.begun[0] == 0


def test_what_is_not_taken_is_passed_over_and_what_was_never_wanted_is_none(
    tmp_path: Path, executor: ThreadPoolExecutor
) -> None:
    files = Files(tmp_path, _nothing)
    with Prefetch([files.wanted(n) for n in (1, 3, 5, 7, 9, 11)], executor, 2, PATIENCE) as ahead:
        assert ahead.take(0, go_on) is None
        assert ahead.take(2, go_on) is None
        fetched = ahead.take(9, go_on)
        assert fetched is not None
        fetched.remove()
        assert ahead.take(20, go_on) is None
    executor.shutdown()
    assert not files.left


def test_failures_come_with_their_own_file(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    def fetch(number: int, _: Check) -> None:
        if number == 1:
            raise unavailable("Gone", retryable=True)
        if number == 2:
            raise TimeoutError("the disk")

    def closed() -> Callable[[Check], FetchedSource]:
        raise TransientError("The database is away")

    files = Files(tmp_path, fetch)
    wanted = [files.wanted(n) for n in range(3)]
    with Prefetch([*wanted, WantedFile(3, 1, closed)], executor, AT_ONCE, PATIENCE) as ahead:
        first = ahead.take(0, go_on)
        assert first is not None
        first.remove()
        for number, error in ((1, ItemError), (2, TimeoutError), (3, TransientError)):
            with pytest.raises(error):
                ahead.take(number, go_on)
    assert not files.left


def test_who_stops_waits_for_nobody_and_leaves_no_file(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    """As for a cancel, a lost lease, or a worker that stops."""
    released = threading.Event()
    stopped: list[int] = []

    def fetch(number: int, check: Check) -> None:
        if number == 0:
            # A server that says nothing: only its own timeout ends this.
            released.wait(SECONDS)
            return
        try:
            while True:
                check()
                released.wait(0.01)
        except BaseException:
            stopped.append(number)
            raise

    class Stopped(Exception):
        pass

    files = Files(tmp_path, fetch)

    def check() -> None:
        if len(files.begun) == AT_ONCE:
            raise Stopped

    with pytest.raises(Stopped), Prefetch([files.wanted(n) for n in range(20)], executor, AT_ONCE, PATIENCE) as ahead:
        ahead.take(0, check)
    assert files.running > 0
    _until(lambda: sorted(stopped) == [1, 2, 3])
    released.set()
    executor.shutdown()
    assert sorted(files.begun) == [0, 1, 2, 3]
    assert not files.left
