"""The steps of a change of filter attributes, one by one, and writers beside them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from indexmill.domain.filter_attributes import AttributeLevel, AttributeType, FilterAttribute
from indexmill.engine import Engine
from indexmill.ledger.database import Connection
from indexmill.vectors.attribute_sets import FilledPage
from indexmill.vectors.vector_store import StagedDocument
from tests.draining import execute, rows

__all__ = [
    "DOC",
    "INTEGER",
    "PART",
    "TEXT",
    "TEXTS",
    "A",
    "attribute",
    "drop",
    "fill",
    "found",
    "prepare",
    "running",
    "sizes",
    "switch",
    "tables",
    "until",
    "use",
    "write_in",
    "write_shared",
]

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


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)
