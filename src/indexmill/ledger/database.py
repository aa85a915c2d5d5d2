"""Connections and transactions: the pool, the SQLSTATEs that are worth a repeat, the errors that clients see."""

from __future__ import annotations

import logging
import random
import select
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias, TypeVar
from uuid import uuid4

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from indexmill.errors import ServiceError
from indexmill.ledger.sql_files import query_text

__all__ = [
    "Connection",
    "Database",
    "Row",
    "is_connection_loss",
    "is_outage",
    "is_repeatable",
    "is_statement_timeout",
    "run_query",
]

Row: TypeAlias = dict[str, Any]
Connection: TypeAlias = psycopg.Connection[Row]
T = TypeVar("T")

_log = logging.getLogger(__name__)
#: Serialization and deadlock, resources, lock not available, operator intervention, connection exception.
_REPEATABLE_CLASSES = ("40", "53", "55P03", "57", "08")
_REPEATS = 5
_RECONNECT_SECONDS = 4.0
_IDLE_SECONDS = 10
#: For a commit in doubt: longer than the server keeps a transaction whose client says nothing more.
_DOUBT_SECONDS = _IDLE_SECONDS + 2.0


def is_connection_loss(error: psycopg.Error) -> bool:
    """Whether the connection is gone, so that a COMMIT under way may or may not have happened."""
    if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
        return True
    return (error.sqlstate or "").startswith(("08", "57P", "25P03"))


def is_repeatable(error: psycopg.Error) -> bool:
    """Whether the same transaction, run again, may succeed."""
    return is_connection_loss(error) or (error.sqlstate or "").startswith(_REPEATABLE_CLASSES)


def is_outage(error: Exception) -> bool:
    """Whether the database was away, so that the failure says nothing about what was being done."""
    cause = _cause_of(error)
    return isinstance(cause, psycopg.Error) and is_connection_loss(cause)


def is_statement_timeout(error: Exception) -> bool:
    """Whether a statement took longer than it may: unlike a lock or a conflict, that is its own doing."""
    return isinstance(_cause_of(error), psycopg.errors.QueryCanceled)


def _cause_of(error: BaseException) -> BaseException | None:
    cause: BaseException | None = error
    while isinstance(cause, ServiceError):
        cause = cause.__cause__
    return cause


class Database:
    """A pool of connections to the ledger.

    Args:
        url: a PostgreSQL URI.
        direct: no pooler in between, so statements may be prepared.
    """

    def __init__(self, url: str, *, pool_size: int, direct: bool, connect_timeout: float = 10) -> None:
        self.url = url
        self._timeout = connect_timeout
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            url,
            min_size=1,
            max_size=pool_size,
            timeout=connect_timeout,
            # Its pauses between tries double up to this: after a long outage nobody waits long for the first good one.
            reconnect_timeout=_RECONNECT_SECONDS,
            open=False,
            kwargs={
                "row_factory": dict_row,
                "autocommit": True,
                "prepare_threshold": 3 if direct else None,
                "connect_timeout": max(2, int(connect_timeout)),
                # A host that vanished without a word is noticed within a minute.
                "keepalives_idle": 20,
                "keepalives_interval": 10,
                "keepalives_count": 3,
                "application_name": "indexmill",
            },
            connection_class=psycopg.Connection[Row],
            configure=_configure if direct else None,
        )

    def open(self) -> None:
        self._pool.open()

    def close(self) -> None:
        self._pool.close(timeout=5)

    def is_ready(self) -> bool:
        """Whether a statement gets through within the connect time-out."""
        try:
            with self.connection() as connection:
                connection.execute("SELECT 1")
        except (ServiceError, psycopg.Error):
            return False
        return True

    @contextmanager
    def connection(self, patience: float | None = None) -> Iterator[Connection]:
        """A connection in autocommit mode. `patience`: seconds to wait for it, by default the connect time-out.

        Raises:
            ServiceError: none could be had within that time.
        """
        timeout = self._timeout if patience is None else min(patience, self._timeout)
        try:
            borrowed = self._borrow(timeout)
        except PoolTimeout as error:
            raise ServiceError(
                f"database: expected a connection within {timeout:g} s, got none; "
                "check that PostgreSQL runs and accepts connections"
            ) from error
        try:
            yield borrowed
        finally:
            self._pool.putconn(borrowed)

    def _borrow(self, timeout: float) -> Connection:
        """A session of the pool that the server has not ended: there may be more dead ones than a query has tries."""
        borrowed = self._pool.getconn(timeout)
        for _ in range(self._pool.max_size):
            if not _was_ended(borrowed):
                break
            borrowed.close()
            self._pool.putconn(borrowed)
            borrowed = self._pool.getconn(timeout)
        return borrowed

    @contextmanager
    def transaction(self, patience: float | None = None) -> Iterator[Connection]:
        """A connection inside one transaction: committed at the end, rolled back by any exception."""
        with self.connection(patience) as connection, connection.transaction():
            yield connection

    def query(self, name: str, /, *, prepare: bool | None = None, binary: bool = False, **values: Any) -> list[Row]:
        """Run one query of the ledger by itself; it must be harmless to run it twice.

        Raises:
            ServiceError: as `read`.
        """
        return self.read(lambda connection: run_query(connection, name, prepare=prepare, binary=binary, **values))

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` outside a transaction, again where the connection turns out to be lost.

        Raises:
            ServiceError: the database could not be reached in several tries.
        """
        return self._insist(self.connection, work)

    def repeat(self, work: Callable[[Connection], T], patience: float | None = None) -> T:
        """Run `work` in a transaction, again after conflicts and lost connections. It must be idempotent.

        Raises:
            ServiceError: the database could not be reached in several tries.
        """
        return self._insist(lambda: self.transaction(patience), work)

    def once(self, work: Callable[[Connection], T]) -> T:
        """As `repeat`, but again only where nothing of it was committed: `work` need not be idempotent.

        Raises:
            ServiceError: the database could not be reached, or did not tell, in several tries.
        """
        # Not the number of the transaction: a crash may hand it out again.
        key = uuid4()
        given: list[T] = []

        def guarded(connection: Connection) -> T:
            if given:
                # The answer of a commit was lost. Where that try is under way still, its key is waited for.
                run_query(connection, "doubt_patience", patience=f"{_DOUBT_SECONDS:g}s")
            if not run_query(connection, "insert_idempotency_key", id=key):
                return given[0]
            if given:
                run_query(connection, "usual_patience")
            given[:] = [work(connection)]
            return given[0]

        return self.repeat(guarded)

    def _insist(self, context: Callable[[], AbstractContextManager[Connection]], work: Callable[[Connection], T]) -> T:
        for attempt in range(1, _REPEATS + 1):
            try:
                with context() as connection:
                    return work(connection)
            except psycopg.Error as error:
                if not is_repeatable(error):
                    raise
                _log.info("repeated: %s (SQLSTATE %s)", type(error).__name__, error.sqlstate)
                if attempt == _REPEATS:
                    raise ServiceError("database: expected an answer, the connection failed repeatedly") from error
                time.sleep(0.02 * 2**attempt * (0.5 + random.random()))  # noqa: S311 - spreads load
        raise AssertionError("unreachable")


def _was_ended(connection: Connection) -> bool:
    """Whether the server has ended this idle session: something can be read from it that nobody asked for.

    Costs no round trip. A session that only had a notice for us is thrown away too, which does no harm.
    """
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _configure(connection: Connection) -> None:
    """Plans are kept with prepared statements: one made while a table was empty would scan it whole when it is not.

    Every query of the ledger has its index; what reads a whole table says so (`vectors/queries/begin_search.sql`).
    Behind a pooler nothing is prepared, so every plan knows the tables' sizes.
    """
    connection.execute("SET enable_seqscan = off")
    # A client that is stopped in the middle of a transaction gives its locks back.
    connection.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, false)", [f"{_IDLE_SECONDS}s"])


def run_query(
    connection: Connection, name: str, /, *, prepare: bool | None = None, binary: bool = False, **values: object
) -> list[Row]:
    """Run `ledger/queries/<name>.sql` with bound values; its rows, or none where it returns none.

    `prepare=False`: planned for these very values each time, for filters of which most are not given. `binary`: for
    rows with many bytes, which would be spelled out.
    """
    cursor = connection.execute(query_text("indexmill.ledger", name), values, prepare=prepare, binary=binary)
    return cursor.fetchall() if cursor.description else []
