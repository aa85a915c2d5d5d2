"""Coercion: what counts as a value of which type, and what is said of what does not."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.domain.filter_attributes import AttributeLevel, AttributeType, FilterAttribute
from indexmill.domain.metadata_coercion import MAX_LIST_LENGTH, MAX_TEXT_BYTES, coerce_metadata

INTEGER, REAL, TEXT, BOOLEAN = AttributeType.INTEGER, AttributeType.REAL, AttributeType.TEXT, AttributeType.BOOLEAN
INTEGERS, REALS, TEXTS = AttributeType.INTEGER_LIST, AttributeType.REAL_LIST, AttributeType.TEXT_LIST


def attribute(type_: AttributeType, name: str = "x") -> FilterAttribute:
    return FilterAttribute(name, AttributeLevel.DOCUMENT, type_)


@pytest.mark.parametrize(
    ("type_", "raw", "value"),
    [
        *((INTEGER, raw, 5) for raw in (5, 5.0, "5", " +5 ", "0005")),
        *((INTEGER, raw, raw) for raw in (2**63 - 1, -(2**63), 0)),
        *((REAL, raw, 0.5) for raw in (0.5, "0.5", " .5", "5e-1", "+0.5")),
        *((REAL, raw, 5.0) for raw in (5, 5.0, "5", "5.")),
        *((TEXT, raw, value) for raw, value in (("", ""), (" a ", " a "), (5, "5"), (5.0, "5.0"), (True, "true"))),
        (TEXT, "ä" * (MAX_TEXT_BYTES // 2), "ä" * (MAX_TEXT_BYTES // 2)),
        *((BOOLEAN, raw, True) for raw in (True, "true", " TRUE ")),
        *((BOOLEAN, raw, False) for raw in (False, "False")),
        *((type_, None, None) for type_ in AttributeType),
        *((TEXTS, raw, ["a"]) for raw in (["a"], "a", ["a", None])),
        (TEXTS, [], []),
        (TEXTS, ["a", 1, True], ["a", "1", "true"]),
        (INTEGERS, ["1", 2, 3.0], [1, 2, 3]),
        (REALS, [1, "2.5"], [1.0, 2.5]),
        (INTEGERS, [0] * MAX_LIST_LENGTH, [0] * MAX_LIST_LENGTH),
    ],
)
def test_what_fits(type_: AttributeType, raw: Any, value: Any) -> None:
    values, misfits = coerce_metadata({"x": raw}, [attribute(type_)])
    assert (values, misfits) == ([value], [])
    assert [type(each) for each in values] == [type(value)]


@pytest.mark.parametrize(
    ("type_", "raw", "sentence"),
    [
        (INTEGER, 5.5, "`doc.x`: expected a whole number, got 5.5"),
        (INTEGER, True, "`doc.x`: expected a whole number, got true"),
        (INTEGER, "five", "`doc.x`: expected a whole number, got 'five'"),
        (INTEGER, "5.0", "`doc.x`: expected a whole number, got '5.0'"),
        (INTEGER, "\u0665", "`doc.x`: expected a whole number, got '\u0665'"),
        (INTEGER, "", "`doc.x`: expected a whole number, got ''"),
        (INTEGER, [5], "`doc.x`: expected a whole number, got a list of 1"),
        (INTEGER, {"a": 5}, "`doc.x`: expected a whole number, got an object"),
        (INTEGER, 2**63, f"`doc.x`: expected a whole number of at most eight bytes, got {2**63}"),
        (INTEGER, 1e300, "`doc.x`: expected a whole number of at most eight bytes, got 1e+300"),
        (INTEGER, 10**1000, "expected a whole number of at most eight bytes, got a number of more than 300 digits"),
        (REAL, "1e999", "`doc.x`: expected a number of at most 1.8e308, got '1e999'"),
        (REAL, 10**400, "`doc.x`: expected a number of at most 1.8e308, got a number of more than 300 digits"),
        (REAL, "nan", "`doc.x`: expected a number, got 'nan'"),
        (REAL, False, "`doc.x`: expected a number, got false"),
        (TEXT, ["a"], "`doc.x`: expected a text, got a list of 1"),
        (TEXT, 10**1000, "`doc.x`: expected a text, got a number of more than 300 digits"),
        (
            TEXT,
            "a" * 2001,
            f"`doc.x`: expected a text of at most 2000 bytes, got '{'a' * 60}' and 1941 characters more",
        ),
        (BOOLEAN, 1, "`doc.x`: expected true or false, got 1"),
        (BOOLEAN, "yes", "`doc.x`: expected true or false, got 'yes'"),
        (TEXTS, ["a", {}], "`doc.x`: expected a text, got a list of 2"),
        (TEXTS, ["a"] * 1001, "`doc.x`: expected a list of at most 1000 elements, got a list of 1001"),
        (INTEGERS, [[1]], "`doc.x`: expected a whole number, got a list of 1"),
    ],
)
def test_what_does_not_fit_is_told_and_is_no_value(type_: AttributeType, raw: Any, sentence: str) -> None:
    values, misfits = coerce_metadata({"x": raw}, [attribute(type_)])
    assert values == [None]
    assert [each.attribute for each in misfits] == [attribute(type_)]
    assert sentence in misfits[0].sentence


def test_a_name_is_a_field_or_a_path_to_one() -> None:
    attributes = [attribute(TEXT, name) for name in ("a.b", "c.d.e", "c", "f.g", "h.i", "k.l")]
    metadata = {
        "a.b": "field",
        "a": {"b": "path"},
        "c": {"d": {"e": "deep"}},
        "f": "no object",
        "k.l": None,
        "k": {"l": "x"},
    }
    values, misfits = coerce_metadata(metadata, attributes)
    assert values == ["field", "deep", None, None, None, None]
    assert [each.sentence for each in misfits] == ["`doc.c`: expected a text, got an object"]


def test_no_metadata_has_no_values() -> None:
    assert coerce_metadata(None, [attribute(TEXT), attribute(TEXTS)]) == ([None, None], [])
    assert coerce_metadata({}, []) == ([], [])


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.from_regex(r"[+-]?[0-9.e]{1,8}"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
)


@given(raw=anything, type_=st.sampled_from(AttributeType))
def test_anything_is_a_value_of_the_type_or_a_misfit(raw: Any, type_: AttributeType) -> None:
    (value,), misfits = coerce_metadata({"x": raw}, [attribute(type_)])
    assert value is None or not misfits
    if value is None:
        assert raw is None or misfits
        return
    wanted = {INTEGER: int, REAL: float, TEXT: str, BOOLEAN: bool}[type_.element]
    elements = value if isinstance(value, list) else [value]
    assert isinstance(value, list) is type_.is_list
    assert all(type(each) is wanted for each in elements)
    assert all(math.isfinite(each) for each in elements if isinstance(each, float))
