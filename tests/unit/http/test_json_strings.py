"""Long strings come out of JSON byte for byte as the ordinary parser reads them, wherever the body is cut."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from indexmill.http.json_lists import TooLarge
from indexmill.http.json_strings import JsonStrings, LongString

INLINE = 8
#: Whatever a character may be written as.
ESCAPED = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}

texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('"\\/\n\x00äß€😀\ud7ff\ue000'), max_size=40)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def scan(pieces: list[bytes], inline: int = INLINE, rest: int = 100_000) -> tuple[Any, bytearray]:
    written = bytearray()
    strings = JsonStrings(written.extend, inline, rest)
    for piece in pieces:
        strings.feed(piece)
    return strings.finish(), written


def whole(value: Any, written: bytearray) -> Any:
    """The value as it would be if nothing had been written aside."""
    if isinstance(value, LongString):
        return written[value.begin : value.begin + value.size].decode()
    if isinstance(value, list):
        return [whole(each, written) for each in value]
    if isinstance(value, dict):
        return {name: whole(each, written) for name, each in value.items()}
    return value


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[begin:end] for begin, end in itertools.pairwise(bounds)]


def spelled(text: str, seed: int) -> str:
    """The text as a JSON string, each character in one of the ways in which it may be written."""
    choose = random.Random(seed)
    out = ""
    for each in text:
        units = each.encode("utf-16-be")
        ways = ["".join(f"\\u{units[at]:02x}{units[at + 1]:02X}" for at in range(0, len(units), 2))]
        ways += [ESCAPED[each]] if each in ESCAPED else []
        ways += [each] if each not in '"\\' and each >= " " else []
        out += choose.choice(ways)
    return f'"{out}"'


@given(values, st.lists(st.integers(0, 10_000), max_size=8), st.booleans(), st.sampled_from([None, 1]))
def test_any_json_cut_anywhere_is_what_the_ordinary_parser_reads(
    value: Any, places: list[int], ascii_only: bool, indent: int | None
) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    try:
        found, written = scan(cut(data, places))
    except TooLarge as error:
        assert "names" in str(error)  # noqa: PT017 - a long name of an object, which no caller has
        return
    assert whole(found, written) == json.loads(data)


@given(texts, st.integers(), st.lists(st.integers(0, 10_000), max_size=8))
def test_any_spelling_of_a_string_cut_anywhere_is_the_string(text: str, seed: int, places: list[int]) -> None:
    data = spelled(text, seed).encode()
    assert json.loads(data) == text
    found, written = scan(cut(data, places))
    assert whole(found, written) == text


@given(
    values,
    st.lists(
        st.tuples(st.integers(0, 10_000), st.sampled_from(list(b'"\\{}[],:u0dD8cx \x00\x1f\x80\xc3\xe2\xf0\xff'))),
        max_size=3,
    ),
    st.lists(st.integers(0, 10_000), max_size=4),
    st.integers(0, 10_000),
)
def test_what_the_ordinary_parser_refuses_is_refused_and_nothing_else(
    value: Any, changes: list[tuple[int, int]], places: list[int], end: int
) -> None:
    data = bytearray(json.dumps(value, ensure_ascii=False).encode())
    for place, byte in changes:
        data[place % len(data)] = byte
    if not changes:
        del data[end % len(data) :]
    try:
        expected = from_json(data, allow_inf_nan=False)
    except ValueError:
        with pytest.raises((ValueError, TooLarge)):
            scan(cut(bytes(data), places))
        return
    try:
        found, written = scan(cut(bytes(data), places))
    except TooLarge as error:
        assert "names" in str(error)  # noqa: PT017 - as above
        return
    assert whole(found, written) == expected


def test_a_short_string_stays_and_a_long_one_goes() -> None:
    found, written = scan([b'["12345678", "123456789"]'])
    assert found == ["12345678", LongString(0, 9)]
    assert written == b"123456789"


def test_a_huge_string_with_everything_in_it() -> None:
    text = 'a"b\\cä€😀\n' * 200_000
    data = json.dumps({"before": 1, "value": text, "after": [True]}).encode()
    found, written = scan([data[at : at + 65_521] for at in range(0, len(data), 65_521)], inline=1000, rest=1000)
    assert found == {"before": 1, "value": LongString(0, len(text.encode())), "after": [True]}
    assert written.decode() == text


def test_the_last_of_two_equal_names_counts() -> None:
    found, written = scan([b'{"a": "first of them", "a": "second of them"}'])
    assert whole(found, written) == {"a": "second of them"}
    assert scan([b'{"a": "first of them", "a": 1}'])[0] == {"a": 1}


@pytest.mark.parametrize(
    "data",
    [
        rb'"long enough \ud83d"',
        rb'"long enough \ud83d and more of it"',
        rb'"long enough \ude00\ud83d and more of it"',
        rb'"long enough \ud83d\u0041 and more of it"',
        rb'"long enough \u12G4 and more of it"',
        rb'"long enough \x and more of it"',
        b'"long enough \x01 and more of it"',
        b'"long enough \xff and more of it"',
        b'"long enough \xe2\x82 and more of it"',
        b'"long enough \xe2\x82"',
        b'"long enough',
        b'"long enough\\',
        b'"long enough\\"',
        b'"long enough" 1',
        b'{"long enough to go": 1',
        b"[",
        b"",
    ],
)
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_what_is_not_json_is_refused(data: bytes, step: int) -> None:
    with pytest.raises(ValueError, match=r".+"):
        scan([data[at : at + step] for at in range(0, len(data), step)])


def test_what_is_besides_long_strings_is_limited_at_once() -> None:
    strings = JsonStrings(bytearray().extend, INLINE, 100)
    strings.feed(b"[" + b"1," * 40)
    with pytest.raises(TooLarge, match="100 bytes"):
        strings.feed(b"1," * 40)
    many_short = JsonStrings(bytearray().extend, INLINE, 100)
    with pytest.raises(TooLarge, match="100 bytes"):
        many_short.feed(b'["short",' + b'"short",' * 40)


def test_nobody_can_name_what_was_written_aside() -> None:
    mark = JsonStrings(bytearray().extend, INLINE, 100)._mark
    found, _ = scan([json.dumps([f"{mark}0", "123456789"]).encode()], inline=100)
    assert found == [f"{mark}0", "123456789"]


def test_a_long_name_of_an_object_is_refused() -> None:
    with pytest.raises(TooLarge, match="names"):
        scan([b'{"a name that is too long": 1}'])
