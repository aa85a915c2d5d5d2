"""Filters over what is known of a document: conditions that must hold, must not, or of which one should."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

__all__ = ["Condition", "MetadataFilter", "Operator", "document_metadata"]

#: Of a field that is not there: equal to nothing, not even to null.
_ABSENT: Final = object()


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
    """One comparison. Values are equal as in JSON: 1 and 1.0 are, 1 and true are not."""

    field: str
    operator: Operator
    value: Any

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """A field that is not there differs from everything, is in nothing and has no order."""
        stored = metadata.get(self.field, _ABSENT)
        match self.operator:
            case Operator.EQ:
                return _equal(stored, self.value)
            case Operator.NE:
                return not _equal(stored, self.value)
            case Operator.IN:
                return any(_equal(stored, each) for each in self.value)
            case Operator.NOT_IN:
                return not any(_equal(stored, each) for each in self.value)
            case Operator.CONTAINS:
                return _contains(stored, self.value)
        return _ordered(stored, self.operator, self.value)


@dataclass(frozen=True)
class MetadataFilter:
    """Every one of `must`, none of `must_not`, and at least one of `should` where there are any."""

    must: tuple[Condition, ...] = ()
    must_not: tuple[Condition, ...] = ()
    should: tuple[Condition, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.must or self.must_not or self.should)

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        return (
            all(each.matches(metadata) for each in self.must)
            and not any(each.matches(metadata) for each in self.must_not)
            and (not self.should or any(each.matches(metadata) for each in self.should))
        )


def document_metadata(payload: Mapping[str, Any] | None, item_info: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is known of a document: what filters compare with, and results show. Its own data cannot hide ours."""
    info = item_info or {}
    own = {"item_name": info.get("key"), "data_source_uuid": info.get("data_source"), "size_in_bytes": info.get("size")}
    return {**(payload or {}), **{name: value for name, value in own.items() if value is not None}}


def _equal(stored: object, wanted: object) -> bool:
    return _kind(stored) is _kind(wanted) and stored == wanted


def _kind(value: object) -> object:
    """What JSON calls it: both kinds of numbers are one, and a boolean is none of them."""
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def _contains(stored: object, wanted: object) -> bool:
    if isinstance(stored, str):
        return isinstance(wanted, str) and wanted in stored
    return isinstance(stored, Sequence) and any(_equal(each, wanted) for each in stored)


def _ordered(stored: Any, operator: Operator, wanted: Any) -> bool:
    """Numbers among numbers, texts among texts by code point; anything else has no order."""
    kind = _kind(stored)
    if kind is not _kind(wanted) or kind not in (float, str):
        return False
    if operator is Operator.GT:
        return bool(stored > wanted)
    if operator is Operator.GTE:
        return bool(stored >= wanted)
    return bool(stored < wanted) if operator is Operator.LT else bool(stored <= wanted)
