"""Filters over what is known of a document: conditions that must hold, must not, or of which one should."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

__all__ = ["ITEM_INFO_FIELDS", "Condition", "MetadataFilter", "Operator", "document_metadata"]

#: What the service itself knows of a document, by where its `item_info` says so.
ITEM_INFO_FIELDS: Final = {"item_name": "key", "data_source_uuid": "data_source"}


class Operator(StrEnum):
    EQ = "eq"
    NE = "ne"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    #: The field is one of the values.
    IN = "in"
    NOT_IN = "not_in"
    #: A list has the value as an element, a text as a part.
    CONTAINS = "contains"


@dataclass(frozen=True)
class Condition:
    """One comparison. Values are equal as in JSON: 1 and 1.0 are, 1 and true are not.

    A field that is not there differs from everything, is in nothing and has no order. Numbers have an order among
    numbers, texts among texts by code point, anything else has none.
    """

    field: str
    operator: Operator
    value: Any


@dataclass(frozen=True)
class MetadataFilter:
    """Every one of `must`, none of `must_not`, and at least one of `should` where there are any."""

    must: tuple[Condition, ...] = ()
    must_not: tuple[Condition, ...] = ()
    should: tuple[Condition, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.must or self.must_not or self.should)


def document_metadata(payload: Mapping[str, Any] | None, item_info: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is known of a document: what filters compare with, and results show. Its own data cannot hide ours."""
    info = item_info or {}
    own = {name: info.get(source) for name, source in ITEM_INFO_FIELDS.items()}
    return {**(payload or {}), **{name: value for name, value in own.items() if value is not None}}
