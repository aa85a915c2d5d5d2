"""Writing the values of filter attributes: with their documents, or for documents that were there before the set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from indexmill.domain.document import StoredPart, canonical_json, with_plain_floats
from indexmill.domain.filter_attributes import PART_LANGUAGE, AttributeLevel
from indexmill.domain.metadata_coercion import Misfit, coerce_metadata
from indexmill.ledger.database import Connection
from indexmill.vectors.attribute_tables import AttributeSet
from indexmill.vectors.statements import run_statement

__all__ = ["MAX_MISFITS", "DocumentMetadata", "fill_rows", "remove_rows", "write_rows"]

#: Of one document; what is left out is of the same kind.
MAX_MISFITS = 20


@dataclass(frozen=True, slots=True)
class DocumentMetadata:
    key: int
    metadata: dict[str, Any] | None
    parts: Sequence[StoredPart] = ()


def write_rows(connection: Connection, attribute_set: AttributeSet, documents: Iterable[DocumentMetadata]) -> None:
    """The values of documents that this transaction writes, in place of what was there."""
    mine = sorted(documents, key=lambda each: each.key)
    if not mine:
        return
    rows = [_document_row(attribute_set, each)[0] for each in mine]
    _insert(connection, "write_attributes", attribute_set, AttributeLevel.DOCUMENT, rows)
    _delete(connection, attribute_set, AttributeLevel.PART, [each.key for each in mine])
    parts = [row for each in mine for row in _part_rows(attribute_set, each)[0]]
    _insert(connection, "write_attributes", attribute_set, AttributeLevel.PART, parts)


def remove_rows(connection: Connection, attribute_set: AttributeSet, keys: Sequence[int]) -> None:
    """The values of documents that this transaction deletes."""
    for level in AttributeLevel:
        _delete(connection, attribute_set, level, keys)


def fill_rows(
    connection: Connection, attribute_set: AttributeSet, documents: Sequence[DocumentMetadata]
) -> dict[int, list[Misfit]]:
    """The values of documents as they were read a moment ago; those of newer ones stay. By key, what does not fit."""
    mine = sorted(documents, key=lambda each: each.key)
    rows: list[dict[str, Any]] = []
    parts: dict[int, list[dict[str, Any]]] = {}
    misfits: dict[int, list[Misfit]] = {}
    for each in mine:
        row, wrong = _document_row(attribute_set, each)
        rows.append(row)
        parts[each.key], wrong_parts = _part_rows(attribute_set, each)
        if wrong or wrong_parts:
            misfits[each.key] = [*wrong, *wrong_parts][:MAX_MISFITS]
    filled = _insert(connection, "fill_attributes", attribute_set, AttributeLevel.DOCUMENT, rows)
    mine_still = [row for key in sorted(filled) for row in parts[key]]
    _insert(connection, "fill_attributes", attribute_set, AttributeLevel.PART, mine_still)
    return misfits


def _document_row(attribute_set: AttributeSet, document: DocumentMetadata) -> tuple[dict[str, Any], list[Misfit]]:
    attributes = attribute_set.of_level(AttributeLevel.DOCUMENT)
    values, misfits = coerce_metadata(document.metadata, attributes)
    names = attribute_set.column_names(AttributeLevel.DOCUMENT)
    return {"document": document.key, **dict(zip(names, values, strict=True))}, misfits


def _part_rows(attribute_set: AttributeSet, document: DocumentMetadata) -> tuple[list[dict[str, Any]], list[Misfit]]:
    attributes = attribute_set.of_level(AttributeLevel.PART)
    names = attribute_set.column_names(AttributeLevel.PART)
    rows: list[dict[str, Any]] = []
    misfits: list[Misfit] = []
    for number, part in enumerate(document.parts, start=1):
        (language, *values), wrong = coerce_metadata(part.metadata, (PART_LANGUAGE, *attributes))
        rows.append(
            {"document": document.key, "part": number, "lang": language, **dict(zip(names, values, strict=True))}
        )
        misfits += [Misfit(each.attribute, f"part {number}: {each.sentence}") for each in wrong[:MAX_MISFITS]]
    return rows, misfits[:MAX_MISFITS]


def _insert(
    connection: Connection, query: str, attribute_set: AttributeSet, level: AttributeLevel, rows: list[dict[str, Any]]
) -> list[int]:
    """The documents of the rows that it returns."""
    if not rows:
        return []
    key = ["document"] if level is AttributeLevel.DOCUMENT else ["document", "part"]
    columns = list(rows[0])
    assignments = [sql.SQL("{name} = excluded.{name}").format(name=sql.Identifier(name)) for name in columns]
    returned = run_statement(
        connection,
        query,
        parts={
            "table": attribute_set.table(level),
            "columns": _names(columns),
            "key": _names(key),
            "assignments": sql.SQL(", ").join(assignments),
        },
        prepare=False,
        rows=Jsonb(rows, dumps=_dumps),
    )
    return [row["document"] for row in returned]


def _delete(connection: Connection, attribute_set: AttributeSet, level: AttributeLevel, keys: Sequence[int]) -> None:
    table = attribute_set.table(level)
    run_statement(connection, "delete_attributes", parts={"table": table}, prepare=False, keys=sorted(keys))


def _names(names: Sequence[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _dumps(rows: object) -> str:
    return with_plain_floats(canonical_json(rows))
