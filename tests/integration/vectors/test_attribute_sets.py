"""Sets of filter attributes: filled, switched to and dropped while documents are written and filters are asked."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from indexmill.corpora import Corpora
from indexmill.domain.document import StoredPart, Version
from indexmill.domain.filter_attributes import AttributeLevel, AttributeType, FilterAttribute
from indexmill.domain.outcome import ItemStatus
from indexmill.engine import Engine
from indexmill.errors import Conflict, InvalidRequest
from indexmill.ledger.database import Connection
from indexmill.vectors import attribute_sets, filtered
from indexmill.vectors.attribute_rows import fill_rows
from indexmill.vectors.attribute_sets import FilledPage, active_set
from indexmill.vectors.attribute_tables import AttributeSet
from indexmill.vectors.chunk_tables import drop_retired
from indexmill.vectors.vector_store import StagedDocument
from tests.draining import delete, drain, execute, rows, upsert, waiting_for_locks
from tests.integration.vectors.stored import Stored, staged, store, write

DOC, PART = AttributeLevel.DOCUMENT, AttributeLevel.PART
TEXT, TEXTS, INTEGER = AttributeType.TEXT, AttributeType.TEXT_LIST, AttributeType.INTEGER
A = [1, 0, 0, 0, 0, 0, 0, 0]


def attribute(
    name: str, type_: AttributeType, level: AttributeLevel = DOC, *, indexed: bool = False
) -> FilterAttribute:
    return FilterAttribute(name, level, type_, indexed)


def prepare(engine: Engine, *attributes: FilterAttribute) -> int:
    with engine.ledger.database.transaction() as connection:
        return engine.vectors.attribute_sets.prepare_set(connection, engine.collection("tiny").id, attributes)


def fill(engine: Engine, number: int, limit: int = 1000) -> Iterator[FilledPage]:
    sets, collection = engine.vectors.attribute_sets, engine.collection("tiny").id

    def filled(after: str | None) -> FilledPage:
        return engine.ledger.database.repeat(lambda c: sets.fill_page(c, collection, number, after, limit))

    page = filled(None)
    while page.next is not None:
        yield page
        page = filled(page.next)


def switch(engine: Engine, number: int) -> int | None:
    with engine.ledger.database.transaction() as connection:
        return engine.vectors.attribute_sets.switch_set(connection, engine.collection("tiny").id, number, None)


def drop(engine: Engine, number: int) -> None:
    with engine.ledger.database.transaction() as connection:
        engine.vectors.attribute_sets.drop_set(connection, engine.collection("tiny").id, number)


def use(engine: Engine, *attributes: FilterAttribute) -> int:
    """Prepare, fill and switch."""
    number = prepare(engine, *attributes)
    list(fill(engine, number))
    previous = switch(engine, number)
    if previous is not None:
        drop(engine, previous)
    return number


def found(engine: Engine, condition: str) -> list[str]:
    listed = [document.id for document in engine.each_document("tiny", metadata_filter=condition)]
    hits = engine.search_chunks("tiny", "x", limit=100, metadata_filter=condition)
    assert {hit.document.id for hit in hits} == set(listed) or len(hits) == 100
    return listed


def tables(engine: Engine) -> list[str]:
    return [
        row["relname"]
        for row in rows(engine, "SELECT relname FROM pg_class WHERE relname ~ '_attribute_[0-9]+$' ORDER BY 1")
    ]


def sizes(engine: Engine, number: int) -> list[int]:
    """How many rows the set has, of documents and of parts."""
    return [execute(engine, f"SELECT FROM {level.value}_attribute_{number}") for level in AttributeLevel]


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


# Writers while a set is prepared


def write_shared(engine: Engine, documents: Sequence[StagedDocument]) -> None:
    """As windows do it."""
    with engine.ledger.database.transaction() as connection:
        write_in(engine, connection, documents)


def write_in(engine: Engine, connection: Connection, documents: Sequence[StagedDocument]) -> None:
    number = engine.collection("tiny").id
    engine.vectors.stage(connection, documents)
    engine.ledger.collections.share(connection, number)
    collection = engine.ledger.collections.read(connection, [number])[number]
    engine.vectors.write(connection, collection, documents, {document.item for document in documents})


@contextmanager
def running(work: Callable[[], object]) -> Iterator[list[object]]:
    """`work` in a thread; what it gave, or raised, is there afterwards."""
    given: list[object] = []

    def run() -> None:
        try:
            given.append(work())
        except Exception as error:  # noqa: BLE001 - the test looks at it
            given.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield given
    finally:
        thread.join(timeout=30)
        assert not thread.is_alive()


@pytest.mark.parametrize("moment", ["before the filling", "after the filling"])
def test_what_is_written_while_a_set_is_prepared_is_right_under_both(engine: Engine, moment: str) -> None:
    use(engine, attribute("a", TEXT), attribute("t", TEXT, PART))
    store(engine, {name: Stored([A], {"a": "1"}, (StoredPart(0, {"t": "1"}),)) for name in ("kept", "changed", "gone")})
    new = prepare(engine, attribute("a", INTEGER), attribute("t", INTEGER, PART))
    if moment == "after the filling":
        list(fill(engine, new))
    two = Stored([A, A], {"a": "2"}, (StoredPart(0, {}), StoredPart(8, {"t": "2"})))
    write_shared(
        engine,
        [
            staged(0, "changed", two, 10_000_100),
            staged(1, "new", two, 10_000_100),
            StagedDocument(2, "gone", Version(10_000_100, 2), ItemStatus.REMOVED),
        ],
    )
    assert [found(engine, f"doc.a = '{n}'") for n in (1, 2)] == [["kept"], ["changed", "new"]]
    if moment == "before the filling":
        list(fill(engine, new))
    switch(engine, new)
    assert [found(engine, f"doc.a = {n}") for n in (1, 2)] == [["kept"], ["changed", "new"]]
    hits = engine.search_chunks("tiny", "x", limit=9, metadata_filter="part.t = 2")
    assert {(hit.document.id, hit.ordinal) for hit in hits} == {("changed", 1), ("new", 1)}
    assert sizes(engine, new)[0] == 3


@pytest.mark.parametrize("commits", ["before it", "during it", "never"])
def test_a_filling_never_overwrites_what_a_writer_wrote_after_it_had_read(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, commits: str
) -> None:
    first = Stored([A, A, A], {"a": 1}, tuple(StoredPart(8 * n, {"t": 1}) for n in range(3)))
    second = Stored([A, A], {"a": 2}, (StoredPart(0, {"t": 2}),))
    store(engine, {"d": first})
    number = prepare(engine, attribute("a", INTEGER), attribute("t", INTEGER, PART))
    document = staged(0, "d", second, 10_000_100)

    def late(connection: Connection, *arguments: Any) -> Any:
        if commits == "before it":
            write_shared(engine, [document])
            return fill_rows(connection, *arguments)
        with engine.ledger.database.connection() as other:
            other.execute("BEGIN")
            write_in(engine, other, [document])
            with running(lambda: fill_rows(connection, *arguments)) as given:
                until(lambda: waiting_for_locks(engine) > 0)
                other.execute("COMMIT" if commits == "during it" else "ROLLBACK")
        assert not isinstance(given[0], Exception)
        return given[0]

    monkeypatch.setattr(attribute_sets, "fill_rows", late)
    list(fill(engine, number))
    switch(engine, number)
    wanted, chunks = (1, {0, 1, 2}) if commits == "never" else (2, {0, 1})
    assert found(engine, f"doc.a = {wanted}") == ["d"]
    hits = engine.search_chunks("tiny", "x", limit=9, metadata_filter=f"part.t = {wanted}")
    assert {hit.ordinal for hit in hits} == chunks
    assert engine.search_chunks("tiny", "x", limit=9, metadata_filter=f"part.t <> {wanted}") == []


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_preparing_waits_for_writers_that_do_not_know_of_it(engine: Engine) -> None:
    with engine.ledger.database.connection() as connection:
        connection.execute("BEGIN")
        write_in(engine, connection, [staged(0, "d", Stored([A], {"a": 1}), 1)])
        with running(lambda: prepare(engine, attribute("a", INTEGER))) as given:
            until(lambda: waiting_for_locks(engine) > 0)
            assert engine.collection("tiny").prepared_set is None
            connection.execute("COMMIT")
    (number,) = given
    assert isinstance(number, int)
    list(fill(engine, number))
    switch(engine, number)
    assert found(engine, "doc.a = 1") == ["d"]


def test_what_is_left_is_dropped_behind_whoever_works_on_it(engine: Engine) -> None:
    """In the order of locks that all keep: the collection's, then its row."""
    use(engine, attribute("a", TEXT))
    number = engine.collection("tiny").id
    with engine.ledger.database.transaction() as connection:
        engine.ledger.corpora.delete(connection, number)
    execute(engine, "UPDATE collection SET deleted_at = now() - interval '2 hours'")
    with engine.ledger.database.connection() as other:
        other.execute("BEGIN")
        engine.ledger.collections.share(other, number)
        with running(lambda: engine.vectors.attribute_sets.drop_abandoned(3600)) as given:
            until(lambda: waiting_for_locks(engine) > 0)
            other.execute("SET LOCAL lock_timeout = '500ms'")
            other.execute("UPDATE collection SET prepared_set = NULL WHERE id = %s", [number])
            other.execute("COMMIT")
    assert isinstance(given[0], list)
    assert len(given[0]) == 1
    assert tables(engine) == []


def test_preparing_does_not_wait_for_ever(engine: Engine) -> None:
    with engine.ledger.database.connection() as connection:
        connection.execute("BEGIN")
        write_in(engine, connection, [staged(0, "d", Stored([A]), 1)])
        with pytest.raises(psycopg.errors.LockNotAvailable):
            prepare(engine, attribute("a", INTEGER))
        connection.execute("ROLLBACK")


# Readers


def test_a_reader_whose_set_is_dropped_under_it_reads_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    use(engine, attribute("a", TEXT))
    store(engine, {"d": Stored([A], {"a": "1"})})
    switched: list[int] = []

    def read_and_switch(connection: Connection, collection: int) -> AttributeSet:
        seen = active_set(connection, collection)
        if not switched:
            switched.append(use(engine, attribute("a", TEXT), attribute("b", TEXT)))
        return seen

    monkeypatch.setattr(filtered, "active_set", read_and_switch)
    assert [hit.document.id for hit in engine.search_chunks("tiny", "x", limit=9, metadata_filter="doc.a = '1'")] == [
        "d"
    ]
    switched.clear()
    assert [each.id for each in engine.documents("tiny", limit=9, metadata_filter="doc.a = '1'")] == ["d"]
    assert switched


def test_a_reader_sees_documents_and_their_values_as_of_one_moment(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(engine, attribute("a", TEXT))
    store(engine, {"d": Stored([A], {"a": "1"})})
    number = prepare(engine, attribute("a", TEXT), attribute("b", TEXT))
    list(fill(engine, number))
    seqs = itertools.count(10_000_100)

    def read_and_switch(connection: Connection, collection: int) -> AttributeSet:
        seen = active_set(connection, collection)
        if seen.number != number:
            switch(engine, number)
        # Only the new set knows of it.
        write_shared(engine, [staged(0, "d", Stored([A], {"a": "2"}), next(seqs))])
        return seen

    monkeypatch.setattr(filtered, "active_set", read_and_switch)
    hits = engine.search_chunks("tiny", "x", limit=9, metadata_filter="doc.a = '1'")
    assert [(hit.document.id, hit.document.payload) for hit in hits] == [("d", {"a": "1"})]
    assert engine.search_chunks("tiny", "x", limit=9, metadata_filter="doc.a = '1'") == []
    assert [each.payload for each in engine.documents("tiny", limit=9, metadata_filter="doc.a = '2'")] == [{"a": "2"}]


def test_every_answer_is_by_the_old_set_or_by_the_new_one(engine: Engine) -> None:
    """Half of the documents have one tag, as the old set wants it, half have a list of them: the new set finds all."""
    number, half = 200, 100
    use(engine, attribute("tag", TEXT, indexed=True))
    tags: list[Any] = ["x", ["x", "y"]]

    def document(place: int, seq: int) -> StagedDocument:
        return staged(place, f"d{place:03}", Stored([A], {"tag": tags[place % 2], "seq": seq}), seq)

    write(engine, [document(place, 1) for place in range(number)])
    answers: list[list[int]] = [[], []]
    problems: list[object] = []
    stop = threading.Event()

    def read(answer: list[int]) -> None:
        while not stop.is_set():
            answer.append(len(engine.documents("tiny", limit=1000, metadata_filter="doc.tag IS NOT NULL")))
            hits = engine.search_chunks("tiny", "x", limit=1000, metadata_filter="doc.tag IS NOT NULL")
            answer.append(len(hits))

    def keep_writing() -> None:
        seq = 1
        while not stop.is_set():
            seq += 1
            write_shared(engine, [document(place, seq) for place in range(seq % 20, number, 20)])

    def watched(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - the test looks at it
                problems.append(error)

        return run

    works: list[Callable[[], None]] = [lambda: read(answers[0]), lambda: read(answers[1]), keep_writing]
    threads = [threading.Thread(target=watched(work)) for work in works]
    for thread in threads:
        thread.start()
    try:
        until(lambda: all(answers) or bool(problems))
        new = engine.ledger.database.repeat(
            lambda connection: engine.vectors.attribute_sets.prepare_set(connection, 1, [attribute("tag", TEXTS)])
        )
        for _ in fill(engine, new, limit=20):
            pass
        old = switch(engine, new)
        seen = [len(answer) for answer in answers]
        assert old is not None
        engine.ledger.database.repeat(lambda connection: engine.vectors.attribute_sets.drop_set(connection, 1, old))
        until(lambda: all(len(each) > count + 2 for each, count in zip(answers, seen, strict=True)) or bool(problems))
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=30)
    assert problems == []
    for answer in answers:
        assert set(answer) == {half, number}
        assert answer == sorted(answer)
    wanted = [f"d{place:03}" for place in range(number)]
    assert [document.id for document in engine.each_document("tiny", metadata_filter="'x' IN doc.tag")] == wanted
    assert sizes(engine, new) == [number, 0]
