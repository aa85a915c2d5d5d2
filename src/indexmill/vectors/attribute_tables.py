"""The tables of an attribute set: one for documents' values, one for parts', with a column an attribute."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from indexmill.domain.filter_attributes import (
    DOCUMENT_ID,
    PART_LANGUAGE,
    AttributeLevel,
    AttributeType,
    FilterAttribute,
)

__all__ = ["DOCUMENT_ALIAS", "PART_ALIAS", "VALUES_ALIAS", "AttributeSet", "sql_type"]

#: How queries name the document, its values and its parts' values.
DOCUMENT_ALIAS, VALUES_ALIAS, PART_ALIAS = "d", "a", "p"

# "C": by code points, as everywhere the same, and so that an index helps LIKE.
_TYPES: dict[AttributeType, sql.SQL] = {
    AttributeType.INTEGER: sql.SQL("bigint"),
    AttributeType.REAL: sql.SQL("double precision"),
    AttributeType.TEXT: sql.SQL('text COLLATE "C"'),
    AttributeType.BOOLEAN: sql.SQL("boolean"),
    AttributeType.INTEGER_LIST: sql.SQL("bigint[]"),
    AttributeType.REAL_LIST: sql.SQL("double precision[]"),
    AttributeType.TEXT_LIST: sql.SQL('text[] COLLATE "C"'),
}


def sql_type(type_: AttributeType) -> sql.SQL:
    """The type of a column that holds such values."""
    return _TYPES[type_]


@dataclass(frozen=True)
class AttributeSet:
    """`number` None: a collection that has never declared any; then only the built-in ones are there."""

    number: int | None
    attributes: tuple[FilterAttribute, ...]

    def of_level(self, level: AttributeLevel) -> tuple[FilterAttribute, ...]:
        """The declared attributes of the level, in the order of its columns."""
        return tuple(each for each in self.attributes if each.level is level)

    def table(self, level: AttributeLevel) -> sql.Identifier:
        return sql.Identifier(f"{level.value}_attribute_{self.number}")

    def column_names(self, level: AttributeLevel) -> list[str]:
        """The columns of the level's declared attributes: named by number, so that any name can be an attribute's."""
        return [f"a{place}" for place in range(1, len(self.of_level(level)) + 1)]

    def column(self, attribute: FilterAttribute) -> sql.Composable:
        """The attribute's value, in a query with the usual aliases."""
        if attribute == DOCUMENT_ID:
            return sql.Identifier(DOCUMENT_ALIAS, "id")
        if attribute == PART_LANGUAGE:
            return sql.Identifier(PART_ALIAS, "lang")
        alias = VALUES_ALIAS if attribute.level is AttributeLevel.DOCUMENT else PART_ALIAS
        place = self.of_level(attribute.level).index(attribute)
        return sql.Identifier(alias, self.column_names(attribute.level)[place])
