"""What a metadata filter says, as a tree: fields, values, and the conditions that they are in."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from indexmill.domain.filter_attributes import AttributeLevel

__all__ = [
    "And",
    "Comparison",
    "Condition",
    "Field",
    "IsNull",
    "Like",
    "Literal",
    "Membership",
    "Not",
    "Operand",
    "Operator",
    "Or",
    "Truth",
]


class Operator(StrEnum):
    EQUAL = "="
    NOT_EQUAL = "<>"
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="


@dataclass(frozen=True, slots=True)
class Field:
    """`at`: where in the filter's text it is written."""

    level: AttributeLevel
    name: str
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return f"{self.level.prefix}.{self.name}"


@dataclass(frozen=True, slots=True)
class Literal:
    """A value; None is NULL. A number written without point and exponent is an int."""

    value: str | int | float | bool | None
    at: int = field(default=0, compare=False)


Operand: TypeAlias = Field | Literal


@dataclass(frozen=True, slots=True)
class Comparison:
    left: Operand
    operator: Operator
    right: Operand


@dataclass(frozen=True, slots=True)
class Membership:
    """`operand IN (candidates)`: it equals one of them, or is in one that is a list."""

    operand: Operand
    candidates: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """`pattern`: `%` stands for any characters, `_` for one, a backslash takes the next one as it is."""

    operand: Operand
    pattern: Operand


@dataclass(frozen=True, slots=True)
class IsNull:
    operand: Operand


@dataclass(frozen=True, slots=True)
class Truth:
    """A boolean that stands by itself."""

    operand: Operand


@dataclass(frozen=True, slots=True)
class Not:
    condition: Condition


@dataclass(frozen=True, slots=True)
class And:
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    conditions: tuple[Condition, ...]


Condition: TypeAlias = Comparison | Membership | Like | IsNull | Truth | Not | And | Or
