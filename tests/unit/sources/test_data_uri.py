"""`data:` URIs in all their forms, and what is none."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.errors import InvalidRequest, ItemError
from indexmill.settings import SourceSettings
from indexmill.sources import data_uri
from indexmill.sources.data_uri import DataUriSource

FORMS = [
    ("data:,hello", b"hello", "text/plain"),
    ("data:,", b"", "text/plain"),
    ("data:text/html,%3Cp%3E", b"<p>", "text/html"),
    ("DATA:text/plain;charset=utf-8,a%20b", b"a b", "text/plain"),
    ("data:;charset=utf-8,x", b"x", "text/plain"),
    ("data:text/plain;base64,aGVsbG8=", b"hello", "text/plain"),
    ("data:text/plain;BASE64,aGVsbG8", b"hello", "text/plain"),
    ("data:;base64,aGVs%0AbG8%3D", b"hello", "text/plain"),
    ("data:;base64,aGVs bG8=", b"hello", "text/plain"),
    ("data:application/pdf;name=a.pdf;base64,JVBERg==", b"%PDF", "application/pdf"),
    ("data:text/plain,a,b", b"a,b", "text/plain"),
    ("data:nonsense,x", b"x", None),
    ("data:,ü", "ü".encode(), "text/plain"),
]
BROKEN = [
    "data:",
    "data:text/plain",
    "data:text/plain;base64",
    "data:;base64,a",
    "data:;base64,****",
    "data:;base64,QQ==QQ==",
    "data:;base64,-_-_",
    "data:,100%",
    "data:,%zz",
    "data:" + "x" * 2000 + ",y",
]


def _source(folder: Path, max_bytes: int = 10_000_000) -> DataUriSource:
    return DataUriSource(SourceSettings(max_bytes=max_bytes), folder)


@pytest.mark.parametrize(("uri", "data", "media_type"), FORMS)
def test_every_form_gives_its_bytes(uri: str, data: bytes, media_type: str | None, tmp_path: Path) -> None:
    source = _source(tmp_path)
    source.check(uri)
    with source.fetch(uri) as fetched:
        assert (fetched.path.read_bytes(), fetched.size, fetched.media_type) == (data, len(data), media_type)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", BROKEN)
def test_what_is_broken_is_refused_at_once_and_leaves_nothing(uri: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="data:"):
        _source(tmp_path).check(uri)
    with pytest.raises(InvalidRequest, match="data:"):
        _source(tmp_path).fetch(uri)
    assert list(tmp_path.iterdir()) == []


@given(data=st.binary(max_size=64), size=st.integers(3, 9))
def test_pieces_fit_together_wherever_they_are_cut(data: bytes, size: int) -> None:
    before, data_uri._SLICE = data_uri._SLICE, size  # type: ignore[misc]  # small pieces show the seams
    try:
        for uri in (
            "data:;base64," + base64.b64encode(data).decode(),
            "data:;base64," + quote(base64.b64encode(data).decode(), safe=""),
            "data:," + quote(data),
        ):
            _, chunks = data_uri._parse(uri)
            assert b"".join(chunks) == data
    finally:
        data_uri._SLICE = before  # type: ignore[misc]


def test_more_than_the_limit_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(ItemError, match=r"allowed 4 bytes.*sources\.max_bytes"):
        _source(tmp_path, max_bytes=4).fetch("data:,hello")
    assert list(tmp_path.iterdir()) == []


class Stop(Exception):
    pass


def stop() -> None:
    raise Stop


def test_a_fetch_that_is_not_wanted_any_more_stops_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        _source(tmp_path).fetch("data:,hello", stop)
    assert list(tmp_path.iterdir()) == []
