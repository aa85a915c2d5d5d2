"""Versions, canonical JSON and fingerprints: equal where they must be, different where they must be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.domain.document import (
    Version,
    canonical_json,
    canonical_object,
    fingerprint,
    payload_hash,
    payload_hashes,
    with_plain_floats,
)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=10,
)
pairs = st.tuples(st.integers(0, 5), st.integers(0, 5))


@given(pairs, pairs)
def test_versions_compare_by_sequence_then_position(one: tuple[int, int], two: tuple[int, int]) -> None:
    assert (Version(*one) < Version(*two)) == (one < two)
    assert (Version(*one) == Version(*two)) == (one == two)


@given(values)
def test_canonical_json_says_what_the_value_is(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(text, values, max_size=6), st.randoms())
def test_canonical_json_does_not_depend_on_the_order_of_keys(value: dict[str, Any], random: Any) -> None:
    keys = list(value)
    random.shuffle(keys)
    assert canonical_json({key: value[key] for key in keys}) == canonical_json(value)


flat = st.dictionaries(
    st.text(max_size=6), st.none() | st.booleans() | st.integers() | st.text(max_size=20), max_size=6
)


@given(flat | st.dictionaries(text, values, max_size=6))
def test_an_object_is_written_in_the_same_bytes_by_either_encoder(value: dict[str, Any]) -> None:
    try:
        expected = canonical_json(value).encode()
    except ValueError:
        # A lone surrogate: both refuse it.
        with pytest.raises(ValueError, match=r"surrogate|utf-8"):
            canonical_object(value)
    else:
        assert canonical_object(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        {"a": "".join(map(chr, range(0x300)))},
        {"a": "\u2028\u2029\ufeff\uffff\U0001f680", '\x7f\x00"\\/': 10**400},
        {"b": True, "a": -(2**63), "c": 2**64},
        {"a": 1.0, "b": 1e16, "c": 1e-7, "d": -0.0},
        {"a": {"c": 1, "b": 2}},
        {1: "x"},
    ],
)
def test_an_object_is_written_in_the_same_bytes_whatever_it_holds(value: Any) -> None:
    assert canonical_object(value) == canonical_json(value).encode()


def test_an_integer_that_cannot_be_read_again_is_refused_by_either_encoder() -> None:
    for encode in (canonical_json, canonical_object):
        with pytest.raises(ValueError, match="4300 digits"):
            encode({"text": "x", "n": 10**5000})
    value = {"text": "x" * 5000, "n": 10**4000}
    assert canonical_object(value) == canonical_json(value).encode()


@given(st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=5), text, text)
def test_payload_hashes_are_equal_for_equal_digests_and_recipes_only(
    digests: list[bytes], recipe: str, other: str
) -> None:
    hashes = payload_hashes(recipe, b"".join(digests))
    assert [hashes[n * 16 : n * 16 + 16] for n in range(len(digests))] == [payload_hashes(recipe, d) for d in digests]
    assert len({payload_hashes(recipe, each) for each in digests}) == len(set(digests))
    assert (payload_hashes(other, digests[0]) == payload_hashes(recipe, digests[0])) == (other == recipe)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_canonical_json_has_no_number_that_json_has_not(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"x": value})


@given(text, text, text, text)
def test_fingerprints_are_equal_for_equal_text_and_recipe_only(one: str, recipe: str, two: str, other: str) -> None:
    same = (one, recipe) == (two, other)
    if "\0" not in recipe + other:
        assert (fingerprint(one, recipe) == fingerprint(two, other)) == same
    assert len(fingerprint(one, recipe)) == 16


parts = st.none() | st.binary(max_size=6)


@given(st.tuples(st.text("ab", max_size=2), parts, parts), st.tuples(st.text("ab", max_size=2), parts, parts))
def test_payload_hashes_tell_recipe_payload_and_item_info_apart(
    one: tuple[str, bytes | None, bytes | None], two: tuple[str, bytes | None, bytes | None]
) -> None:
    assert (payload_hash(*one) == payload_hash(*two)) == (one == two)


def test_where_a_part_ends_is_part_of_the_hash() -> None:
    assert payload_hash("r", b"ab", b"c") != payload_hash("r", b"a", b"bc")
    assert payload_hash("r", None, b"") != payload_hash("r", b"", None)
    assert len(payload_hash("r", b"{}", None)) == 16


@given(values)
def test_plain_floats_are_the_same_values_without_exponents_that_hide_a_float(value: Any) -> None:
    text = canonical_json(value)
    plain = with_plain_floats(text)
    assert canonical_json(json.loads(plain)) == text
    assert ("e+" in plain) == ("e+" in canonical_json(_without_floats(value)))


def _without_floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_floats(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_floats(each) for each in value]
    return 0 if isinstance(value, float) else value


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("1e+16", "10000000000000000.0"),
        ("[-1.5e+16,1e-07,1.0]", "[-15000000000000000.0,1e-07,1.0]"),
        ('{"1e+16":"\\"1e+16","a":1e+16}', '{"1e+16":"\\"1e+16","a":10000000000000000.0}'),
    ],
)
def test_large_floats_are_written_out_and_strings_left_alone(text: str, plain: str) -> None:
    assert with_plain_floats(text) == plain
