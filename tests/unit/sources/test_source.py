"""Temporary files, their limits and names."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.domain.failure import FailureCode
from indexmill.errors import ItemError, TransientError
from indexmill.sources.source import (
    Deadline,
    IncomingFile,
    clean_file_name,
    clean_media_type,
    private_folder,
    remove_leftovers,
)


def test_a_kept_file_is_counted_hashed_private_and_gone_after_its_with_block(tmp_path: Path) -> None:
    with IncomingFile(tmp_path, 100) as incoming:
        incoming.write(b"hel")
        incoming.write(b"lo")
        fetched = incoming.keep("a.txt", "text/plain")
    with fetched:
        assert fetched.path.read_bytes() == b"hello"
        assert (fetched.size, fetched.sha256) == (5, hashlib.sha256(b"hello").hexdigest())
        assert stat.S_IMODE(fetched.path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_kept_is_removed_whatever_happened(tmp_path: Path) -> None:
    with suppress(RuntimeError), IncomingFile(tmp_path, 100) as incoming:
        incoming.write(b"x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_the_limit_is_exact(tmp_path: Path) -> None:
    with IncomingFile(tmp_path, 5) as incoming:
        incoming.write(b"hello")
        with pytest.raises(ItemError) as failure:
            incoming.write(b"!")
    assert failure.value.code is FailureCode.TOO_LARGE
    assert not failure.value.retryable


def test_a_full_disk_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TransientError, match="disk"), IncomingFile(tmp_path, 5) as incoming:
        incoming.keep(durable=True)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_killed_processes_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name, age in (("old.part", 100), ("young.part", 0), ("other", 100)):
        path = tmp_path / name
        path.touch()
        os.utime(path, (time.time() - age, time.time() - age))
    assert remove_leftovers(tmp_path, 50) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"young.part", "other"}
    assert remove_leftovers(tmp_path / "missing", 50) == 0


def test_folders_are_for_this_user_only_also_where_they_were_not(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    assert stat.S_IMODE(private_folder(tmp_path / "open").stat().st_mode) == 0o700
    assert stat.S_IMODE(private_folder(tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_a_deadline_caps_each_step_and_then_fails() -> None:
    deadline = Deadline(60)
    assert deadline.cap(5) == 5
    assert 59 < deadline.cap(None) <= 60
    with pytest.raises(ItemError, match=r"sources\.timeout_seconds") as failure:
        Deadline(0).remaining()
    assert failure.value.retryable


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("a.pdf", "a.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\a.doc", "a.doc"),
        ("a\r\nb.txt", "ab.txt"),
        ("..", None),
        (" . ", None),
        ("folder/", None),
        ("", None),
        (None, None),
        ("x" * 300 + ".pdf", "x" * 251 + ".pdf"),
    ],
)
def test_file_names_lose_folders_and_control_characters(name: str | None, clean: str | None) -> None:
    assert clean_file_name(name) == clean


@given(st.text())
def test_a_clean_name_is_never_a_path(name: str) -> None:
    clean = clean_file_name(name)
    if clean is not None:
        assert not set("/\\\0") & set(clean)
        assert clean not in {".", ".."}
        assert len(clean.encode()) <= 255


@pytest.mark.parametrize(
    ("value", "clean"),
    [("Text/HTML; charset=x", "text/html"), ("application/vnd.a+json", "application/vnd.a+json"), ("x", None)],
)
def test_media_types_lose_their_parameters(value: str, clean: str | None) -> None:
    assert clean_media_type(value) == clean
