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
from indexmill.ledger.database import Connection, Row
from indexmill.vectors.attribute_tables import AttributeSet
from indexmill.vectors.statements import run_statement

__all__ = ["MAX_MISFITS", "DocumentMetadata", "fill_rows", "misfits_of", "remove_rows", "report_rows", "write_rows"]

#: Of one document; what is left out is of the same kind.
MAX_MISFITS = 20
#: `misfit` of a document's row (create_document_attributes.sql).
_TO_REPORT, _REPORTED = 1, 2
_ASSIGNMENT = sql.SQL("{name} = excluded.{name}")
#: What has been reported of a document is not reported again.
_ASSIGNMENTS = {"misfit": sql.SQL("{name} = CASE WHEN t.{name} = 2 THEN 2 ELSE excluded.{name} END")}


@dataclass(frozen=True, slots=True)
class DocumentMetadata:
    key: int
    metadata: dict[str, Any] | None
    parts: Sequence[StoredPart] = ()


def write_rows(
    connection: Connection, attribute_set: AttributeSet, documents: Iterable[DocumentMetadata], *, is_prepared: bool
) -> None:
    """The values of documents that this transaction writes, in place of what was there.

    `is_prepared`: those that do not fit are to be reported, where that has not been done.
    """
    mine = sorted(documents, key=lambda each: each.key)
    if not mine:
        return
    made = [_rows_of(attribute_set, each) for each in mine]
    rows = [{**row, "misfit": _TO_REPORT if wrong and is_prepared else 0} for row, _, wrong in made]
    _insert(connection, "write_attributes", attribute_set, AttributeLevel.DOCUMENT, rows)
    _delete(connection, attribute_set, AttributeLevel.PART, [each.key for each in mine])
    parts = [row for _, rows, _ in made for row in rows]
    _insert(connection, "write_attributes", attribute_set, AttributeLevel.PART, parts)


def remove_rows(connection: Connection, attribute_set: AttributeSet, keys: Sequence[int]) -> None:
    """The values of documents that this transaction deletes."""
    for level in AttributeLevel:
        _delete(connection, attribute_set, level, keys)


def fill_rows(
    connection: Connection, attribute_set: AttributeSet, documents: Sequence[DocumentMetadata]
) -> dict[int, list[Misfit]]:
    """The values of documents as they were read a moment ago; those of newer ones stay. By key, what does not fit.

    What has been reported before is left out, and what newer ones have made good.
    """
    made = {each.key: _rows_of(attribute_set, each) for each in sorted(documents, key=lambda each: each.key)}
    rows = [{**row, "misfit": _REPORTED if wrong else 0} for row, _, wrong in made.values()]
    filled = _insert(connection, "fill_document_attributes", attribute_set, AttributeLevel.DOCUMENT, rows)
    parts = [part for row in filled if row["is_mine"] for part in made[row["document"]][1]]
    parts.sort(key=lambda part: (part["document"], part["part"]))
    _insert(connection, "fill_part_attributes", attribute_set, AttributeLevel.PART, parts)
    keys = [row["document"] for row in filled]
    return {key: made[key][2] for key in keys if made[key][2]}


def misfits_of(attribute_set: AttributeSet, document: DocumentMetadata) -> list[Misfit]:
    """What of its metadata does not fit."""
    return _rows_of(attribute_set, document)[2]


def report_rows(connection: Connection, attribute_set: AttributeSet, keys: Sequence[int]) -> None:
    """That these documents do not fit is reported in this transaction."""
    parts: dict[str, sql.Composable] = {"table": attribute_set.table(AttributeLevel.DOCUMENT)}
    run_statement(connection, "mark_reported", parts=parts, prepare=False, documents=list(keys))


def _rows_of(
    attribute_set: AttributeSet, document: DocumentMetadata
) -> tuple[dict[str, Any], list[dict[str, Any]], list[Misfit]]:
    """The document's row, those of its parts, and what does not fit."""
    row, wrong = _document_row(attribute_set, document)
    parts, wrong_parts = _part_rows(attribute_set, document)
    return row, parts, [*wrong, *wrong_parts][:MAX_MISFITS]


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
) -> list[Row]:
    """What the query returns."""
    if not rows:
        return []
    key = ["document"] if level is AttributeLevel.DOCUMENT else ["document", "part"]
    columns = list(rows[0])
    assignments = [_ASSIGNMENTS.get(name, _ASSIGNMENT).format(name=sql.Identifier(name)) for name in columns]
    return run_statement(
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


def _delete(connection: Connection, attribute_set: AttributeSet, level: AttributeLevel, keys: Sequence[int]) -> None:
    table = attribute_set.table(level)
    run_statement(connection, "delete_attributes", parts={"table": table}, prepare=False, keys=sorted(keys))


def _names(names: Sequence[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _dumps(rows: object) -> str:
    return with_plain_floats(canonical_json(rows))
