"""Brings a database to the newest schema: numbered migrations, each applied once, in one transaction together."""

from __future__ import annotations

import logging
from importlib import resources
from typing import LiteralString

from indexmill.errors import ServiceError
from indexmill.ledger.database import Connection, Database, run_query

__all__ = ["MIN_PGVECTOR", "MIN_POSTGRES", "migrate", "migration_names"]

MIN_POSTGRES = 15
#: Older ones can corrupt an HNSW index.
MIN_PGVECTOR = (0, 8, 4)

_log = logging.getLogger(__name__)


def migration_names() -> list[str]:
    """The migrations' names, in the order of their numbers."""
    folder = resources.files("indexmill.ledger").joinpath("migrations")
    return sorted(entry.name.removesuffix(".sql") for entry in folder.iterdir() if entry.name.endswith(".sql"))


def migrate(database: Database) -> list[str]:
    """Apply what is missing; the names of what was applied. Safe to call from many processes at once.

    Raises:
        ServiceError: PostgreSQL or pgvector is too old, or the database is newer than this program.
    """
    with database.transaction() as connection:
        run_query(connection, "lock_migrations")
        _check_versions(connection)
        run_query(connection, "create_migration_table")
        applied = {row["name"] for row in run_query(connection, "applied_migrations")}
        unknown = applied - set(migration_names())
        if unknown:
            raise ServiceError(
                f"database: expected migrations up to {migration_names()[-1]}, found {max(unknown)}; "
                "this program is older than its database: upgrade it"
            )
        missing = [name for name in migration_names() if name not in applied]
        for name in missing:
            _log.info("applying migration %s", name)
            connection.execute(_migration(name))
            run_query(connection, "record_migration", name=name)
    return missing


def _migration(name: str) -> LiteralString:
    path = resources.files("indexmill.ledger").joinpath("migrations", f"{name}.sql")
    return path.read_text("utf-8")


def _check_versions(connection: Connection) -> None:
    found = run_query(connection, "server_versions")[0]
    if found["postgres"] < MIN_POSTGRES * 10000:
        raise ServiceError(f"database: expected PostgreSQL {MIN_POSTGRES} or newer, found {found['postgres'] // 10000}")
    wanted = ".".join(str(part) for part in MIN_PGVECTOR)
    if found["pgvector"] is None:
        raise ServiceError(f"database: expected the extension pgvector {wanted} or newer on the server, found none")
    if tuple(int(part) for part in found["pgvector"].split(".")) < MIN_PGVECTOR:
        raise ServiceError(f"database: expected pgvector {wanted} or newer, found {found['pgvector']}; upgrade it")
