"""Reading through a filter: over the attributes that the collection has at the moment that is read, and payloads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import psycopg
from psycopg import sql

from indexmill.domain.filter_attributes import AttributeLevel
from indexmill.domain.filter_types import typed_filter
from indexmill.ledger.collections import Collection
from indexmill.ledger.database import Connection, Database
from indexmill.vectors.attribute_sets import active_set
from indexmill.vectors.attribute_tables import AttributeSet
from indexmill.vectors.filter_to_sql import FilterSql, filter_to_sql
from indexmill.vectors.metadata_to_sql import metadata_to_sql
from indexmill.vectors.selection import Selection
from indexmill.vectors.statements import read_within

__all__ = ["EVERYTHING", "read_filtered", "resolve_filter"]

T = TypeVar("T")

_TRIES = 3
#: Without a filter.
EVERYTHING = FilterSql(sql.SQL("TRUE"), {}, False, frozenset(), AttributeSet(None, ()))


def resolve_filter(
    connection: Connection, collection: Collection, selection: Selection, *, level: AttributeLevel = AttributeLevel.PART
) -> FilterSql:
    """The selection's filter over the attributes that the collection has in this snapshot.

    `level` DOCUMENT: where documents are read, not their parts.

    Raises:
        InvalidRequest: a field that is not declared, or that has another type.
    """
    found = EVERYTHING
    if selection.filter is not None:
        attribute_set = active_set(connection, collection.id)
        found = filter_to_sql(typed_filter(selection.filter, attribute_set.attributes, level=level), attribute_set)
    if selection.metadata is None:
        return found
    condition, values = metadata_to_sql(selection.metadata)
    both = sql.SQL("{} AND {}").format(found.condition, condition)
    return replace(found, condition=both, values=found.values | values, uses_document=True)


def read_filtered(database: Database, seconds: float, begin: str, work: Callable[[Connection], list[T]]) -> list[T]:
    """`read_within`, of one moment; again where the set of attributes that it saw was dropped under it."""
    for _ in range(_TRIES - 1):
        try:
            return read_within(database, seconds, begin, work, is_snapshot=True)
        except psycopg.errors.UndefinedTable:
            continue
    return read_within(database, seconds, begin, work, is_snapshot=True)
