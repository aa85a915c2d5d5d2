"""Filter attributes: which lists of them can be, and that they are stored as they are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from indexmill.domain.filter_attributes import (
    BUILT_IN,
    MAX_ATTRIBUTES,
    MAX_NAME_LENGTH,
    AttributeLevel,
    AttributeType,
    FilterAttribute,
    attributes_from_json,
    attributes_to_json,
    checked_attributes,
)
from indexmill.errors import InvalidRequest

YEAR = FilterAttribute("year", AttributeLevel.DOCUMENT, AttributeType.INTEGER, indexed=False, description="of print")


def test_what_can_be() -> None:
    attributes = [
        YEAR,
        replace(YEAR, level=AttributeLevel.PART),
        replace(YEAR, name="x" * MAX_NAME_LENGTH),
        replace(YEAR, name="two words, größe"),
        replace(YEAR, name="id", level=AttributeLevel.PART),
        replace(YEAR, name="lang"),
    ]
    assert checked_attributes(attributes) == tuple(attributes)
    assert checked_attributes([]) == ()
    checked_attributes([replace(YEAR, name=f"n{n}") for n in range(MAX_ATTRIBUTES)])


@pytest.mark.parametrize(
    ("attributes", "complaint"),
    [
        ([YEAR, replace(YEAR, type=AttributeType.TEXT)], "expected each name once a level, got `doc.year` twice"),
        ([replace(YEAR, name="")], "expected names of 1 to 64 characters, got 0"),
        ([replace(YEAR, name="x" * 65)], "expected names of 1 to 64 characters, got 65"),
        ([replace(YEAR, name="a\0b")], "expected names of printable characters"),
        ([replace(YEAR, name="a\nb")], "expected names of printable characters"),
        ([replace(YEAR, name="\ud800")], "expected names of printable characters"),
        ([replace(YEAR, name=" a")], "without spaces at their ends"),
        ([BUILT_IN[0]], "`doc.id` is always there; choose another name"),
        ([BUILT_IN[1]], "`part.lang` is always there; choose another name"),
        ([replace(YEAR, name=f"n{n}") for n in range(MAX_ATTRIBUTES + 1)], "expected at most 64, got 65"),
        ([replace(YEAR, description="x" * 1001)], "expected descriptions of at most 1000 characters, got 1001"),
    ],
)
def test_what_cannot_be_is_refused(attributes: list[FilterAttribute], complaint: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        checked_attributes(attributes)
    assert complaint in str(refused.value)


def test_attributes_are_stored_as_they_are() -> None:
    attributes = tuple(
        replace(YEAR, name=type_.value, type=type_, level=level) for type_ in AttributeType for level in AttributeLevel
    )
    assert attributes_from_json(attributes_to_json(attributes)) == attributes


def test_a_list_s_element_is_a_type_by_itself() -> None:
    assert {type_: type_.element for type_ in AttributeType if type_.is_list} == {
        AttributeType.INTEGER_LIST: AttributeType.INTEGER,
        AttributeType.REAL_LIST: AttributeType.REAL,
        AttributeType.TEXT_LIST: AttributeType.TEXT,
    }
    assert AttributeType.BOOLEAN.element is AttributeType.BOOLEAN
