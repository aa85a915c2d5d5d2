"""The spool in the data folder: by content, whole or not at all, private, bounded, pruned."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from indexmill.domain.failure import FailureCode
from indexmill.errors import ItemError, ServiceError, TransientError
from indexmill.settings import Settings
from indexmill.sources import kept_files
from indexmill.sources.kept_files import Pruned
from indexmill.sources.spool import FolderSpool, open_spool

HELLO = "spool:" + hashlib.sha256(b"hello").hexdigest()
FOREIGN = ["", "hello", "spool:", "spool:" + "g" * 64, "spool:../../x", HELLO + "\n", HELLO.upper(), "/etc/passwd"]


@pytest.fixture
def spool(tmp_path: Path) -> FolderSpool:
    return FolderSpool(tmp_path / "spool", max_bytes=1000, default_limit=100)


def _files(spool: FolderSpool) -> list[Path]:
    return [path for path in spool._folder.rglob("*") if path.is_file() and path.name != "lock"]


def _age(spool: FolderSpool, reference: str, seconds: float) -> None:
    path = spool._files.path(reference.removeprefix("spool:"))
    os.utime(path, (time.time() - seconds, time.time() - seconds))


def test_the_same_bytes_are_stored_once_and_read_back(spool: FolderSpool) -> None:
    first = spool.write([b"hel", b"lo"])
    assert spool.write(iter([b"hello"])) == first
    assert (first.reference, first.size) == (HELLO, 5)
    assert len(_files(spool)) == 1
    with spool.open(HELLO) as file:
        assert file.read() == b"hello"


def test_files_and_folders_are_for_this_user_only(spool: FolderSpool) -> None:
    spool.write([b"hello"])
    for path in spool._folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_what_breaks_off_leaves_nothing(spool: FolderSpool) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x"
        raise ConnectionError

    with pytest.raises(ConnectionError):
        spool.write(chunks())
    with pytest.raises(ItemError) as failure:
        spool.write([b"x" * 101])
    assert failure.value.code is FailureCode.TOO_LARGE
    with pytest.raises(ItemError):
        spool.write([b"123"], limit=2)
    assert _files(spool) == []


def test_a_fetched_file_outlives_pruning_and_goes_with_its_with_block(spool: FolderSpool) -> None:
    spool.write([b"hello"])
    with spool.fetch(HELLO) as fetched:
        spool.delete(HELLO)
        assert fetched.path.read_bytes() == b"hello"
        assert (fetched.size, fetched.sha256) == (5, HELLO.removeprefix("spool:"))
    assert _files(spool) == []


def test_a_file_system_without_hard_links_gets_a_copy(spool: FolderSpool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    spool.write([b"hello"])
    with spool.fetch(HELLO) as fetched:
        assert fetched.path.read_bytes() == b"hello"


@pytest.mark.parametrize("reference", FOREIGN)
def test_what_is_no_reference_is_never_looked_for(spool: FolderSpool, reference: str) -> None:
    for ask in (spool.open, spool.fetch, spool.delete):
        with pytest.raises(ItemError, match="reference"):
            ask(reference)


def test_what_is_gone_is_said_to_be_gone(spool: FolderSpool) -> None:
    spool.delete(HELLO)
    for ask in (spool.open, spool.fetch):
        with pytest.raises(ItemError, match="no longer kept"):
            ask(HELLO)
    assert _files(spool) == []


def test_pruning_removes_what_is_old_and_not_needed(spool: FolderSpool) -> None:
    old, needed, young = (spool.write([data]).reference for data in (b"old", b"needed", b"young"))
    _age(spool, old, 100)
    _age(spool, needed, 100)
    assert spool.prune(lambda references: {needed}, 50) == Pruned(1, 3)
    for reference in (needed, young):
        spool.open(reference).close()
    with pytest.raises(ItemError):
        spool.open(old)


def test_pruning_does_a_bounded_amount(spool: FolderSpool) -> None:
    for number in range(5):
        _age(spool, spool.write([b"%d" % number]).reference, 100)
    assert spool.prune(lambda references: set(), 50, max_files=2).files == 2
    assert len(_files(spool)) == 3


def test_what_is_written_again_while_it_is_pruned_stays(spool: FolderSpool) -> None:
    spool.write([b"hello"])
    _age(spool, HELLO, 100)

    def in_use(references: Sequence[str]) -> set[str]:
        # Nobody needs it yet; then somebody uploads it again.
        spool.write([b"hello"])
        return set()

    assert spool.prune(in_use, 50) == Pruned(0, 0)
    spool.open(HELLO).close()


def test_leftovers_of_killed_processes_are_pruned(spool: FolderSpool) -> None:
    spool.check()
    leftover = spool._files.incoming / "x.part"
    leftover.touch()
    os.utime(leftover, (time.time() - 5000, time.time() - 5000))
    spool.prune(set, 0)
    assert not leftover.exists()


def test_a_full_spool_takes_nothing_until_there_is_room(tmp_path: Path) -> None:
    spool = FolderSpool(tmp_path, max_bytes=10, default_limit=100)
    first = spool.write([b"12345678"])
    with pytest.raises(TransientError, match=r"sources\.spool_max_bytes"):
        spool.write([b"abc"])
    _age(spool, first.reference, 100)
    spool.prune(lambda references: set(), 50)
    spool.write([b"abc"])


def _write_again(folder: Path, times: int) -> None:
    spool = FolderSpool(folder, max_bytes=10**9, default_limit=10**6)
    for _ in range(times):
        reference = spool.write([b"hello"]).reference
        with spool.fetch(reference) as fetched:
            assert fetched.path.read_bytes() == b"hello"


def test_processes_that_write_and_prune_the_same_bytes_never_lose_them(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_again, args=(tmp_path, 50)) for _ in range(2)]
    for each in writers:
        each.start()
    spool = FolderSpool(tmp_path, max_bytes=10**9, default_limit=10**6)
    while any(each.is_alive() for each in writers):
        spool.prune(lambda references: set(), 5)
    assert [each.exitcode for each in writers] == [0, 0]
    spool.open(HELLO).close()


def test_a_spool_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be")
    with pytest.raises(ServiceError, match="spool"):
        FolderSpool(tmp_path / "spool", max_bytes=10, default_limit=10).check()


def test_the_spool_is_in_the_data_folder_unless_set_otherwise(tmp_path: Path) -> None:
    spool = open_spool(Settings(data_folder=tmp_path))
    spool.check()
    assert (tmp_path / "spool").is_dir()
    assert spool.prune(lambda references: set(), 0).files == 0


def test_pruning_asks_for_many_at_once(spool: FolderSpool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_files, "ASKED_AT_ONCE", 3)
    written = {spool.write([b"%d" % number]).reference for number in range(7)}
    for reference in written:
        _age(spool, reference, 100)
    asked: list[Sequence[str]] = []

    def in_use(references: Sequence[str]) -> set[str]:
        asked.append(references)
        return set(references)

    assert spool.prune(in_use, 50).files == 0
    assert [len(each) for each in asked] == [3, 3, 1]
    assert {each for page in asked for each in page} == written


class Stop(Exception):
    pass


def stop() -> None:
    raise Stop


def test_a_copy_out_of_the_spool_that_is_not_wanted_any_more_stops(
    spool: FolderSpool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EXDEV, "no links here")

    reference = spool.write([b"hello"]).reference
    monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(Stop):
        spool.fetch(reference, stop)
    with spool.fetch(reference) as fetched:
        assert fetched.path.read_bytes() == b"hello"
    assert [path.name for path in tmp_path.rglob("*.part")] == []
