"""The pool of connections: sessions that the server has ended cost nobody a failed query."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack

import psycopg
import pytest
from psycopg.rows import dict_row

from indexmill.errors import ServiceError
from indexmill.ledger import database as database_module
from indexmill.ledger.database import Database, is_outage
from tests.running_service import wait_until


def query_after_all_sessions_were_ended(url: str, sessions: int = 12) -> None:
    """As after a restart of the database: the pool holds more dead sessions than a query has tries."""
    database = Database(url, pool_size=sessions, direct=True)
    database.open()
    try:
        with ExitStack() as stack:
            pids = [stack.enter_context(database.connection()).info.backend_pid for _ in range(sessions)]
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::integer[]) AS p (pid)", (pids,))
            wait_until(
                lambda: (
                    not connection.execute("SELECT 1 FROM pg_stat_activity WHERE pid = ANY (%s)", (pids,)).fetchall()
                ),
                10,
                "the sessions to end",
            )
        assert database.query("ready_work")[0]["batches"] == 0
    finally:
        database.close()


def test_a_query_after_all_sessions_were_ended_is_answered(database_url: str) -> None:
    query_after_all_sessions_were_ended(database_url)


def test_without_a_look_at_what_the_pool_gives_the_query_would_fail(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "_was_ended", lambda _: False)
    with pytest.raises(ServiceError):
        query_after_all_sessions_were_ended(database_url)


def test_a_session_that_was_ended_is_an_outage_and_a_broken_constraint_is_none(database_url: str) -> None:
    def raised_by(statement: str) -> Exception:
        with pytest.raises(psycopg.Error) as caught, psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(statement)
        return caught.value

    ended = raised_by("SELECT pg_terminate_backend(pg_backend_pid())")
    refused = raised_by("INSERT INTO tenant (id, name) VALUES (1, 'again')")
    assert is_outage(ended)
    assert not is_outage(refused)
    assert not is_outage(ValueError("a defect"))
    wrapped = ServiceError("repeated")
    wrapped.__cause__ = ended
    assert is_outage(wrapped)


@pytest.mark.parametrize("commits", [True, False])
def test_a_transaction_in_doubt_is_waited_for(
    database_url: str, monkeypatch: pytest.MonkeyPatch, commits: bool
) -> None:
    """Its connection is lost, and the server does not know that yet: what comes of it decides."""
    database = Database(database_url, pool_size=2, direct=True)
    database.open()
    answers: list[str] = []
    tries: list[str] = []

    def work(connection: database_module.Connection) -> str:
        connection.execute("INSERT INTO tenant (name) VALUES ('made')")
        tries.append(f"try {len(tries) + 1}")
        return tries[-1]

    try:
        with (
            psycopg.connect(database_url, row_factory=dict_row) as doubtful,
            psycopg.connect(database_url, autocommit=True) as watching,
        ):

            def lost_at_first(work: Callable[[database_module.Connection], str]) -> str:
                work(doubtful)
                return Database.repeat(database, work)

            monkeypatch.setattr(database, "repeat", lost_at_first)
            asking = threading.Thread(target=lambda: answers.append(database.once(work)))
            asking.start()
            waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            wait_until(lambda: bool(watching.execute(waiting).fetchall()), 60, "somebody to wait for it")
            if commits:
                doubtful.commit()
            else:
                doubtful.rollback()
            asking.join(timeout=60)
            made = watching.execute("SELECT count(*) FROM tenant WHERE name = 'made'").fetchone()
        assert (answers, made) == (["try 1" if commits else "try 2"], (1,))
        assert len(tries) == (1 if commits else 2)
    finally:
        database.close()
