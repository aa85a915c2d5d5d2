"""HNSW indexes: built beside reading and writing, one at a time; what a killed build left is removed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from indexmill.errors import ServiceError
from indexmill.ledger.database import Connection, Database, Row
from indexmill.ledger.ledger import Ledger
from indexmill.settings import Settings
from indexmill.vectors.chunk_tables import MAX_INLINE_DIMENSION, index_name
from indexmill.vectors.statements import run_statement

__all__ = ["MAX_INDEXED_DIMENSION", "ROW_BYTES", "VectorIndexes", "is_indexed", "open_indexes"]

_log = logging.getLogger(__name__)
#: pgvector indexes half vectors up to here.
MAX_INDEXED_DIMENSION = 4000
#: The least that a row takes beside its vector.
ROW_BYTES = 40
_LEAST_MEMORY = 8 * 1024 * 1024
#: At its end a build waits for transactions that are older than it; nobody waits for it meanwhile.
_PATIENCE = "600s"
_MAX_SECONDS = 24 * 3600.0
_CONNECT_SECONDS = 10


@dataclass(frozen=True)
class VectorIndexes:
    """`url`: where the builds' own sessions go. `is_direct`: no pooler is there, so a session may be set up."""

    database: Database
    url: str
    is_direct: bool
    memory_bytes: int

    def exceeds(self, table: str, rows: int, dimension: int) -> bool:
        """Whether the table has more rows than these."""
        parts: dict[str, sql.Composable] = {"table": sql.Identifier(table)}
        row_bytes = ROW_BYTES + (4 * dimension if dimension <= MAX_INLINE_DIMENSION else 0)
        found = self.database.read(
            lambda connection: run_statement(
                connection, "exceeds", parts=parts, name=table, rows=rows, bytes=rows * row_bytes
            )
        )
        return bool(found and found[0]["exceeds"])

    def is_building(self) -> bool:
        """Whether somebody builds an index of chunks now."""
        return bool(self.database.read(lambda connection: run_statement(connection, "building_indexes")))

    def is_ready(self, table: str) -> bool:
        """Whether the table has an index that can be used."""
        return self.database.read(lambda connection: is_indexed(connection, table))

    def build(self, table: str, dimension: int) -> None:
        """Build the table's index; returns when it can be used.

        Raises:
            psycopg.Error: it could not be built; what is left of it is removed by `drop_broken`.
        """
        try:
            self._build(table, dimension, workers=2)
        except (psycopg.errors.InsufficientResources, psycopg.errors.SystemError) as error:
            # Parallel builds share memory, of which containers have little.
            _log.info("index of %s is built by one process (SQLSTATE %s)", table, error.sqlstate)
            self._drop(index_name(table))
            self._build(table, dimension, workers=0)

    def _build(self, table: str, dimension: int, *, workers: int) -> None:
        with self._session(self.memory_bytes, workers) as connection:
            parts: dict[str, sql.Composable] = {
                "table": sql.Identifier(table),
                "index": sql.Identifier(index_name(table)),
                "dimension": sql.Literal(dimension),
            }
            run_statement(connection, "create_vector_index", parts=parts)

    def drop_broken(self) -> list[str]:
        """Remove the indexes that a killed build left behind; which they were."""
        rows = self.database.read(lambda connection: run_statement(connection, "broken_indexes"))
        for row in rows:
            _log.warning("index %s was not finished; removing it", row["name"])
            self._drop(row["name"])
        return [row["name"] for row in rows]

    def _drop(self, name: str) -> None:
        with self._session(_LEAST_MEMORY, 0) as connection:
            run_statement(connection, "drop_vector_index", parts={"index": sql.Identifier(name)})

    @contextmanager
    def _session(self, memory: int, workers: int) -> Iterator[Connection]:
        """A session of its own, that is given up after a day."""
        try:
            connection = psycopg.Connection[Row].connect(
                self.url,
                autocommit=True,
                prepare_threshold=None,
                row_factory=dict_row,
                connect_timeout=_CONNECT_SECONDS,
                application_name="indexmill index",
            )
        except psycopg.OperationalError as error:
            raise ServiceError("database: expected a connection for building an index, got none") from error
        timer = threading.Timer(_MAX_SECONDS, connection.cancel)
        timer.daemon = True
        timer.start()
        try:
            # Behind a pooler a session's settings would be left to whoever has it next.
            if self.is_direct:
                run_statement(
                    connection,
                    "prepare_index_build",
                    memory=f"{memory // 1024}kB",
                    patience=_PATIENCE,
                    workers=str(workers),
                )
            yield connection
        finally:
            timer.cancel()
            connection.close()


def open_indexes(ledger: Ledger, settings: Settings) -> VectorIndexes:
    configured = settings.database
    return VectorIndexes(
        ledger.database,
        url=configured.direct_url or ledger.database.url,
        is_direct=configured.url is None or configured.direct_url is not None,
        memory_bytes=settings.search.index_memory_bytes,
    )


def is_indexed(connection: Connection, table: str) -> bool:
    rows = run_statement(connection, "vector_index", name=index_name(table))
    return bool(rows and rows[0]["is_valid"])
