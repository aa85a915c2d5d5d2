"""The tables that hold a collection's chunks, one a generation: their names, and when they are dropped."""

from __future__ import annotations

import logging

import psycopg
from psycopg import sql

from indexmill.ledger.collections import Collection
from indexmill.ledger.database import Database
from indexmill.vectors.statements import run_statement

__all__ = ["MAX_INLINE_DIMENSION", "chunk_table", "drop_retired", "index_name", "table_of"]

_log = logging.getLogger(__name__)
#: A vector wider than this does not fit a page in line and is stored aside by PostgreSQL itself.
MAX_INLINE_DIMENSION = 1900


def table_of(collection: int, generation: int) -> str:
    return f"chunk_{collection}_{generation}"


def chunk_table(collection: Collection) -> str:
    """The name of the table that holds the chunks of the collection's generation."""
    return table_of(collection.id, collection.generation)


def index_name(table: str) -> str:
    return f"{table}_hnsw"


def drop_retired(database: Database, seconds: float) -> list[str]:
    """Drop the tables that have not been in use for so long, and those that never will be; which they were.

    One that a search still reads stays until the next time.
    """
    with database.connection() as connection:
        names = [row["name"] for row in run_statement(connection, "retired_tables", seconds=seconds)]
    dropped: list[str] = []
    for name in names:
        try:
            with database.transaction() as connection:
                run_statement(connection, "drop_patience")
                run_statement(connection, "drop_chunk_table", parts={"table": sql.Identifier(name)})
        except psycopg.errors.LockNotAvailable:
            _log.info("table %s is still being read", name)
        else:
            dropped.append(name)
    return dropped
