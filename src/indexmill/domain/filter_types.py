"""Whether a filter fits the attributes that a collection declares: its fields are there, its comparisons make sense."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from indexmill.domain.filter_attributes import BUILT_IN, AttributeLevel, AttributeType, FilterAttribute
from indexmill.domain.filter_tokens import filter_error
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
    Or,
    Truth,
)
from indexmill.errors import InvalidRequest

__all__ = ["TypedFilter", "typed_filter"]

_MAX_NAMED = 20


class _Kind(StrEnum):
    NUMBER = "a number"
    TEXT = "a text"
    BOOLEAN = "a boolean"
    NULL = "NULL"


_KINDS = {
    AttributeType.INTEGER: _Kind.NUMBER,
    AttributeType.REAL: _Kind.NUMBER,
    AttributeType.TEXT: _Kind.TEXT,
    AttributeType.BOOLEAN: _Kind.BOOLEAN,
}


@dataclass(frozen=True)
class TypedFilter:
    """A filter that fits. `attributes`: what its fields are."""

    condition: Condition
    attributes: dict[Field, FilterAttribute]

    def levels(self) -> frozenset[AttributeLevel]:
        return frozenset(each.level for each in self.attributes)


def typed_filter(
    condition: Condition, attributes: Sequence[FilterAttribute], *, level: AttributeLevel = AttributeLevel.PART
) -> TypedFilter:
    """The filter over these attributes and the built-in ones. `level` DOCUMENT: it may say nothing of parts.

    Raises:
        InvalidRequest: a field that is not declared, or a comparison that its type does not have, with its place.
    """
    declared = {(each.level, each.name): each for each in (*attributes, *BUILT_IN)}
    check = _Check(declared, level)
    check.condition(condition)
    return TypedFilter(condition, check.used)


@dataclass
class _Check:
    declared: dict[tuple[AttributeLevel, str], FilterAttribute]
    level: AttributeLevel
    used: dict[Field, FilterAttribute] = field(default_factory=dict)

    def condition(self, condition: Condition) -> None:
        match condition:
            case And(parts) | Or(parts):
                for each in parts:
                    self.condition(each)
            case Not(inner):
                self.condition(inner)
            case Comparison(left, operator, right):
                self._same_kind(left, right, f"beside `{operator.value}`")
            case Membership(operand, candidates):
                for candidate in candidates:
                    self._same_kind(operand, candidate, "in the list", may_be_list=True)
            case Like(operand, pattern):
                self._like(operand, pattern)
            case Truth(operand):
                self._is_one_of(operand, "by itself", _Kind.BOOLEAN)
            case IsNull(operand):
                self._attribute(operand)
            case _:
                assert_never(condition)

    def _same_kind(self, left: Operand, right: Operand, where: str, *, may_be_list: bool = False) -> None:
        wanted = self._kind(left)
        found = self._kind(right, may_be_list=may_be_list)
        if wanted is found or _Kind.NULL in {wanted, found}:
            return
        # The literal is what is wrong: the field's type is declared.
        wrong, kind, other = (right, wanted, left) if isinstance(right, Literal) else (left, found, right)
        raise filter_error(
            wrong.at, f"{kind.value} {where}, as {self._described(other)} is one", self._described(wrong)
        )

    def _like(self, operand: Operand, pattern: Operand) -> None:
        self._is_one_of(operand, "before `LIKE`", _Kind.TEXT)
        if not isinstance(pattern, Literal):
            raise filter_error(pattern.at, "a text after `LIKE`", f"the field `{pattern}`")
        self._is_one_of(pattern, "after `LIKE`", _Kind.TEXT)
        text = pattern.value
        if isinstance(text, str) and (len(text) - len(text.rstrip("\\"))) % 2:
            raise filter_error(pattern.at, "a character after each backslash of a pattern", "the end of the text")

    def _is_one_of(self, operand: Operand, where: str, kind: _Kind) -> None:
        if self._kind(operand) not in {kind, _Kind.NULL}:
            raise filter_error(operand.at, f"{kind.value} {where}", self._described(operand))

    def _kind(self, operand: Operand, *, may_be_list: bool = False) -> _Kind:
        attribute = self._attribute(operand)
        if attribute is not None:
            if attribute.type.is_list and not may_be_list:
                raise filter_error(
                    operand.at, "a field with a single value", f"the list `{attribute}`; write `'x' IN {attribute}`"
                )
            return _KINDS[attribute.type.element]
        match operand.value if isinstance(operand, Literal) else None:
            case None:
                return _Kind.NULL
            case bool():
                return _Kind.BOOLEAN
            case str():
                return _Kind.TEXT
            case _:
                return _Kind.NUMBER

    def _attribute(self, operand: Operand) -> FilterAttribute | None:
        if isinstance(operand, Literal):
            return None
        found = self.declared.get((operand.level, operand.name))
        if found is None:
            raise InvalidRequest(self._undeclared(operand))
        if operand.level is AttributeLevel.PART and self.level is AttributeLevel.DOCUMENT:
            raise filter_error(operand.at, "fields of documents only, `doc.name`", f"`{operand}`")
        self.used[operand] = found
        return found

    def _undeclared(self, field_: Field) -> str:
        names = sorted(map(str, self.declared.values()))
        near = difflib.get_close_matches(str(field_), names, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        return (
            f"metadata filter, character {field_.at + 1}: `{field_}` is not a filter attribute of this collection; "
            f"{hint}declared: {', '.join(_first(names))}"
        )

    def _described(self, operand: Operand) -> str:
        if isinstance(operand, Literal):
            value = operand.value
            return (
                f"{self._kind(operand).value}, `{str(value).lower() if isinstance(value, bool) else str(value)[:40]}`"
            )
        return f"`{operand}` ({self.used[operand].type.value})"


def _first(names: list[str]) -> Iterator[str]:
    yield from (f"`{name}`" for name in names[:_MAX_NAMED])
    if len(names) > _MAX_NAMED:
        yield f"and {len(names) - _MAX_NAMED} more"
