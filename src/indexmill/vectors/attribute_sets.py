"""Sets of filter attributes: made beside the one that is in use, filled with every document's values, and switched to.

While a set is prepared, writers write the values of both. A reader sees the old set or the new one, never both: which
one is a column of the collection's row, read in the snapshot of the search.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from indexmill.domain.document import parts_from_json
from indexmill.domain.filter_attributes import (
    AttributeLevel,
    FilterAttribute,
    attributes_from_json,
    attributes_to_json,
    checked_attributes,
)
from indexmill.domain.metadata_coercion import Misfit
from indexmill.errors import Conflict
from indexmill.ledger.collections import Collection, Collections
from indexmill.ledger.database import Connection, Database, Row
from indexmill.vectors.attribute_rows import (
    DocumentMetadata,
    fill_rows,
    misfits_of,
    remove_rows,
    report_rows,
    write_rows,
)
from indexmill.vectors.attribute_tables import AttributeSet, sql_type
from indexmill.vectors.statements import run_statement

__all__ = ["MAX_FILL_PAGE", "AttributeSets", "DocumentMisfits", "FilledPage", "LateMisfits", "active_set"]

_log = logging.getLogger(__name__)
MAX_FILL_PAGE = 1000
#: Of metadata that a page of filling holds together; one document may have more alone.
_PAGE_BYTES = 4 * 1024 * 1024
_MAX_KNOWN = 1000
_CREATE = {AttributeLevel.DOCUMENT: "create_document_attributes", AttributeLevel.PART: "create_part_attributes"}


@dataclass(frozen=True, slots=True)
class DocumentMisfits:
    """What of a document's metadata does not fit the attributes, at most `attribute_rows.MAX_MISFITS`."""

    document: str
    misfits: list[Misfit]


@dataclass(frozen=True, slots=True)
class LateMisfits:
    """`are_all`: there were no others."""

    misfits: list[DocumentMisfits]
    are_all: bool


@dataclass(frozen=True, slots=True)
class FilledPage:
    """`next`: the document after which the next page begins; None: the set is filled."""

    next: str | None
    documents: int
    misfits: list[DocumentMisfits]


def active_set(connection: Connection, collection: int) -> AttributeSet:
    """The set that filters see, in the transaction's snapshot."""
    rows = run_statement(connection, "active_attribute_set", collection=collection)
    if not rows:
        return AttributeSet(None, ())
    return AttributeSet(rows[0]["number"], attributes_from_json(rows[0]["attributes"]))


@dataclass
class AttributeSets:
    database: Database
    #: Sets never change, so that a process reads each once.
    _known: dict[int, AttributeSet] = field(default_factory=dict, init=False)

    def active(self, collection: int) -> AttributeSet:
        """The set that filters see now."""
        return self.database.read(lambda connection: active_set(connection, collection))

    def declare(self, connection: Connection, collection: int, attributes: Sequence[FilterAttribute]) -> int:
        """Prepare and switch at once, for a collection without documents; the set's number.

        Raises:
            InvalidRequest: the attributes cannot be.
            Conflict: it has documents.
        """
        number = self.prepare_set(connection, collection, attributes)
        if run_statement(connection, "has_documents", collection=collection)[0]["found"]:
            raise Conflict(
                "filter attributes: expected a collection without documents, it has some; replace them by a job"
            )
        run_statement(connection, "mark_set_filled", number=number)
        self.switch_set(connection, collection, number, None)
        return number

    def prepare_set(self, connection: Connection, collection: int, attributes: Sequence[FilterAttribute]) -> int:
        """Make the tables of a new set; from the commit on, writers write its values too. The set's number.

        What was being prepared is dropped. Waits for the collection's writers, at most 2 s (SQLSTATE 55P03: try again).

        Raises:
            InvalidRequest: the attributes cannot be.
        """
        checked = checked_attributes(attributes)
        self.hold_writers(connection, collection)
        prepared = run_statement(connection, "collection_sets", collection=collection)[0]["prepared_set"]
        if prepared is not None:
            self._drop(connection, collection, prepared)
        stored = Jsonb(attributes_to_json(checked))
        (row,) = run_statement(connection, "insert_attribute_set", collection=collection, attributes=stored)
        made = AttributeSet(row["number"], checked)
        for level in AttributeLevel:
            _create_table(connection, made, level)
        run_statement(connection, "name_prepared_set", collection=collection, number=made.number)
        return int(row["number"])

    def fill_page(
        self, connection: Connection, collection: int, number: int, after: str | None, limit: int = MAX_FILL_PAGE
    ) -> FilledPage:
        """Coerce the documents that follow `after`, by id. Doing it again changes nothing, and reports nothing.

        In the caller's transaction, so that what is reported of the page is committed with it.

        Raises:
            Conflict: the set is not the one that is prepared.
        """
        attribute_set = self._share_prepared(connection, collection, number)
        rows = run_statement(
            connection, "documents_to_fill", prepare=False,
            collection=collection, after=after, limit=min(limit, MAX_FILL_PAGE), max_bytes=_PAGE_BYTES,
        )  # fmt: skip
        if not rows:
            for level in AttributeLevel:
                run_statement(connection, "analyze_attributes", parts={"table": attribute_set.table(level)})
            run_statement(connection, "mark_set_filled", number=number)
            return FilledPage(None, 0, [])
        misfits = fill_rows(connection, attribute_set, [_metadata(row) for row in rows])
        found = [DocumentMisfits(row["id"], misfits[row["key"]]) for row in rows if row["key"] in misfits]
        return FilledPage(rows[-1]["id"], len(rows), found)

    def late_misfits(
        self, connection: Connection, collection: int, number: int, limit: int = MAX_FILL_PAGE
    ) -> LateMisfits:
        """Documents that do not fit and were written since the filling had been there, a bounded number; each once.

        In the caller's transaction, in which they are reported.

        Raises:
            Conflict: the set is not the one that is prepared.
        """
        attribute_set = self._share_prepared(connection, collection, number)
        most = min(limit, MAX_FILL_PAGE)
        rows = run_statement(
            connection, "unreported_misfits", parts={"table": attribute_set.table(AttributeLevel.DOCUMENT)},
            prepare=False, limit=most, max_bytes=_PAGE_BYTES,
        )  # fmt: skip
        if not rows:
            return LateMisfits([], are_all=True)
        report_rows(connection, attribute_set, [row["key"] for row in rows])
        misfits = [DocumentMisfits(row["id"], misfits_of(attribute_set, _metadata(row))) for row in rows]
        return LateMisfits(misfits, are_all=len(rows) < most and not rows[0]["left_out"])

    def _share_prepared(self, connection: Connection, collection: int, number: int) -> AttributeSet:
        """Its tables are not dropped until the transaction ends.

        Raises:
            Conflict: the set is not the one that is prepared.
        """
        collections = Collections(self.database)
        collections.share(connection, collection)
        if collections.read(connection, [collection])[collection].prepared_set != number:
            raise Conflict(
                f"filter attributes: expected set {number} to be the prepared one; it was switched to or given up"
            )
        return self.read(connection, number)

    def hold_writers(self, connection: Connection, collection: int) -> None:
        """Wait for those who write to the collection, and hold off others until the transaction ends.

        At most 2 s (SQLSTATE 55P03: try again).
        """
        run_statement(connection, "begin_set_change")
        run_statement(connection, "lock_collection", collection=collection)

    def switch_set(self, connection: Connection, collection: int, number: int, seq: int | None) -> int | None:
        """Let filters see the prepared set from the commit on; the number of the one before, to be dropped.

        `seq`: of the job whose set it is; None: it is declared with the collection.

        Raises:
            Conflict: the set is not the prepared one, or is not filled.
        """
        rows = run_statement(connection, "switch_attribute_set", collection=collection, number=number, seq=seq)
        if not rows:
            raise Conflict(f"filter attributes: expected set {number} to be prepared and filled, it is not; prepare it")
        previous: int | None = rows[0]["previous"]
        return previous

    def seq_of_active(self, connection: Connection, collection: int) -> int | None:
        """The sequence number of the job whose set filters see; None: of no job's."""
        rows = run_statement(connection, "active_attribute_set", collection=collection)
        return rows[0]["seq"] if rows else None

    def drop_set(self, connection: Connection, collection: int, number: int) -> None:
        """Drop a set that is not in use; one that is being prepared is given up. Not there: nothing.

        Waits for the collection's writers and for searches that still use it, at most 2 s (SQLSTATE 55P03: try again).

        Raises:
            Conflict: filters see it.
        """
        self.hold_writers(connection, collection)
        if run_statement(connection, "collection_sets", collection=collection)[0]["attribute_set"] == number:
            raise Conflict(f"filter attributes: expected a set that is not in use, {number} is")
        self._drop(connection, collection, number)

    def unused_sets(self, connection: Connection, collection: int) -> list[int]:
        """Sets that were switched away from and are not dropped yet: their job was killed in between."""
        return [row["number"] for row in run_statement(connection, "unused_attribute_sets", collection=collection)]

    def drop_abandoned(self, seconds: float) -> list[int]:
        """Drop the sets that have been of no use for so long; one that is being read stays until the next time."""
        dropped: list[int] = []
        for row in self.database.read(
            lambda connection: run_statement(connection, "abandoned_attribute_sets", seconds=seconds)
        ):
            collection, number = row["collection"], row["number"]
            try:
                with self.database.transaction() as connection:
                    # Before the collection's row, as all do.
                    self.hold_writers(connection, collection)
                    run_statement(connection, "forget_sets_of_deleted", collection=collection)
                    self.drop_set(connection, collection, number)
            except (Conflict, psycopg.errors.LockNotAvailable) as error:
                _log.info("attribute set %s stays: %s", number, type(error).__name__)
            else:
                dropped.append(number)
        return dropped

    def read(self, connection: Connection, number: int) -> AttributeSet:
        known = self._known.get(number)
        if known is None:
            (row,) = run_statement(connection, "read_attribute_set", number=number)
            known = AttributeSet(number, attributes_from_json(row["attributes"]))
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[number] = known
        return known

    def write(
        self,
        connection: Connection,
        collection: Collection,
        written: Sequence[DocumentMetadata],
        removed: Sequence[int],
    ) -> None:
        """The values of the documents that this transaction writes and deletes, in every set that needs them.

        The transaction shares the collection, and has read it after that.
        """
        for number in (collection.attribute_set, collection.prepared_set):
            if number is None:
                continue
            attribute_set = self.read(connection, number)
            write_rows(connection, attribute_set, written, is_prepared=number == collection.prepared_set)
            if removed:
                remove_rows(connection, attribute_set, removed)

    def clear(self, connection: Connection, collection: Collection) -> None:
        """Remove all documents' values, for a collection that is emptied as a whole."""
        for number in filter(None, (collection.attribute_set, collection.prepared_set)):
            for level in AttributeLevel:
                table = AttributeSet(number, ()).table(level)
                run_statement(connection, "clear_attributes", parts={"table": table})

    def _drop(self, connection: Connection, collection: int, number: int) -> None:
        dropped = AttributeSet(number, ())
        run_statement(connection, "forget_prepared_set", collection=collection, number=number)
        documents, parts = dropped.table(AttributeLevel.DOCUMENT), dropped.table(AttributeLevel.PART)
        run_statement(connection, "drop_attributes", parts={"documents": documents, "parts": parts})
        run_statement(connection, "delete_attribute_set", number=number)


def _metadata(row: Row) -> DocumentMetadata:
    return DocumentMetadata(row["key"], row["payload"], parts_from_json(row["parts"]))


def _create_table(connection: Connection, made: AttributeSet, level: AttributeLevel) -> None:
    attributes = list(zip(made.column_names(level), made.of_level(level), strict=True))
    columns = [sql.SQL(", {} {}").format(sql.Identifier(name), sql_type(each.type)) for name, each in attributes]
    table = made.table(level)
    run_statement(connection, _CREATE[level], parts={"table": table, "columns": sql.SQL("").join(columns)})
    if level is AttributeLevel.DOCUMENT:
        run_statement(connection, "create_misfit_index", parts={"table": table})
    for name, attribute in attributes:
        if attribute.indexed:
            method = sql.SQL("gin" if attribute.type.is_list else "btree")
            run_statement(
                connection,
                "create_attribute_index",
                parts={"table": table, "method": method, "column": sql.Identifier(name)},
            )
