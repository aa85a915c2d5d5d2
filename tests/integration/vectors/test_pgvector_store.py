"""Writing documents: every column through the binary COPY, chunks that shrink and grow, what each action touches."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexmill.domain.document import Version
from indexmill.domain.outcome import ItemStatus
from indexmill.engine import Engine
from indexmill.vectors.vector_store import StagedDocument
from tests.draining import alter_query, execute, rows
from tests.integration.vectors.stored import Stored, staged, store, write

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
numbers = st.integers(-(2**53), 2**53) | st.floats(-1e6, 1e6, width=32)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.none() | st.dictionaries(texts, json_values, max_size=3)
floats = st.floats(-1e6, 1e6, width=32)


def chunks_of(engine: Engine, name: str) -> list[dict[str, Any]]:
    return rows(
        engine,
        "SELECT c.ordinal, c.start_offset, c.end_offset, c.embedding::real[] AS vector FROM chunk_1_1 c "
        "JOIN document d ON d.key = c.document WHERE d.id = %s ORDER BY c.ordinal",
        name,
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_column_comes_back_as_it_was_sent(engine: Engine, data: st.DataObject) -> None:
    execute(engine, "TRUNCATE document, chunk_1_1")
    payload, item_info = data.draw(objects), data.draw(objects)
    chunks = data.draw(st.lists(st.lists(floats, min_size=8, max_size=8), min_size=1, max_size=3))
    spans = data.draw(
        st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**40)), min_size=len(chunks), max_size=len(chunks))
    )
    document = StagedDocument(
        item=data.draw(st.integers(0, 2**31 - 1)),
        id=data.draw(texts.filter(bool)),
        version=Version(data.draw(st.integers(1, 2**63 - 1)), data.draw(st.integers(0, 2**63 - 1))),
        action=ItemStatus.INDEXED,
        fingerprint=data.draw(st.none() | st.binary(max_size=20)),
        payload_hash=data.draw(st.none() | st.binary(max_size=20)),
        text=data.draw(st.none() | texts),
        payload=json.dumps(payload) if payload is not None else None,
        item_info=json.dumps(item_info) if item_info is not None else None,
        vectors=np.array(chunks, dtype=np.float32),
        spans=tuple(spans),
    )

    write(engine, [document])

    row = rows(engine, "SELECT * FROM document")[0]
    assert (row["id"], row["seq"], row["position"]) == (document.id, document.version.seq, document.version.position)
    assert (row["fingerprint"], row["payload_hash"], row["text"]) == (
        document.fingerprint, document.payload_hash, document.text,
    )  # fmt: skip
    assert (row["payload"], row["item_info"], row["outcome"]) == (payload, item_info, ItemStatus.INDEXED)
    stored = chunks_of(engine, document.id)
    assert [(each["start_offset"], each["end_offset"]) for each in stored] == spans
    assert (
        np.array([each["vector"] for each in stored], dtype=np.float32).tobytes()
        == np.array(chunks, dtype=np.float32).tobytes()
    )


def test_more_documents_than_one_piece_of_the_copy_come_through(engine: Engine) -> None:
    many = {f"d{n:05}": Stored([[n + 1, 1, 1, 1, 1, 1, 1, 1]], {"n": n, "pad": "x" * 500}) for n in range(2000)}
    store(engine, many)
    assert rows(engine, "SELECT count(*) AS n, count(DISTINCT payload) AS p FROM document") == [{"n": 2000, "p": 2000}]


A, B, C = [1, 0, 0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 0, 0]


def test_three_chunks_then_one_leaves_one(engine: Engine) -> None:
    store(engine, {"a": Stored([A, B, C]), "other": Stored([A, B])})
    assert len(chunks_of(engine, "a")) == 3
    written = store(engine, {"a": Stored([B])})
    assert [(each.status, each.chunks) for each in written] == [(ItemStatus.INDEXED, 1)]
    assert [each["vector"] for each in chunks_of(engine, "a")] == [[float(number) for number in B]]
    assert len(chunks_of(engine, "other")) == 2
    assert rows(engine, "SELECT count(*) AS n FROM chunk_1_1") == [{"n": 3}]


def test_surplus_chunks_that_stayed_would_be_caught(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    alter_query(monkeypatch, "delete_surplus_chunks", "WHERE d.key", "WHERE false AND d.key")
    with pytest.raises(AssertionError):
        test_three_chunks_then_one_leaves_one(engine)


def test_one_chunk_then_three_has_three(engine: Engine) -> None:
    store(engine, {"a": Stored([A])})
    store(engine, {"a": Stored([A, B, C])})
    assert [each["ordinal"] for each in chunks_of(engine, "a")] == [0, 1, 2]


def test_a_removed_document_has_no_chunk(engine: Engine) -> None:
    store(engine, {"a": Stored([A, B, C], {"k": 1})})
    seq = int(rows(engine, "SELECT seq FROM document")[0]["seq"])
    removal = StagedDocument(0, "a", Version(seq + 1, 0), ItemStatus.REMOVED)
    assert [each.status for each in write(engine, [removal])] == [ItemStatus.REMOVED]
    assert rows(engine, "SELECT count(*) AS n FROM chunk_1_1") == [{"n": 0}]
    again = replace(removal, version=Version(seq + 2, 0))
    assert [each.status for each in write(engine, [again])] == [ItemStatus.ABSENT]


def test_a_document_is_found_by_its_best_chunk_once(engine: Engine) -> None:
    store(engine, {"a": Stored([A, B, C]), "b": Stored([C])})
    hits = engine.search("tiny", vector=[float(number) for number in B], limit=10)
    assert [hit.document_id for hit in hits].count("a") == 1
    assert (hits[0].document_id, hits[0].text) == ("a", "chunk 1")


@pytest.mark.parametrize("action", [ItemStatus.UNCHANGED, ItemStatus.PAYLOAD_UPDATED])
def test_what_relies_on_the_stored_keeps_text_and_chunks(engine: Engine, action: ItemStatus) -> None:
    store(engine, {"a": Stored([A, B], {"k": 1})})
    before = rows(engine, "SELECT * FROM document")[0]
    chunks = chunks_of(engine, "a")
    skip = StagedDocument(
        0, "a", Version(before["seq"] + 1, 0), action, fingerprint=b"f" * 16, payload_hash=b"p" * 16, payload='{"k": 2}'
    )
    result = write(engine, [skip])[0]
    assert (result.stale, result.superseded_by) == (False, None)
    after = rows(engine, "SELECT * FROM document")[0]
    assert (after["text"], after["chunks"], chunks_of(engine, "a")) == (before["text"], 2, chunks)
    assert after["payload"] == ({"k": 1} if action is ItemStatus.UNCHANGED else {"k": 2})
    assert after["seq"] == before["seq"] + 1


@pytest.mark.parametrize("action", [ItemStatus.UNCHANGED, ItemStatus.PAYLOAD_UPDATED])
def test_what_relies_on_what_is_not_there_is_stale(engine: Engine, action: ItemStatus) -> None:
    skip = StagedDocument(0, "a", Version(1, 0), action, fingerprint=b"f" * 16, payload_hash=b"p" * 16)
    assert write(engine, [skip])[0].stale is True
    store(engine, {"b": Stored([A])})
    moved = replace(skip, id="b", version=Version(10**6, 0), fingerprint=b"g" * 16, payload_hash=b"q" * 16)
    assert write(engine, [moved])[0].stale is True


def test_of_several_staged_for_one_id_the_newest_writable_is_written(engine: Engine) -> None:
    documents = [
        staged(item, "a", Stored([vector]), seq) for item, (vector, seq) in enumerate([(A, 5), (B, 7), (C, 9)])
    ]
    with engine.ledger.database.transaction() as connection:
        engine.vectors.stage(connection, documents)
        written = engine.vectors.write(connection, engine.collection("tiny"), documents, {0, 1})
    assert {each.item: (each.status, each.superseded_by) for each in written} == {
        0: (ItemStatus.SUPERSEDED, 7),
        1: (ItemStatus.INDEXED, None),
    }
    assert [each["vector"] for each in chunks_of(engine, "a")] == [[float(number) for number in B]]


def test_staging_leaves_no_table_behind(engine: Engine) -> None:
    for _ in range(3):
        store(engine, {"a": Stored([A])})
    found = rows(engine, "SELECT count(*) AS n FROM pg_class WHERE relname = 'staged'")
    assert found == [{"n": 0}]


def test_a_second_generation_s_table_is_made_once(engine: Engine) -> None:
    collection = replace(engine.collection("tiny"), generation=2)
    with engine.ledger.database.transaction() as connection:
        engine.vectors.create_generation(connection, collection, 8)
        engine.vectors.create_generation(connection, collection, 8)
    assert rows(engine, "SELECT to_regclass('chunk_1_2') IS NOT NULL AS made") == [{"made": True}]
