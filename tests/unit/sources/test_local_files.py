"""Local paths: what lies below the allowed folders and is a regular file, and nothing else by any way."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
from pathlib import Path

import pytest

from indexmill.domain.failure import FailureCode
from indexmill.errors import InvalidRequest, ItemError, SourceRefused
from indexmill.settings import SourceSettings
from indexmill.sources import local_files
from indexmill.sources.local_files import LocalFiles, inbox
from indexmill.sources.source import private_folder


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    private_folder(folder / "fetched")
    inbox(folder)
    return folder


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.txt").write_text("hello")
    (tmp_path / "secret.txt").write_text("secret")
    return folder


@pytest.fixture
def files(data_folder: Path, docs: Path) -> LocalFiles:
    return LocalFiles(SourceSettings(allowed_folders=[docs], max_bytes=1000), data_folder / "fetched", data_folder)


def test_a_file_in_an_allowed_folder_is_copied_and_hashed(files: LocalFiles, docs: Path) -> None:
    path = docs / "sub" / "a.txt"
    for uri in (str(path), f"file://{path}", f"file://localhost{path}", f"FILE:{path}"):
        files.check(uri)
        with files.fetch(uri) as fetched:
            assert fetched.path.read_bytes() == b"hello"
            assert fetched.sha256 == hashlib.sha256(b"hello").hexdigest()
            assert (fetched.size, fetched.file_name) == (5, "a.txt")
            assert fetched.path != path
        assert path.exists()
        assert not fetched.path.exists()


def test_the_inbox_is_always_allowed_private_and_where_relative_paths_begin(data_folder: Path) -> None:
    files = LocalFiles(SourceSettings(), data_folder / "fetched", data_folder)
    box = inbox(data_folder)
    (box / "ü 1.txt").write_text("x")
    assert stat.S_IMODE(box.stat().st_mode) == 0o700
    for uri in ("ü 1.txt", str(box / "ü 1.txt"), f"file://{box}/%C3%BC%201.txt"):
        with files.fetch(uri) as fetched:
            assert fetched.file_name == "ü 1.txt"


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "//etc/passwd",
        "file:////etc/passwd",
        "file://localhost/etc/passwd",
        "file:/etc/passwd",
        "/proc/self/environ",
        "{docs}/../secret.txt",
        "file://{docs}/%2e%2e/secret.txt",
        "../fetched",
        "sub/../../x",
        "{docs}-other/a.txt",
        "{data}/spool/x",
        "/",
    ],
)
def test_everything_outside_is_refused(files: LocalFiles, docs: Path, data_folder: Path, uri: str) -> None:
    named = uri.format(docs=docs, data=data_folder)
    for ask in (files.check, files.fetch):
        with pytest.raises(SourceRefused):
            ask(named)


@pytest.mark.parametrize("uri", ["", "file://other.host/etc/passwd", "a\0b", "file:relative"])
def test_what_is_no_path_is_invalid(files: LocalFiles, uri: str) -> None:
    with pytest.raises(InvalidRequest):
        files.check(uri)


def test_a_link_within_the_folder_is_followed_and_one_out_of_it_is_not(
    files: LocalFiles, docs: Path, tmp_path: Path
) -> None:
    (docs / "inside").symlink_to(docs / "sub" / "a.txt")
    (docs / "file-out").symlink_to(tmp_path / "secret.txt")
    (docs / "folder-out").symlink_to(tmp_path)
    (docs / "loop").symlink_to(docs / "loop")
    with files.fetch(str(docs / "inside")) as fetched:
        assert fetched.size == 5
    for name in ("file-out", "folder-out/secret.txt", "folder-out/no such file"):
        with pytest.raises(SourceRefused):
            files.check(str(docs / name))
        with pytest.raises(SourceRefused):
            files.fetch(str(docs / name))
    with pytest.raises((SourceRefused, ItemError)):
        files.fetch(str(docs / "loop"))


def test_an_allowed_folder_that_is_a_link_is_allowed(data_folder: Path, docs: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(docs)
    files = LocalFiles(SourceSettings(allowed_folders=[tmp_path / "alias"]), data_folder / "fetched", data_folder)
    for path in (tmp_path / "alias" / "sub" / "a.txt", docs / "sub" / "a.txt"):
        with files.fetch(str(path)) as fetched:
            assert fetched.size == 5


def test_an_allowed_folder_around_the_data_folder_does_not_open_it(data_folder: Path, tmp_path: Path) -> None:
    (data_folder / "postgres").write_text("the database")
    (inbox(data_folder) / "a.txt").write_text("x")
    (tmp_path / "to-data").symlink_to(data_folder)
    files = LocalFiles(SourceSettings(allowed_folders=[tmp_path]), data_folder / "fetched", data_folder)
    for path in (data_folder / "postgres", tmp_path / "to-data" / "postgres"):
        with pytest.raises(SourceRefused):
            files.fetch(str(path))
    files.fetch(str(data_folder / "inbox" / "a.txt")).remove()


@pytest.mark.parametrize("swapped", ["a.txt", "sub"])
def test_a_swap_between_check_and_open_leads_nowhere(
    files: LocalFiles, docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapped: str
) -> None:
    (tmp_path / "a.txt").write_text("secret")
    locate = LocalFiles._locate

    def locate_and_swap(self: LocalFiles, path: Path) -> tuple[Path, tuple[str, ...]]:
        found = locate(self, path)
        if swapped == "sub":
            (docs / "sub").rename(docs / "moved")
            (docs / "sub").symlink_to(tmp_path)
        else:
            (docs / "sub" / "a.txt").unlink()
            (docs / "sub" / "a.txt").symlink_to(tmp_path / "a.txt")
        return found

    monkeypatch.setattr(LocalFiles, "_locate", locate_and_swap)
    with pytest.raises(ItemError) as failure:
        files.fetch(str(docs / "sub" / "a.txt"))
    assert failure.value.code is FailureCode.SOURCE_UNAVAILABLE
    assert list((tmp_path / "data" / "fetched").iterdir()) == []


def test_only_regular_files_are_read_and_nothing_waits_for_a_fifo(
    files: LocalFiles, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(docs / "fifo")
    # The name of a socket is short, the path of a test is not.
    monkeypatch.chdir(docs)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    for name in ("fifo", "socket", "sub", ""):
        with pytest.raises(ItemError, match="Expected a file"):
            files.fetch(str(docs / name))


@pytest.mark.parametrize("what", ["a fifo", "a link"])
def test_what_becomes_something_else_in_the_last_moment_is_neither_waited_for_nor_followed(
    files: LocalFiles, docs: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    check_regular = local_files._check_regular
    checks: list[os.stat_result] = []

    def check_and_swap(found: os.stat_result) -> None:
        check_regular(found)
        if not checks:
            (docs / "sub" / "a.txt").unlink()
            if what == "a fifo":
                os.mkfifo(docs / "sub" / "a.txt")
            else:
                (docs / "sub" / "a.txt").symlink_to(docs.parent / "secret.txt")
        checks.append(found)

    monkeypatch.setattr(local_files, "_check_regular", check_and_swap)
    with pytest.raises(ItemError, match=r"no regular file|cannot be opened"):
        files.fetch(str(docs / "sub" / "a.txt"))


def test_missing_files_fail_for_good_without_telling_paths(files: LocalFiles, docs: Path) -> None:
    files.check(str(docs / "missing.txt"))
    with pytest.raises(ItemError, match="does not exist") as failure:
        files.fetch(str(docs / "missing.txt"))
    assert not failure.value.retryable
    assert str(docs) not in str(failure.value)


def test_a_file_over_the_limit_is_too_large_and_leaves_nothing(
    files: LocalFiles, docs: Path, data_folder: Path
) -> None:
    (docs / "large").write_bytes(b"x" * 1001)
    with pytest.raises(ItemError) as failure:
        files.fetch(str(docs / "large"))
    assert failure.value.code is FailureCode.TOO_LARGE
    assert list((data_folder / "fetched").iterdir()) == []


def test_a_file_that_grows_while_it_is_read_meets_the_limit_too(files: LocalFiles, docs: Path) -> None:
    # Its size says 0, as that of a file does which is just being written.
    os.truncate(docs / "sub" / "a.txt", 0)
    real_fstat = os.fstat

    def fstat(descriptor: int) -> os.stat_result:
        found = real_fstat(descriptor)
        (docs / "sub" / "a.txt").write_bytes(b"x" * 2000)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fstat", fstat)
        with pytest.raises(ItemError) as failure:
            files.fetch(str(docs / "sub" / "a.txt"))
    assert failure.value.code is FailureCode.TOO_LARGE


class Stop(Exception):
    pass


def test_a_fetch_that_is_not_wanted_any_more_stops_at_the_next_piece(
    files: LocalFiles, docs: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_files, "CHUNK_BYTES", 10)
    (docs / "pieces").write_bytes(b"x" * 1000)
    pieces = iter(range(3))

    def check() -> None:
        if next(pieces, None) is None:
            raise Stop

    with pytest.raises(Stop):
        files.fetch(str(docs / "pieces"), check)
    assert list((data_folder / "fetched").iterdir()) == []
