"""What a metadata filter says of one document's values, by the rules of SQL: True, False, or None for unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import eq, ge, gt, le, lt, ne
from typing import Any, assert_never

from indexmill.domain.filter_tree import (
    And,
    Comparison,
    Condition,
    Field,
    IsNull,
    Like,
    Literal,
    Membership,
    Not,
    Operand,
    Operator,
    Or,
    Truth,
)

__all__ = ["evaluate"]

_OPERATIONS: dict[Operator, Callable[[Any, Any], bool]] = {
    Operator.EQUAL: eq,
    Operator.NOT_EQUAL: ne,
    Operator.LESS: lt,
    Operator.LESS_OR_EQUAL: le,
    Operator.GREATER: gt,
    Operator.GREATER_OR_EQUAL: ge,
}


def evaluate(condition: Condition, values: dict[Field, Any]) -> bool | None:
    """`values`: of each field, as its attribute's type takes it."""
    match condition:
        case And(parts):
            return _none_but(False, (evaluate(each, values) for each in parts))
        case Or(parts):
            return _none_but(True, (evaluate(each, values) for each in parts))
        case Not(inner):
            found = evaluate(inner, values)
            return None if found is None else not found
        case Comparison(left, operator, right):
            return _compare(operator, _value(left, values), _value(right, values))
        case Membership(operand, candidates):
            value = _value(operand, values)
            return _none_but(True, (_is_in(value, _value(each, values)) for each in candidates))
        case Like(operand, pattern):
            text, shape = _value(operand, values), _value(pattern, values)
            return None if text is None or shape is None else _matches(text, shape)
        case Truth(operand):
            truth: bool | None = _value(operand, values)
            return truth
        case IsNull(operand):
            return _value(operand, values) is None
        case _:
            assert_never(condition)


def _none_but(decisive: bool, found: Iterable[bool | None]) -> bool | None:
    """`decisive` where one of them is; else unknown where one of them is; else the opposite."""
    seen = list(found)
    if decisive in seen:
        return decisive
    return None if None in seen else not decisive


def _value(operand: Operand, values: dict[Field, Any]) -> Any:
    return operand.value if isinstance(operand, Literal) else values[operand]


def _compare(operator: Operator, left: Any, right: Any) -> bool | None:
    return None if left is None or right is None else _OPERATIONS[operator](left, right)


def _is_in(value: Any, candidate: Any) -> bool | None:
    if isinstance(candidate, list):
        return _none_but(True, [_compare(Operator.EQUAL, value, each) for each in candidate])
    return _compare(Operator.EQUAL, value, candidate)


def _matches(text: str, pattern: str) -> bool:
    """LIKE, by trying every way."""
    if not pattern:
        return not text
    head, rest = pattern[0], pattern[1:]
    if head == "%":
        return any(_matches(text[skipped:], rest) for skipped in range(len(text) + 1))
    if head == "\\":
        head, rest = rest[0], rest[1:]
    elif head == "_":
        return bool(text) and _matches(text[1:], rest)
    return text[:1] == head and _matches(text[1:], rest)
