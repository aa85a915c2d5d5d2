"""Rebuilds beside readers and writers in threads of their own: no search fails, and none misses what was written."""

from __future__ import annotations

import pytest

from indexmill.domain.job_state import JobState
from indexmill.engine import Engine
from indexmill.vectors.chunk_tables import drop_retired
from tests.draining import assert_conserved, documents, drain, rows, upsert
from tests.integration.vectors.indexed import THRESHOLD, sweep_indexes
from tests.rebuilding import Load, rebuilder


@pytest.mark.parametrize("exact_chunks", [THRESHOLD, 100_000], ids=["indexed", "exact"])
def test_searches_never_fail_and_never_miss(engine: Engine, exact_chunks: int) -> None:
    stable = {f"d{number}": f"text {number}" for number in range(300)}
    upsert(engine, stable)
    drain(engine)
    load = Load(engine, "tiny", stable)
    runner = rebuilder(engine, page_chunks=40, exact_chunks=exact_chunks, recall_sample=20)

    def sweep() -> None:
        sweep_indexes(engine)
        # Without any grace: searches meet dropped tables.
        engine.ledger.generations.give_up_abandoned()
        drop_retired(engine.ledger.database, 0)

    with load.running():
        jobs = [load.rebuild(runner, sweep, losses=0.15, seed=number) for number in range(2)]

    assert (load.problems, load.missed) == ([], [])
    assert load.searches > 0
    assert [job.state for job in jobs] == [JobState.SUCCEEDED] * 2
    results = [job.result or {} for job in jobs]
    assert all(result["recall_at_10"] >= 0.98 for result in results)
    assert {result["index"] for result in results} == ({"hnsw"} if exact_chunks == THRESHOLD else {"exact"})
    assert_conserved(engine)
    assert {name: row["text"] for name, row in documents(engine).items()} == stable | load.written
    sweep()
    assert rows(engine, "SELECT count(*) AS n FROM pg_class WHERE relkind = 'r' AND relname LIKE 'chunk%%'") == [
        {"n": 1}
    ]
