"""Sets of filter attributes while documents are written and filters are asked."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from indexmill.domain.document import StoredPart, Version
from indexmill.domain.outcome import ItemStatus
from indexmill.engine import Engine
from indexmill.ledger.database import Connection
from indexmill.vectors import attribute_sets, filtered
from indexmill.vectors.attribute_rows import fill_rows
from indexmill.vectors.attribute_sets import active_set
from indexmill.vectors.attribute_tables import AttributeSet
from indexmill.vectors.vector_store import StagedDocument
from tests.draining import alter_query, execute, waiting_for_locks
from tests.integration.vectors.attribute_set_steps import (
    INTEGER,
    PART,
    TEXT,
    TEXTS,
    A,
    attribute,
    fill,
    found,
    prepare,
    running,
    sizes,
    switch,
    tables,
    until,
    use,
    write_in,
    write_shared,
)
from tests.integration.vectors.stored import Stored, staged, store, write

# Writers while a set is prepared


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


def test_preparing_waits_for_writers_that_do_not_know_of_it(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    # Not only 2 s: all that this test does while it waits may take longer on a busy machine.
    alter_query(monkeypatch, "begin_set_change", "'2s'", "'60s'")
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
