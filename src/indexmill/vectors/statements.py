"""Runs the vector store's queries: bound values, names of tables, and how long what reads may take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import psycopg
from psycopg import sql

from indexmill.errors import SearchTimeout
from indexmill.ledger.database import Connection, Database, Row
from indexmill.ledger.sql_files import query_text

__all__ = ["read_within", "run_statement", "search_timeout", "statement", "stream_statement"]

T = TypeVar("T")


def statement(name: str, **parts: sql.Composable) -> Any:
    """`vectors/queries/<name>.sql`, with these parts in its places."""
    text = query_text("indexmill.vectors", name)
    return sql.SQL(text).format(**parts) if parts else text


def run_statement(
    connection: Connection,
    name: str,
    /,
    *,
    parts: dict[str, sql.Composable] | None = None,
    prepare: bool | None = None,
    **values: object,
) -> list[Row]:
    """Its rows, or none where it returns none.

    `prepare=False`: planned for these very values each time, for selections of which most are not given.
    """
    cursor = connection.execute(statement(name, **(parts or {})), values, prepare=prepare)
    return cursor.fetchall() if cursor.description else []


def stream_statement(connection: Connection, name: str, /, **values: object) -> Iterator[Row]:
    """Its rows one by one, however large they are together; in binary, so that bytes are not spelled out."""
    yield from connection.cursor().stream(statement(name), values, binary=True)


def read_within(
    database: Database,
    seconds: float,
    begin: str,
    work: Callable[[Connection], list[T]],
    *,
    is_snapshot: bool = False,
) -> list[T]:
    """Run `work` in a transaction whose statements take at most so long. `begin`: the query that says so.

    `is_snapshot`: all of them see the same moment.

    Raises:
        SearchTimeout: it took longer.
    """

    def limited(connection: Connection) -> list[T]:
        if is_snapshot:
            run_statement(connection, "begin_snapshot")
        run_statement(connection, begin, milliseconds=f"{max(1, round(seconds * 1000))}ms")
        try:
            return work(connection)
        except psycopg.errors.QueryCanceled as error:
            # Not repeated as other interruptions are: it would take as long again.
            raise search_timeout(seconds) from error

    return database.repeat(limited)


def search_timeout(seconds: float) -> SearchTimeout:
    return SearchTimeout(
        f"search: expected an answer of the database within {seconds:g} s, it took longer; "
        "try again when there is less load, or raise server.search_timeout_seconds"
    )
