"""Sets of filter attributes: filled, switched to and dropped, by jobs that are killed and started again too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from indexmill.corpora import Corpora
from indexmill.domain.document import StoredPart, Version
from indexmill.domain.filter_attributes import AttributeLevel, AttributeType, FilterAttribute
from indexmill.domain.outcome import ItemStatus
from indexmill.engine import Engine
from indexmill.errors import Conflict, InvalidRequest
from indexmill.vectors.attribute_tables import AttributeSet
from indexmill.vectors.chunk_tables import drop_retired
from indexmill.vectors.vector_store import StagedDocument
from tests.draining import delete, drain, execute, rows, upsert
from tests.integration.vectors.attribute_set_steps import (
    INTEGER,
    PART,
    TEXT,
    A,
    attribute,
    drop,
    fill,
    found,
    prepare,
    sizes,
    switch,
    tables,
    use,
)
from tests.integration.vectors.stored import Stored, staged, store, write

# One after the other


def test_documents_that_were_there_before_are_found_after_the_switch(engine: Engine) -> None:
    store(engine, {f"d{n}": Stored([A], {"year": 2000 + n, "title": f"t{n}"}) for n in range(10)})
    number = prepare(engine, attribute("year", INTEGER), attribute("title", TEXT))
    with pytest.raises(InvalidRequest, match="not a filter attribute"):
        found(engine, "doc.year = 2001")
    pages = list(fill(engine, number, limit=4))
    assert [(page.next, page.documents, page.misfits) for page in pages] == [
        ("d3", 4, []),
        ("d7", 4, []),
        ("d9", 2, []),
    ]
    with pytest.raises(InvalidRequest, match="not a filter attribute"):
        found(engine, "doc.year = 2001")
    assert switch(engine, number) is None
    assert found(engine, "doc.year > 2007 AND doc.title <> 't9'") == ["d8"]


def test_values_that_do_not_fit_are_reported_and_found_by_no_filter(engine: Engine) -> None:
    parts = (StoredPart(0, {"page": "one"}), StoredPart(8, {"page": 2}))
    store(engine, {"a": Stored([A], {"year": "MMXX", "n": [1]}), "b": Stored([A, A], {"year": "2020"}, parts)})
    number = prepare(engine, attribute("year", INTEGER), attribute("n", INTEGER), attribute("page", INTEGER, PART))
    (page,) = fill(engine, number)
    assert {each.document: [misfit.sentence for misfit in each.misfits] for each in page.misfits} == {
        "a": ["`doc.year`: expected a whole number, got 'MMXX'", "`doc.n`: expected a whole number, got a list of 1"],
        "b": ["part 1: `part.page`: expected a whole number, got 'one'"],
    }
    switch(engine, number)
    assert found(engine, "doc.year = 2020") == ["b"]
    assert found(engine, "doc.year IS NULL") == ["a"]
    assert [hit.ordinal for hit in engine.search_chunks("tiny", "x", limit=9, metadata_filter="part.page = 2")] == [1]
    assert [document.payload for document in engine.documents("tiny", limit=1)] == [{"year": "MMXX", "n": [1]}]


def test_chunks_have_the_metadata_of_their_part(engine: Engine) -> None:
    use(engine, attribute("topic", TEXT, PART, indexed=True), attribute("year", INTEGER))
    parts = (StoredPart(8, {"topic": "x", "lang": "eng"}), StoredPart(24, {"topic": "y"}))
    store(engine, {"a": Stored([A] * 5, {"year": 1}, parts), "b": Stored([A] * 2, {"year": 1, "topic": "x"})})

    def chunks(condition: str) -> set[tuple[str, int]]:
        hits = engine.search_chunks("tiny", "x", limit=20, metadata_filter=condition)
        return {(hit.document.id, hit.ordinal) for hit in hits}

    assert chunks("part.topic = 'x'") == {("a", 1), ("a", 2)}
    assert chunks("part.topic = 'y' AND doc.year = 1") == {("a", 3), ("a", 4)}
    assert chunks("part.topic IS NULL") == {("a", 0), ("b", 0), ("b", 1)}
    assert chunks("part.lang = 'eng'") == {("a", 1), ("a", 2)}
    assert chunks("part.lang = 'und'") == {("a", 0), ("a", 3), ("a", 4), ("b", 0), ("b", 1)}


def test_a_payload_update_brings_new_metadata_of_document_and_parts(engine: Engine) -> None:
    use(engine, attribute("topic", TEXT, PART), attribute("year", INTEGER))
    store(engine, {"a": Stored([A, A], {"year": 1}, (StoredPart(0, {"topic": "x"}), StoredPart(8, {"topic": "y"})))})
    first = staged(0, "a", Stored([A, A], {"year": 2}, (StoredPart(0, {}), StoredPart(8, {"topic": "z"}))), 10_000_100)
    update = replace(first, action=ItemStatus.PAYLOAD_UPDATED, vectors=None, spans=(), text=None)
    assert [each.status for each in write(engine, [update])] == [ItemStatus.PAYLOAD_UPDATED]
    assert found(engine, "doc.year = 1") == []
    assert found(engine, "doc.year = 2") == ["a"]
    assert [hit.ordinal for hit in engine.search_chunks("tiny", "x", limit=9, metadata_filter="part.topic = 'z'")] == [
        1
    ]
    assert engine.search_chunks("tiny", "x", limit=9, metadata_filter="part.topic IN ('x', 'y')") == []
    unchanged = replace(update, action=ItemStatus.UNCHANGED, version=Version(10_000_101, 0), payload=None, parts=())
    write(engine, [unchanged])
    assert found(engine, "doc.year = 2") == ["a"]
    assert rows(engine, "SELECT parts FROM document") == [{"parts": [[0, {}], [8, {"topic": "z"}]]}]


def test_what_is_deleted_leaves_no_values(engine: Engine) -> None:
    number = use(engine, attribute("year", INTEGER), attribute("topic", TEXT, PART))
    store(engine, {"a": Stored([A], {"year": 1}, (StoredPart(0, {"topic": "x"}),)), "b": Stored([A], {"year": 1})})
    write(engine, [StagedDocument(0, "a", Version(10_000_100, 0), ItemStatus.REMOVED)])
    assert found(engine, "doc.year = 1") == ["b"]
    assert sizes(engine, number) == [1, 0]


def test_documents_have_their_values_through_the_pipeline(engine: Engine) -> None:
    use(engine, attribute("text", TEXT))
    upsert(engine, {"a": "one", "b": "two"})
    drain(engine)
    assert found(engine, "doc.text = 'one'") == ["a"]
    upsert(engine, {"a": "two"})
    delete(engine, ["b"])
    drain(engine)
    assert found(engine, "doc.text = 'two'") == ["a"]


def test_indexed_attributes_have_indexes_and_others_have_none(engine: Engine) -> None:
    plain = [FilterAttribute(f"{type_.value}_{indexed}", level, type_, indexed)
             for type_ in AttributeType for level in AttributeLevel for indexed in (True, False)]  # fmt: skip
    number = prepare(engine, *plain)
    for level in AttributeLevel:
        made = [each for each in plain if each.level is level]
        names = AttributeSet(number, tuple(plain)).column_names(level)
        wanted = {
            name: "gin" if each.type.is_list else "btree"
            for name, each in zip(names, made, strict=True)
            if each.indexed
        }
        query = "SELECT indexdef FROM pg_indexes WHERE tablename = %s AND indexname !~ '_(pkey|document_idx)$'"
        defined = [
            row["indexdef"].split(" USING ")[1] for row in rows(engine, query, f"{level.value}_attribute_{number}")
        ]
        assert {each.split("(")[1].rstrip(")"): each.split(" ")[0] for each in defined} == wanted


def test_a_declaration_is_at_once_and_only_without_documents(engine: Engine) -> None:
    collection = engine.collection("tiny").id
    for name in ("a", "b"):
        with engine.ledger.database.transaction() as connection:
            number = engine.vectors.attribute_sets.declare(connection, collection, [attribute(name, TEXT)])
    assert engine.vectors.attribute_sets.active(collection) == AttributeSet(number, (attribute("b", TEXT),))
    store(engine, {"d": Stored([A], {"b": "x"})})
    assert found(engine, "doc.b = 'x'") == ["d"]
    with engine.ledger.database.transaction() as connection:
        assert engine.vectors.attribute_sets.unused_sets(connection, collection) == [number - 1]
        with pytest.raises(Conflict, match="expected a collection without documents"):
            engine.vectors.attribute_sets.declare(connection, collection, [attribute("c", TEXT)])


def test_a_collection_that_goes_takes_all_its_sets_along(engine: Engine) -> None:
    store(engine, {"d": Stored([A], {"a": "x"})})
    use(engine, attribute("a", TEXT))
    prepare(engine, attribute("b", TEXT))
    sets = engine.vectors.attribute_sets
    with engine.ledger.database.transaction() as connection:
        engine.ledger.corpora.delete(connection, engine.collection("tiny").id)
    assert sets.drop_abandoned(3600) == []
    execute(engine, "UPDATE collection SET deleted_at = now() - interval '2 hours'")
    assert len(sets.drop_abandoned(3600)) == 2
    assert tables(engine) == []
    assert rows(engine, "SELECT count(*) AS n FROM attribute_set") == [{"n": 0}]
    assert len(drop_retired(engine.ledger.database, 3600)) == 1
    assert sets.drop_abandoned(0) == []
    assert drop_retired(engine.ledger.database, 0) == []


def test_what_a_job_has_left_is_dropped(engine: Engine) -> None:
    store(engine, {"d": Stored([A], {"a": "x"})})
    in_use = use(engine, attribute("a", TEXT))
    given_up = prepare(engine, attribute("b", TEXT))
    sets = engine.vectors.attribute_sets
    assert sets.drop_abandoned(3600) == []
    execute(engine, "UPDATE attribute_set SET created_at = now() - interval '2 hours'")
    assert sets.drop_abandoned(3600) == [given_up]
    assert engine.collection("tiny").prepared_set is None
    assert found(engine, "doc.a = 'x'") == ["d"]
    filling = prepare(engine, attribute("b", TEXT))
    corpora = Corpora(engine, "tiny", "whole")
    job = corpora.replace_attributes("tiny", [attribute("b", TEXT)])
    assert sets.drop_abandoned(-1) == []
    engine.cancel(job)
    assert sets.drop_abandoned(-1) == [filling]
    assert sets.active(engine.collection("tiny").id).number == in_use


def test_a_set_can_be_emptied(engine: Engine) -> None:
    number = use(engine, attribute("a", TEXT))
    store(engine, {"d": Stored([A], {"a": "x"}, (StoredPart(0, {}),))})
    with engine.ledger.database.transaction() as connection:
        engine.vectors.attribute_sets.clear(connection, engine.collection("tiny"))
    assert sizes(engine, number) == [0, 0]


# What a job that is killed and started again does


def test_filling_again_changes_nothing(engine: Engine) -> None:
    store(engine, {f"d{n}": Stored([A], {"year": n}, (StoredPart(0, {"topic": "x"}),)) for n in range(6)})
    attributes = [attribute("year", INTEGER), attribute("topic", TEXT, PART)]
    number = prepare(engine, *attributes)
    next(fill(engine, number, limit=2))
    assert sum(page.documents for page in fill(engine, number, limit=4)) == 6
    assert sum(page.documents for page in fill(engine, number, limit=4)) == 6
    switch(engine, number)
    assert found(engine, "doc.year >= 3") == ["d3", "d4", "d5"]
    assert len(engine.search_chunks("tiny", "x", limit=9, metadata_filter="part.topic = 'x'")) == 6


def test_preparing_other_attributes_gives_up_the_first_ones(engine: Engine) -> None:
    first = prepare(engine, attribute("a", TEXT))
    second = prepare(engine, attribute("b", TEXT))
    assert tables(engine) == [f"document_attribute_{second}", f"part_attribute_{second}"]
    with pytest.raises(Conflict, match=f"expected set {first} to be the prepared one"):
        next(fill(engine, first))
    with pytest.raises(Conflict, match="to be prepared and filled, it is not"):
        switch(engine, first)


def test_a_set_that_is_not_filled_cannot_be_switched_to(engine: Engine) -> None:
    store(engine, {"a": Stored([A])})
    number = prepare(engine, attribute("a", TEXT))
    with pytest.raises(Conflict, match="to be prepared and filled, it is not"):
        switch(engine, number)
    list(fill(engine, number))
    switch(engine, number)
    with pytest.raises(Conflict, match="to be prepared and filled, it is not"):
        switch(engine, number)


def test_only_what_is_not_in_use_is_dropped(engine: Engine) -> None:
    old, new = use(engine, attribute("a", TEXT)), prepare(engine, attribute("b", TEXT))
    with pytest.raises(Conflict, match="expected a set that is not in use"):
        drop(engine, old)
    list(fill(engine, new))
    assert switch(engine, new) == old
    collection = engine.collection("tiny").id
    with engine.ledger.database.connection() as connection:
        assert engine.vectors.attribute_sets.unused_sets(connection, collection) == [old]
    drop(engine, old)
    drop(engine, old)
    assert tables(engine) == [f"document_attribute_{new}", f"part_attribute_{new}"]
    third = prepare(engine, attribute("c", TEXT))
    drop(engine, third)
    assert engine.collection("tiny").prepared_set is None
