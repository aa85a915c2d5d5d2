"""Lists found without parsing are those that a parser finds, wherever a chunk or a piece ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.http import json_lists
from indexmill.http.json_lists import TooLarge, parse_piece, split_object

texts = st.text(alphabet=st.sampled_from('ab\\"[]{},: \n\té日🚀'), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=8
)
objects = st.dictionaries(texts, values | st.lists(values, max_size=12), max_size=4)


@pytest.fixture(scope="module", autouse=True)
def _many_chunks_and_pieces() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_lists, "_CHUNK_BYTES", 7)
        patch.setattr(json_lists, "_PIECE_BYTES", 11)
        yield


def rejoined(body: bytearray) -> Any:
    """The value as its pieces give it."""
    split = split_object(body, 1000)
    lists = [[each for piece in found.pieces() for each in parse_piece(body, piece)] for found in split.lists]
    assert [len(each) for each in lists] == [found.count for found in split.lists]
    value = json.loads(split.rest)
    return {name: lists[each[0]] if isinstance(each, list) else each for name, each in value.items()}


@given(value=objects, indent=st.sampled_from([None, 0, 3]), ascii_only=st.booleans())
def test_the_pieces_together_are_the_whole(value: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    body = bytearray(json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode())
    assert rejoined(body) == value


@pytest.mark.parametrize("slashes", range(9))
@pytest.mark.parametrize("shift", range(8))
def test_a_run_of_backslashes_over_the_end_of_a_chunk(slashes: int, shift: int) -> None:
    value = {"x" * shift: ["\\" * slashes + '"],["' + "\\" * slashes, "b"]}
    assert rejoined(bytearray(json.dumps(value).encode())) == value


@pytest.mark.parametrize("text", ['{"a":[1', '{"a":["x]}', '{"a":[1]', '{"a":[{]}', '{"a":["\\"]}'])
def test_what_ends_too_early_is_no_json(text: str) -> None:
    with pytest.raises(ValueError, match="ends inside"):
        split_object(bytearray(text.encode()), 10)


@pytest.mark.parametrize("text", ['{"a":[1,]}', '{"a":[,1]}', '{"a":[1,,2]}', '{"a":[,]}', '{"a":[1 2]}', '{"a":[1}}'])
def test_a_comma_without_a_value_is_no_json(text: str) -> None:
    body = bytearray(text.encode())
    with pytest.raises(ValueError):  # noqa: PT011 - the parser's own words, or json's
        rejoined(body)


def test_more_elements_than_accepted_are_refused_and_as_many_are_not() -> None:
    body = bytearray(json.dumps({"items": [0] * 50}).encode())
    assert split_object(body, 50).lists[0].count == 50
    with pytest.raises(TooLarge, match="at most 49 items in one request, got 50"):
        split_object(body, 49)


def test_far_more_elements_are_refused_before_they_are_all_found() -> None:
    with pytest.raises(TooLarge, match="at most 10 items"):
        split_object(bytearray(b'{"a":[' + b"1," * 5000), 10)


def test_an_element_of_too_many_values_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lists, "_MAX_MARKS", 100)
    fine = {"items": [[1] * 90, {"a": [1] * 90}] * 5}
    assert rejoined(bytearray(json.dumps(fine).encode())) == fine
    with pytest.raises(TooLarge, match="at most 100 brackets and commas in one item"):
        split_object(bytearray(json.dumps({"items": [1, [1] * 110, 1]}).encode()), 10)
