"""Metadata filters as SQL: a condition with bound values over the columns of an attribute set, and its joins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any, assert_never

from psycopg import sql

from indexmill.domain.filter_attributes import (
    DOCUMENT_ID,
    PART_LANGUAGE,
    UNKNOWN_LANGUAGE,
    AttributeLevel,
    AttributeType,
    FilterAttribute,
)
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
from indexmill.domain.filter_types import TypedFilter
from indexmill.vectors.attribute_tables import PART_ALIAS, VALUES_ALIAS, AttributeSet

__all__ = ["FilterSql", "filter_to_sql"]

_NULL = sql.SQL("NULL::boolean")
_AND, _OR = sql.SQL(" AND "), sql.SQL(" OR ")
_SIGNS = {each: sql.SQL(each.value) for each in Operator}
_ORDERINGS = frozenset({Operator.LESS, Operator.LESS_OR_EQUAL, Operator.GREATER, Operator.GREATER_OR_EQUAL})
_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**63 - 1


class _Cast(Enum):
    """A type in which values are compared."""

    INTEGER = "bigint"
    REAL = "double precision"
    #: Numbers that neither of them holds exactly.
    NUMERIC = "numeric"
    TEXT = "text"
    BOOLEAN = "boolean"

    def of(self, value: Any) -> Any:
        """The value as it is bound."""
        match self:
            case _Cast.INTEGER:
                return int(value)
            case _Cast.REAL:
                return float(value)
            case _Cast.NUMERIC:
                return Decimal(value)
            case _:
                return value


_CASTS = {
    AttributeType.INTEGER: _Cast.INTEGER,
    AttributeType.REAL: _Cast.REAL,
    AttributeType.TEXT: _Cast.TEXT,
    AttributeType.BOOLEAN: _Cast.BOOLEAN,
}


@dataclass(frozen=True)
class FilterSql:
    """`condition`: true of what is found, over the document `d` where `uses_document` says so, its values `a`, its
    part's values `p`. `values`: what it binds, under names that begin with `filter_`.
    """

    condition: sql.Composable
    values: dict[str, Any]
    uses_document: bool
    joined: frozenset[AttributeLevel]
    set: AttributeSet

    def joins(self, document: sql.Composable, part: sql.Composable | None = None) -> sql.Composable:
        """The joins to the values of a document with this key, and of this part of it."""
        found: list[sql.Composable] = []
        if AttributeLevel.DOCUMENT in self.joined:
            # Inner: every living document has its row.
            join = sql.SQL("JOIN {table} {alias} ON {alias}.document = {document}")
            found.append(self._joined(join, AttributeLevel.DOCUMENT, VALUES_ALIAS, document=document))
        if AttributeLevel.PART in self.joined and part is not None:
            join = sql.SQL("LEFT JOIN {table} {alias} ON {alias}.document = {document} AND {alias}.part = {part}")
            found.append(self._joined(join, AttributeLevel.PART, PART_ALIAS, document=document, part=part))
        return sql.SQL(" ").join(found)

    def _joined(self, join: sql.SQL, level: AttributeLevel, alias: str, **parts: sql.Composable) -> sql.Composable:
        return join.format(table=self.set.table(level), alias=sql.Identifier(alias), **parts)


def filter_to_sql(typed: TypedFilter, attribute_set: AttributeSet) -> FilterSql:
    """The filter over the set whose attributes it was typed against."""
    writer = _Writer(typed, attribute_set)
    condition = writer.condition(typed.condition)
    used = set(typed.attributes.values())
    has_tables = attribute_set.number is not None
    return FilterSql(
        condition=condition,
        values=writer.values,
        uses_document=DOCUMENT_ID in used,
        joined=frozenset(each.level for each in used - {DOCUMENT_ID}) if has_tables else frozenset(),
        set=attribute_set,
    )


@dataclass
class _Writer:
    typed: TypedFilter
    set: AttributeSet
    values: dict[str, Any] = field(default_factory=dict)

    def condition(self, condition: Condition) -> sql.Composable:
        if isinstance(condition, IsNull):
            return self._is_null(condition.operand)
        match condition:
            case And(parts):
                return self._joined(_AND, parts)
            case Or(parts):
                return self._joined(_OR, parts)
            case Not(inner):
                return sql.SQL("(NOT {})").format(self.condition(inner))
            case Comparison(left, operator, right):
                return self._comparison(left, operator, right)
            case Membership(operand, candidates):
                return sql.SQL("({})").format(_OR.join(self._memberships(operand, candidates)))
            case Like(operand, pattern):
                text = self._ordered(operand, _Cast.TEXT)
                return sql.SQL("({} LIKE {})").format(text, self._operand(pattern, _Cast.TEXT))
            case Truth(operand):
                return self._operand(operand, _Cast.BOOLEAN)
            case _:
                assert_never(condition)

    def _is_null(self, operand: Operand) -> sql.Composable:
        if isinstance(operand, Literal):
            return sql.SQL("TRUE" if operand.value is None else "FALSE")
        return sql.SQL("({} IS NULL)").format(self._column(operand))

    def _joined(self, word: sql.SQL, parts: Sequence[Condition]) -> sql.Composable:
        return sql.SQL("({})").format(word.join(map(self.condition, parts)))

    def _comparison(self, left: Operand, operator: Operator, right: Operand) -> sql.Composable:
        if _is_null(left) or _is_null(right):
            return _NULL
        cast = self._cast((left, right))
        write = self._ordered if operator in _ORDERINGS else self._operand
        return sql.SQL("({} {} {})").format(write(left, cast), _SIGNS[operator], write(right, cast))

    def _memberships(self, operand: Operand, candidates: Sequence[Operand]) -> Iterator[sql.Composable]:
        """The ways in which it may be one of them; literals are one array, however many."""
        literals = [each for each in candidates if isinstance(each, Literal)]
        if literals and (_is_null(operand) or all(map(_is_null, literals))):
            yield _NULL
        elif literals:
            cast = self._cast((operand, *literals))
            values = [None if each.value is None else cast.of(each.value) for each in literals]
            array = self._bind(values, cast)
            yield sql.SQL("{} = ANY ({}[])").format(self._operand(operand, cast), array)
        for candidate in candidates:
            if isinstance(candidate, Field):
                is_list = self._attribute(candidate).type.is_list
                yield self._in_list(operand, candidate) if is_list else self._equal(operand, candidate)

    def _equal(self, operand: Operand, candidate: Field) -> sql.Composable:
        return self._comparison(operand, Operator.EQUAL, candidate)

    def _in_list(self, operand: Operand, candidate: Field) -> sql.Composable:
        cast = self._cast((operand, candidate))
        column, own = self._column(candidate), _CASTS[self._attribute(candidate).type.element]
        if isinstance(operand, Literal) and operand.value is not None and cast is own:
            # This, unlike ANY, is found by an index.
            return sql.SQL("{} @> ARRAY[{}]").format(column, self._bind(cast.of(operand.value), cast))
        if cast is not own:
            column = sql.SQL("{}::{}[]").format(column, sql.SQL(cast.value))
        return sql.SQL("{} = ANY ({})").format(self._operand(operand, cast), column)

    def _cast(self, operands: Sequence[Operand]) -> _Cast:
        """As what these are compared: numbers of a bigint column with what bigint holds, or else exactly."""
        found: set[_Cast] = set()
        for operand in operands:
            if isinstance(operand, Field):
                found.add(_CASTS[self._attribute(operand).type.element])
            elif operand.value is not None:
                found.add(_cast_of_value(operand.value))
        if len(found) == 1:
            return found.pop()
        # Only numbers differ. A literal that is not whole does not make a bigint column a double.
        fields = {_CASTS[self._attribute(each).type.element] for each in operands if isinstance(each, Field)}
        return _Cast.REAL if _Cast.REAL in fields else _Cast.NUMERIC

    def _operand(self, operand: Operand, cast: _Cast) -> sql.Composable:
        if isinstance(operand, Literal):
            return self._bind(None if operand.value is None else cast.of(operand.value), cast)
        column = self._column(operand)
        if cast is _CASTS[self._attribute(operand).type.element]:
            return column
        return sql.SQL("{}::{}").format(column, sql.SQL(cast.value))

    def _ordered(self, operand: Operand, cast: _Cast) -> sql.Composable:
        """The operand, where the order of characters matters: that of the code points, whatever the database's is."""
        written = self._operand(operand, cast)
        return sql.SQL('{} COLLATE "C"').format(written) if cast is _Cast.TEXT else written

    def _attribute(self, operand: Field) -> FilterAttribute:
        return self.typed.attributes[operand]

    def _column(self, operand: Field) -> sql.Composable:
        attribute = self._attribute(operand)
        if attribute != PART_LANGUAGE:
            return self.set.column(attribute)
        unknown = sql.Literal(UNKNOWN_LANGUAGE)
        if self.set.number is None:
            return unknown
        return sql.SQL("coalesce({}, {})").format(self.set.column(attribute), unknown)

    def _bind(self, value: Any, cast: _Cast) -> sql.Composable:
        name = f"filter_{len(self.values)}"
        self.values[name] = value
        return sql.SQL("{}::{}").format(sql.Placeholder(name), sql.SQL(cast.value))


def _is_null(operand: Operand) -> bool:
    return isinstance(operand, Literal) and operand.value is None


def _cast_of_value(value: str | float) -> _Cast:
    if isinstance(value, bool):
        return _Cast.BOOLEAN
    if isinstance(value, str):
        return _Cast.TEXT
    # 5.0 too is compared as a whole number: with an index.
    is_whole = isinstance(value, int) or value.is_integer()
    return _Cast.INTEGER if is_whole and _MIN_INTEGER <= value <= _MAX_INTEGER else _Cast.NUMERIC
