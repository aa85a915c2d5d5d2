"""Where an item's content lies: what callers may name, what uploads may, when equal words are equal content."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.domain.document import canonical_json
from indexmill.domain.item_source import (
    ItemSource,
    SourceKind,
    has_source,
    is_fixed,
    own_splitting,
    reported_item_info,
    source_of,
)
from indexmill.domain.job import JobKind
from indexmill.errors import ItemError


def stored(item_info: Any) -> bytes:
    return canonical_json(item_info).encode()


@given(st.dictionaries(st.sampled_from(["source", "a", '"source":']), st.text(max_size=3) | st.just({"source": "uri"})))
def test_only_the_key_itself_redirects(item_info: dict[str, Any]) -> None:
    assert has_source(stored(item_info)) == ("source" in item_info)


@pytest.mark.parametrize("source", ["uri", "spool", "text"])
def test_an_item_info_that_may_hold_a_whole_text_is_parsed_once(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    parsed: list[bytes] = []
    loads = json.loads

    def counted(data: bytes) -> Any:
        parsed.append(data)
        return loads(data)

    monkeypatch.setattr(json, "loads", counted)
    is_fixed(b'{"source":"%b","uri":"data:,x","value":"x"}' % source.encode(), is_upload=True)
    assert len(parsed) == 1


def test_nothing_redirects_nothing() -> None:
    assert not has_source(None)
    assert is_fixed(None, is_upload=False)


@pytest.mark.parametrize(
    ("item_info", "uri"),
    [
        ({"source": "uri", "uri": "https://example.org/a"}, "https://example.org/a"),
        ({"source": "s3", "bucket": "b", "file": "c/d e#.pdf"}, "s3://b/c/d e#.pdf"),
        ({"source": "s3", "bucket": "b", "file": "/c"}, "s3://b/c"),
        ({"source": "file", "path": "/a/100% #1?.txt"}, "file:///a/100%25%20%231%3F.txt"),
        ({"source": "file", "path": "a: b#.txt"}, "./a: b#.txt"),
        ({"source": "file", "path": "https://example.org"}, "./https://example.org"),
    ],
)
def test_what_callers_name_is_a_uri(item_info: dict[str, Any], uri: str) -> None:
    for is_upload in (True, False):
        named = source_of({**item_info, "file_name": "a.pdf", "media_type": 7}, is_upload=is_upload)
        assert named == ItemSource(SourceKind.URI, uri, "a.pdf", None)
        assert not is_fixed(stored(item_info), is_upload=is_upload)


@pytest.mark.parametrize("kind", ["spool", "text"])
def test_only_uploads_lie_in_the_spool_or_in_the_request(kind: str) -> None:
    item_info = {"source": kind, "value": "v"}
    assert source_of(item_info, is_upload=True) == ItemSource(SourceKind(kind), "v")
    with pytest.raises(ItemError, match="expected `uri`, `s3` or `file`"):
        source_of(item_info, is_upload=False)
    assert is_fixed(stored(item_info), is_upload=True)
    assert not is_fixed(stored(item_info), is_upload=False)


def test_a_data_uri_is_its_own_content() -> None:
    assert is_fixed(stored({"source": "uri", "uri": "DATA:,x"}), is_upload=False)
    assert not is_fixed(stored({"source": "uri", "uri": 7}), is_upload=False)


@pytest.mark.parametrize("value", [None, 7, "", ["x"], {}])
def test_what_is_no_string_is_refused_with_what_came(value: object) -> None:
    with pytest.raises(ItemError, match=r"`item_info.path`: expected a string") as raised:
        source_of({"source": "file", "path": value}, is_upload=False)
    assert repr(value) in raised.value.sentence
    assert not raised.value.retryable


def test_a_report_repeats_no_upload() -> None:
    assert reported_item_info({"source": "text", "value": "secret", "file_name": "a"}) == {
        "source": "text", "file_name": "a",
    }  # fmt: skip
    assert reported_item_info({"source": "uri", "uri": "x", "value": 1}) == {"source": "uri", "uri": "x", "value": 1}
    assert reported_item_info(None) is None


def test_only_items_of_indexing_jobs_say_how_they_are_split() -> None:
    item_info = stored({"source": "data_source", "data_source": "1", "key": "a.txt", "splitting": "fixed-9"})
    assert {kind: own_splitting(kind, item_info) for kind in JobKind} == {
        kind: "fixed-9" if kind is JobKind.INDEXING else None for kind in JobKind
    }
    assert own_splitting(JobKind.INDEXING, stored({"source": "data_source"})) is None
    assert own_splitting(JobKind.INDEXING, None) is None
