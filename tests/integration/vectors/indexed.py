"""Collections that are large for a test: their index is built by the sweep, with a threshold of a test's own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from indexmill.engine import Engine
from indexmill.settings import SearchSettings, Settings
from indexmill.vectors.vector_index import VectorIndexes, open_indexes
from indexmill.worker.sweeps import vector_indexes
from tests.draining import rows
from tests.integration.vectors.stored import Stored, store

__all__ = ["THRESHOLD", "block_builds", "fill", "index_names", "indexes_of", "sweep_indexes"]

THRESHOLD = 200


def fill(engine: Engine, count: int = 400, *, first: int = 0, seed: int = 1) -> dict[str, Stored]:
    """Documents `d0`, `d1`, ... of one chunk; every tenth has the payload {"k": "rare"}."""
    chance = random.Random(seed)
    made = {
        f"d{number}": Stored(
            [[chance.randint(-1000, 1000) for _ in range(7)] + [1]], {"k": "rare" if number % 10 == 0 else "usual"}
        )
        for number in range(first, first + count)
    }
    store(engine, made)
    return made


def _settings(**search: Any) -> Settings:
    return Settings(data_folder=Path("/no/data/folder"), search=SearchSettings(**{"exact_chunks": THRESHOLD, **search}))


def indexes_of(engine: Engine) -> VectorIndexes:
    return replace(open_indexes(engine.ledger, _settings()), is_direct=True)


def sweep_indexes(engine: Engine, **search: Any) -> None:
    """One turn of the sweep that builds indexes."""
    vector_indexes.sweep(engine.ledger, _settings(**search), indexes_of(engine)).run()


def index_names(engine: Engine) -> dict[str, bool]:
    """The indexes of chunks, and whether they are valid."""
    found = rows(
        engine,
        "SELECT c.relname, i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "WHERE c.relname LIKE 'chunk%%hnsw'",
    )
    return {row["relname"]: row["indisvalid"] for row in found}


@contextmanager
def block_builds(engine: Engine, table: str = "chunk_1_1") -> Iterator[None]:
    """A transaction that has written: a build must wait for its end."""
    with engine.ledger.database.transaction() as connection:
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        connection.execute(f"DELETE FROM {table} WHERE document = -1")  # noqa: S608
        yield
