"""Exact search: what numpy finds by brute force, filters before the limit, a document by its best chunk."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexmill.engine import Engine
from indexmill.errors import SearchTimeout
from indexmill.ledger.database import Connection, Row
from indexmill.vectors import statements
from indexmill.vectors.pgvector_store import PgvectorStore
from indexmill.vectors.statements import run_statement
from tests.draining import alter_query, delete, drain, execute, rows, upsert
from tests.integration.vectors.stored import Stored, store

DIMENSION = 8
coordinates = st.lists(st.integers(-5, 5), min_size=DIMENSION, max_size=DIMENSION).filter(any)
scalars = st.sampled_from([None, True, False, 0, 1, 2.5, "", "a", "1", "true", "ü'\"; --"])
payloads = st.fixed_dictionaries({}, optional={"k": scalars | st.lists(scalars, max_size=2), "other": scalars})
stored_documents = st.lists(
    st.builds(Stored, chunks=st.lists(coordinates, min_size=1, max_size=3), payload=st.none() | payloads),
    min_size=1,
    max_size=12,
)


def unit(vector: list[int]) -> np.ndarray[Any, Any]:
    return np.array(vector, dtype=np.float64) / np.linalg.norm(vector)


def matches(payload: dict[str, Any] | None, equal: dict[str, Any]) -> bool:
    """JSON's equality: a boolean is no number, a missing field is not null."""
    return all(
        payload is not None
        and name in payload
        and _json_type(payload[name]) == _json_type(value)
        and payload[name] == value
        for name, value in equal.items()
    )


def _json_type(value: object) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def empty(engine: Engine) -> None:
    execute(engine, "TRUNCATE document, chunk_1_1")


def compare(engine: Engine, documents: list[Stored], query: list[int], limit: int, equal: dict[str, Any]) -> None:
    empty(engine)
    store(engine, {f"d{number}": document for number, document in enumerate(documents)})
    best = {
        f"d{number}": max(float(unit(chunk) @ unit(query)) for chunk in document.chunks)
        for number, document in enumerate(documents)
        if matches(document.payload, equal)
    }
    hits = engine.search("tiny", vector=[float(each) for each in query], limit=limit, equal=equal)
    assert len(hits) == min(limit, len(best))
    # Ties may come in any order: scores are compared in order, ids by their own score.
    assert [hit.score for hit in hits] == pytest.approx(sorted(best.values(), reverse=True)[:limit], abs=1e-5)
    for hit in hits:
        document = documents[int(hit.document_id[1:])]
        assert hit.score == pytest.approx(best[hit.document_id], abs=1e-5)
        assert hit.payload == document.payload
        scores = {f"chunk {place}": float(unit(chunk) @ unit(query)) for place, chunk in enumerate(document.chunks)}
        assert scores[str(hit.text)] == pytest.approx(hit.score, abs=1e-5)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents=stored_documents, query=coordinates, limit=st.integers(1, 15))
def test_search_finds_what_brute_force_finds(
    engine: Engine, documents: list[Stored], query: list[int], limit: int
) -> None:
    compare(engine, documents, query, limit, {})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(documents=stored_documents, query=coordinates, limit=st.integers(1, 4), value=scalars)
def test_a_filter_is_applied_before_the_limit(
    engine: Engine, documents: list[Stored], query: list[int], limit: int, value: object
) -> None:
    compare(engine, documents, query, limit, {"k": value})


def test_a_filter_after_the_limit_would_be_caught(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest document does not match, the one behind it does."""
    alter_query(monkeypatch, "search_filtered", "AND d.payload @> %(filter)s::jsonb", "AND %(filter)s IS NOT NULL")
    alter_query(
        monkeypatch,
        "search_filtered",
        "JOIN document d ON d.key = n.document\n",
        "JOIN document d ON d.key = n.document AND d.payload @> %(filter)s::jsonb\n",
    )
    near = Stored(chunks=[[1, 0, 0, 0, 0, 0, 0, 0]], payload={"k": "other"})
    far = Stored(chunks=[[1, 1, 0, 0, 0, 0, 0, 0]], payload={"k": "wanted"})
    with pytest.raises(AssertionError):
        compare(engine, [near, far], [1, 0, 0, 0, 0, 0, 0, 0], 1, {"k": "wanted"})


def test_several_fields_must_all_match(engine: Engine) -> None:
    vector = [1, 0, 0, 0, 0, 0, 0, 0]
    documents = [Stored([vector], {"k": 1, "other": 2}), Stored([vector], {"k": 1}), Stored([vector], {"other": 2})]
    compare(engine, documents, vector, 10, {"k": 1, "other": 2})


@pytest.mark.parametrize("name", ["a'b", 'a"b', "a.b", "%s", "%(x)s", "{table}", "", "ü", "a\\b", "$.x", "?"])
def test_a_field_s_name_is_a_value_too(engine: Engine, name: str) -> None:
    vector = [1, 0, 0, 0, 0, 0, 0, 0]
    compare(engine, [Stored([vector], {name: name}), Stored([vector], {"else": name})], vector, 5, {name: name})


def test_equal_texts_are_found_with_score_one_and_deleted_ones_not(engine: Engine) -> None:
    upsert(engine, {"a": "neural nets", "b": "other things"})
    drain(engine)
    first = engine.search("tiny", text="neural nets", limit=1)[0]
    assert (first.document_id, first.text, first.payload) == ("a", "neural nets", {"text": "neural nets"})
    assert first.score == pytest.approx(1, abs=1e-6)
    delete(engine, ["a"])
    drain(engine)
    assert [hit.document_id for hit in engine.search("tiny", text="neural nets")] == ["b"]


@pytest.mark.parametrize("equal", [{}, {"text": "one"}])
def test_a_search_that_takes_too_long_is_ended_once_and_the_next_one_runs(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, equal: dict[str, Any]
) -> None:
    upsert(engine, {"a": "one"})
    drain(engine)
    impatient = PgvectorStore(engine.ledger.database, search_seconds=0.2)
    monkeypatch.setattr(engine, "vectors", impatient)
    slow = "FROM (SELECT pg_sleep(20)) slow CROSS JOIN nearest n"
    with monkeypatch.context() as patch:
        alter_query(patch, "search_filtered" if equal else "search", "FROM nearest n", slow)
        begun: list[str] = []

        def noted(connection: Connection, name: str, **values: Any) -> list[Row]:
            begun.append(name)
            return run_statement(connection, name, **values)

        patch.setattr(statements, "run_statement", noted)
        with pytest.raises(SearchTimeout, match=r"within 0\.2 s, .* server\.search_timeout_seconds"):
            engine.search("tiny", text="one", equal=equal)
        # Not repeated, as other interruptions are.
        assert begun.count("begin_read") == 1
    # On the same connections; 0.2 s may be too little for any search of a busy machine.
    monkeypatch.setattr(engine, "vectors", PgvectorStore(engine.ledger.database))
    assert [hit.document_id for hit in engine.search("tiny", text="one", equal=equal)] == ["a"]
    for _ in range(20):
        # The limit is of the search's transaction, not of its connection.
        shown = rows(engine, "SELECT current_setting('statement_timeout') AS limit_")
        assert shown == [{"limit_": "0"}]


def test_collections_do_not_see_each_other(engine: Engine) -> None:
    engine.deploy("second", "deterministic", {"dimension": 8})
    upsert(engine, {"same": "mine"})
    upsert(engine, {"same": "theirs"}, model="second")
    drain(engine)
    assert [hit.text for hit in engine.search("tiny", text="x", equal={"text": "theirs"})] == []
    assert [hit.text for hit in engine.search("second", text="x")] == ["theirs"]


@pytest.mark.parametrize("dimension", [1, 3, 1900, 1901, 4000])
def test_any_dimension_is_stored_and_found(engine: Engine, dimension: int) -> None:
    engine.deploy("wide", "deterministic", {"dimension": dimension})
    upsert(engine, {"a": "one", "b": "two"}, model="wide")
    drain(engine)
    best = engine.search("wide", text="one", limit=1)[0]
    assert best.score == pytest.approx(1, abs=1e-5)
