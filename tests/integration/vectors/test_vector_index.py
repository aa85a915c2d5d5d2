"""HNSW above the threshold: used where it is meant, finding what exact search finds, built beside writers."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import sql

from indexmill.engine import Engine
from indexmill.ledger.database import Connection
from indexmill.settings import Settings
from indexmill.vectors.chunk_search import ChunkQuery
from indexmill.vectors.chunk_tables import MAX_INLINE_DIMENSION
from indexmill.vectors.index_search import IndexSearch
from indexmill.vectors.selection import Selection
from indexmill.vectors.statements import run_statement, statement
from indexmill.vectors.vector_index import ROW_BYTES, open_indexes
from indexmill.vectors.vector_store import SearchQuery
from indexmill.worker.sweeps import vector_indexes
from tests.draining import alter_query, rows, waiting_for_locks
from tests.integration.vectors.indexed import THRESHOLD, block_builds, fill, index_names, indexes_of, sweep_indexes
from tests.integration.vectors.stored import Stored, store
from tests.running_service import wait_until

QUERY = [3.0, -2.0, 1.0, 0.5, 7.0, -4.0, 2.0, 1.0]


def ids(engine: Engine, limit: int = 10, **equal: Any) -> list[str]:
    hits = engine.vectors.search(engine.collection("tiny"), SearchQuery(QUERY, limit, equal))
    return [hit.document_id for hit in hits]


def chunk_ids(engine: Engine, limit: int = 10, *, min_score: float | None = None, **equal: Any) -> list[str]:
    query = ChunkQuery(QUERY, limit, Selection.of(None, [equal]), min_score)
    return [hit.document.id for hit in engine.vectors.search_chunks(engine.collection("tiny"), query)]


def summary(engine: Engine) -> tuple[str, float | None]:
    (found,) = engine.collections()
    return found.index, found.recall


def plan_of(connection: Connection, name: str, **values: Any) -> str:
    parts: dict[str, sql.Composable] = {
        "table": sql.Identifier("chunk_1_1"),
        "dimension": sql.Literal(8),
        "joins": sql.SQL(""),
        "condition": sql.SQL("true"),
    }
    vector = "[" + ",".join(map(str, QUERY)) + "]"
    explained = sql.SQL("EXPLAIN {}").format(statement(name, **parts))
    lines = connection.execute(explained, {"vector": vector, "collection": 1, "filters": [], "ids": None, **values})
    return "\n".join(row["QUERY PLAN"] for row in lines)


# When there is one


def test_up_to_the_threshold_there_is_no_index(engine: Engine) -> None:
    fill(engine, THRESHOLD)
    sweep_indexes(engine)
    assert index_names(engine) == {}
    assert summary(engine) == ("exact", None)

    fill(engine, 1, first=THRESHOLD)
    sweep_indexes(engine)
    assert index_names(engine) == {"chunk_1_1_hnsw": True}
    assert summary(engine) == ("hnsw", 1.0)
    assert engine.collection("tiny").ef_search == 100


def test_small_collections_are_left_out_by_their_size(engine: Engine) -> None:
    engine.deploy("small", "deterministic", {"dimension": 8})
    store(engine, {"d0": Stored([[1] * 8])}, "small")
    fill(engine)
    found = engine.ledger.generations.to_index(
        rows=THRESHOLD, row_bytes=ROW_BYTES, inline_dimension=MAX_INLINE_DIMENSION
    )
    assert [each.collection for each in found] == [engine.collection("tiny").id]


def test_a_live_index_stays_when_the_collection_shrinks(engine: Engine) -> None:
    fill(engine)
    sweep_indexes(engine)
    with engine.ledger.database.connection() as connection:
        connection.execute("DELETE FROM chunk_1_1 WHERE document > 5")
    sweep_indexes(engine)
    assert index_names(engine) == {"chunk_1_1_hnsw": True}


def test_an_index_that_misses_too_much_is_not_used(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(engine)
    before = ids(engine)
    with monkeypatch.context() as broken:
        alter_query(broken, "near_chunks", "LIMIT %(candidates)s", "LIMIT least(3, %(candidates)s)")
        sweep_indexes(engine)
        assert engine.collection("tiny").ef_search is None
        index, recall = summary(engine)
        assert (index, round(recall or 0, 4)) == ("exact", 0.3)
        assert ids(engine) == before


def test_it_is_searched_as_long_as_it_takes_to_find_enough(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(engine)
    near = IndexSearch.near

    def worse_in_a_hurry(self: IndexSearch, *arguments: Any) -> list[Any]:
        found = near(self, *arguments)
        return found if self.ef_search >= 400 else found[:9]

    monkeypatch.setattr(IndexSearch, "near", worse_in_a_hurry)
    sweep_indexes(engine)
    assert engine.collection("tiny").ef_search == 400


def test_it_is_measured_again_when_the_collection_has_doubled(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(engine)
    sweep_indexes(engine)
    assert engine.collection("tiny").ef_search == 100
    near = IndexSearch.near

    def worse_in_a_hurry(self: IndexSearch, *arguments: Any) -> list[Any]:
        found = near(self, *arguments)
        return found if self.ef_search >= 400 else found[:9]

    monkeypatch.setattr(IndexSearch, "near", worse_in_a_hurry)
    fill(engine, 200, first=400)
    sweep_indexes(engine)
    assert engine.collection("tiny").ef_search == 100
    fill(engine, 400, first=600)
    sweep_indexes(engine)
    assert engine.collection("tiny").ef_search == 400
    measured = rows(engine, "SELECT indexed_bytes FROM collection")
    sweep_indexes(engine)
    assert rows(engine, "SELECT indexed_bytes FROM collection") == measured


@pytest.mark.parametrize(("most", "index"), [(4000, "hnsw"), (3999, "exact")])
def test_vectors_are_indexed_up_to_four_thousand_dimensions(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, most: int, index: str
) -> None:
    """No model for tests has more: beyond the limit is what a lower one makes of it."""
    monkeypatch.setattr(vector_indexes, "MAX_INDEXED_DIMENSION", most)
    dimension = 4000
    engine.deploy("wide", "deterministic", {"dimension": dimension})
    chance = random.Random(1)
    store(
        engine,
        {f"d{n}": Stored([[chance.randint(-9, 9) for _ in range(dimension)]]) for n in range(20)},
        collection="wide",
    )
    query = SearchQuery([float(chance.randint(-9, 9)) for _ in range(dimension)], 5, {})
    exact = engine.vectors.search(engine.collection("wide"), query)
    sweep_indexes(engine, exact_chunks=15, recall_sample=5)
    assert {each.name: each.index for each in engine.collections()} == {"tiny": "exact", "wide": index}
    assert engine.vectors.search(engine.collection("wide"), query) == exact


# What uses it


def test_every_chunk_of_a_large_document_may_be_searched_for(engine: Engine) -> None:
    """Else the recall of a collection of one document would be that of one question."""
    store(engine, {"large": Stored([[number, 1, 0, 0, 0, 0, 0, 1] for number in range(40)])})
    parts: dict[str, sql.Composable] = {"table": sql.Identifier("chunk_1_1")}
    with engine.ledger.database.connection() as connection:
        found = [
            run_statement(connection, "sample_chunk", parts=parts, document=1, share=share)[0]["vector"]
            for share in (0.0, 0.3, 0.6, 0.9999)
        ]
        stored = [
            row["vector"]
            for row in connection.execute("SELECT embedding::text AS vector FROM chunk_1_1 ORDER BY ordinal")
        ]
    assert found == [stored[place] for place in (0, 12, 24, 39)]


def test_searches_use_the_index_and_exact_ones_cannot(engine: Engine) -> None:
    fill(engine)
    sweep_indexes(engine)
    with engine.ledger.database.transaction() as connection:
        run_statement(connection, "use_vector_index", ef_search="100")
        assert "Index Scan using chunk_1_1_hnsw" in plan_of(connection, "near_chunks", candidates=20)
        assert "Index Scan using chunk_1_1_hnsw" in plan_of(connection, "near_chunks_selected", candidates=20)
    for begin in ("begin_search", "begin_read"):
        with engine.ledger.database.transaction() as connection:
            run_statement(connection, begin, milliseconds="1000ms")
            assert "hnsw" not in plan_of(connection, "nearest_chunks", limit=10)
            assert "hnsw" not in plan_of(connection, "nearest_chunks_selected", limit=10)


def test_exact_search_reads_the_chunks_as_they_lie(engine: Engine) -> None:
    fill(engine)
    with engine.ledger.database.transaction() as connection:
        run_statement(connection, "begin_search", milliseconds="1000ms")
        assert "Seq Scan on chunk_1_1" in plan_of(connection, "nearest_chunks", limit=10)


def test_the_index_finds_what_exact_search_finds(engine: Engine) -> None:
    fill(engine)
    calls: list[dict[str, Any]] = [{}, {"k": "rare"}, {"k": "usual"}, {"k": "none"}]
    before = [(ids(engine, **each), chunk_ids(engine, **each)) for each in calls]
    sweep_indexes(engine)
    assert [(ids(engine, **each), chunk_ids(engine, **each)) for each in calls] == before
    assert chunk_ids(engine, min_score=0.9) == chunk_ids(engine, 400, min_score=0.9)[:10]


def test_a_search_for_more_than_there_are_finds_all(engine: Engine) -> None:
    fill(engine)
    sweep_indexes(engine)
    assert len(ids(engine, 1000)) == 400
    assert len(chunk_ids(engine, 1000, k="rare")) == 40


def test_documents_of_many_near_chunks_leave_room_for_others(engine: Engine) -> None:
    fill(engine)
    crowd = Stored([[3, -2, 1, 1, 7, -4, 2, number % 3] for number in range(200)])
    store(engine, {"crowd": crowd})
    sweep_indexes(engine)
    found = ids(engine)
    assert found[0] == "crowd"
    assert len(set(found)) == 10


def test_a_filtered_search_that_found_too_few_is_repeated_exactly(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(engine)
    before = ids(engine, k="rare"), chunk_ids(engine, k="rare")
    sweep_indexes(engine)
    # Without further turns the index gives what it found first, whether it matches or not.
    alter_query(monkeypatch, "use_vector_index", "'relaxed_order'", "'off'")
    alter_query(monkeypatch, "use_vector_index", "%(ef_search)s", "left(%(ef_search)s, 2)")
    with engine.ledger.database.transaction() as connection:
        near = IndexSearch(connection, "chunk_1_1", 8, 10).near(str(QUERY), 20, Selection(equal=({"k": "rare"},)), 1)
    assert len(near) < 10
    assert (ids(engine, k="rare"), chunk_ids(engine, k="rare")) == before
    assert len(before[0]) == 10


# Building it


def build_in_background(engine: Engine) -> threading.Thread:
    def build() -> None:
        try:
            indexes_of(engine).build("chunk_1_1", 8)
        except psycopg.Error:
            return

    thread = threading.Thread(target=build, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not waiting_for_locks(engine) and time.monotonic() < until:
        time.sleep(0.02)
    assert waiting_for_locks(engine), "the build does not wait"
    return thread


def test_writers_go_on_while_it_is_built(engine: Engine) -> None:
    fill(engine)
    with block_builds(engine):
        thread = build_in_background(engine)
        assert summary(engine)[0] == "building"
        assert indexes_of(engine).is_building()
        # The sweep of another process leaves it alone.
        sweep_indexes(engine)
        assert index_names(engine) == {"chunk_1_1_hnsw": False}
        fill(engine, 100, first=400, seed=2)
        store(engine, {"d0": Stored([[3, -2, 1, 0, 7, -4, 2, 1]])})
    thread.join(timeout=60)
    assert index_names(engine) == {"chunk_1_1_hnsw": True}
    exact = ids(engine)
    sweep_indexes(engine)
    assert summary(engine)[0] == "hnsw"
    assert ids(engine) == exact
    assert exact[0] == "d0"


def test_what_a_killed_build_left_is_removed_and_built_again(engine: Engine) -> None:
    fill(engine)
    with block_builds(engine):
        thread = build_in_background(engine)
        rows(engine, "SELECT pg_terminate_backend(pid) FROM pg_stat_progress_create_index")
        thread.join(timeout=60)
    assert index_names(engine) == {"chunk_1_1_hnsw": False}
    assert indexes_of(engine).drop_broken() == ["chunk_1_1_hnsw"]
    assert index_names(engine) == {}
    sweep_indexes(engine)
    assert index_names(engine) == {"chunk_1_1_hnsw": True}
    assert summary(engine)[0] == "hnsw"


def test_a_build_whose_session_cannot_be_prepared_leaves_none_open(engine: Engine, settings: Settings) -> None:
    fill(engine)
    indexes = replace(open_indexes(engine.ledger, settings), is_direct=True, memory_bytes=2**60)
    with pytest.raises(psycopg.errors.InvalidParameterValue) as caught:
        indexes.build("chunk_1_1", 8)
    # Else it would live as long as whoever keeps the error.
    mine = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'indexmill index' AND datname = current_database()"
    wait_until(lambda: not rows(engine, mine), 10, "its session to end")
    assert caught.value.sqlstate == "22023"
