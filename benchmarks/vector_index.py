"""`python -m benchmarks.vector_index`: how long searches take, exactly and by an index, and how long it is built."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.documents import texts
from indexmill.domain.document import Version
from indexmill.domain.outcome import ItemStatus
from indexmill.engine import Engine
from indexmill.ledger.embedded_postgres import EmbeddedPostgres
from indexmill.ledger.ledger import Ledger, open_ledger
from indexmill.ledger.migrate import migrate
from indexmill.models.model_cache import ModelCache
from indexmill.settings import DatabaseSettings, SearchSettings, Settings
from indexmill.vectors.pgvector_store import PgvectorStore
from indexmill.vectors.vector_index import open_indexes
from indexmill.vectors.vector_store import StagedDocument
from indexmill.worker.sweeps import vector_indexes

_MODEL = "wordllama-256"
_GROUP = 1000
_SEARCHES = 100


def main() -> None:
    """Print the figures for one number of chunks of 256 dimensions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=60_000, help="documents of one chunk each (default 60000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="indexmill-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedPostgres(Path(folder) / "data")
        try:
            _measure(server.start(), options.chunks)
        finally:
            server.stop()


def _measure(url: str, chunks: int) -> None:
    settings = Settings(
        data_folder=Path("/no/data/folder"),
        database=DatabaseSettings(url=url, direct_url=url),
        search=SearchSettings(exact_chunks=min(chunks - 1, 50_000)),
    )
    ledger = open_ledger(url, settings)
    try:
        migrate(ledger.database)
        engine = Engine(ledger, PgvectorStore(ledger.database), ModelCache(), lambda: None)
        engine.deploy(_MODEL, "static", {})
        _fill(engine, texts(chunks, 1))
        queries = engine.embed(_MODEL, texts(_SEARCHES, 2)).vectors.tolist()
        exact = _searches(engine, queries)
        print(f"{chunks} chunks, exact: {_figures(exact)}")
        print(f"{chunks} chunks, index built and measured in {_build(ledger, settings):.1f} s")
        collection = engine.collection(_MODEL)
        print(f"recall@10 {engine.collections()[0].recall}, hnsw.ef_search {collection.ef_search}")
        print(f"{chunks} chunks, by the index: {_figures(_searches(engine, queries))}")
        rare = _searches(engine, queries, {"rare": True})
        print(f"{chunks} chunks, by the index, one document in a hundred matches: {_figures(rare)}")
    finally:
        ledger.database.close()


def _fill(engine: Engine, wanted: list[str]) -> None:
    collection = engine.collection(_MODEL)
    for start in range(0, len(wanted), _GROUP):
        group = wanted[start : start + _GROUP]
        vectors = np.asarray(engine.embed(_MODEL, group).vectors, dtype=np.float32)
        staged = [
            StagedDocument(
                item=item,
                id=str(start + item),
                version=Version(0, start + item),
                action=ItemStatus.INDEXED,
                fingerprint=b"f" * 16,
                payload_hash=b"p" * 16,
                text=text,
                payload='{"rare": true}' if item % 100 == 0 else '{"rare": false}',
                vectors=vectors[item : item + 1],
                spans=((0, len(text)),),
            )
            for item, text in enumerate(group)
        ]
        with engine.ledger.database.transaction() as connection:
            engine.vectors.stage(connection, staged)
            engine.vectors.write(connection, collection, staged, range(len(staged)))


def _build(ledger: Ledger, settings: Settings) -> float:
    return _timed(vector_indexes.sweep(ledger, settings, open_indexes(ledger, settings)).run)


def _searches(engine: Engine, queries: list[list[float]], equal: dict[str, object] | None = None) -> list[float]:
    return [_timed(lambda query=query: engine.search(_MODEL, vector=query, equal=equal)) for query in queries]  # type: ignore[misc]


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _figures(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    return f"{1000 * median(ordered):.1f} ms, 95 % below {1000 * ordered[int(len(ordered) * 0.95)]:.1f} ms"


if __name__ == "__main__":
    main()
