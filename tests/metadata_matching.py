"""A MODEL of filters over metadata, in Python: what the store's answers to them are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from indexmill.domain.metadata_filter import Condition, MetadataFilter, Operator

__all__ = ["holds", "matches"]

_ABSENT: Final = object()


def matches(wanted: MetadataFilter, metadata: Mapping[str, Any]) -> bool:
    return (
        all(holds(each, metadata) for each in wanted.must)
        and not any(holds(each, metadata) for each in wanted.must_not)
        and (not wanted.should or any(holds(each, metadata) for each in wanted.should))
    )


def holds(condition: Condition, metadata: Mapping[str, Any]) -> bool:
    stored, value = metadata.get(condition.field, _ABSENT), condition.value
    match condition.operator:
        case Operator.EQ:
            return _equal(stored, value)
        case Operator.NE:
            return not _equal(stored, value)
        case Operator.IN:
            return any(_equal(stored, each) for each in value)
        case Operator.NOT_IN:
            return not any(_equal(stored, each) for each in value)
        case Operator.CONTAINS:
            return _contains(stored, value)
    return _ordered(stored, condition.operator, value)


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
    kind = _kind(stored)
    if kind is not _kind(wanted) or kind not in (float, str):
        return False
    if operator is Operator.GT:
        return bool(stored > wanted)
    if operator is Operator.GTE:
        return bool(stored >= wanted)
    return bool(stored < wanted) if operator is Operator.LT else bool(stored <= wanted)
