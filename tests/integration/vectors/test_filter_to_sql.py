"""Filters in PostgreSQL: any filter over any metadata finds what the rules of SQL say that it finds."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexmill.domain.attribute_filter import parse_filter
from indexmill.domain.document import StoredPart
from indexmill.domain.filter_attributes import (
    UNKNOWN_LANGUAGE,
    AttributeLevel,
    AttributeType,
    FilterAttribute,
)
from indexmill.domain.filter_tree import (
    And,
    Comparison,
    Condition,
    Field,
    IsNull,
    Like,
    Literal,
    Membership,
    Not,
    Operator,
    Or,
    Truth,
)
from indexmill.domain.filter_types import typed_filter
from indexmill.domain.metadata_coercion import coerce_metadata
from indexmill.engine import Engine
from indexmill.errors import InvalidRequest
from indexmill.vectors.chunk_search import ChunkQuery
from indexmill.vectors.selection import Selection
from indexmill.vectors.stored_documents import PageQuery
from tests.draining import execute
from tests.filter_evaluator import evaluate
from tests.integration.vectors.stored import Stored, store

DOC, PART = AttributeLevel.DOCUMENT, AttributeLevel.PART
TYPES = {
    "n": AttributeType.INTEGER,
    "r": AttributeType.REAL,
    "t": AttributeType.TEXT,
    "b": AttributeType.BOOLEAN,
    "ns": AttributeType.INTEGER_LIST,
    "rs": AttributeType.REAL_LIST,
    "ts": AttributeType.TEXT_LIST,
}
ATTRIBUTES = [
    FilterAttribute(name, level, type_, indexed=level is DOC)
    for level in AttributeLevel
    for name, type_ in TYPES.items()
]
A = [1, 0, 0, 0, 0, 0, 0, 0]

# Metadata

integers = st.sampled_from([0, 1, -1, 2, 3, 2**63 - 1, -(2**63)])
reals = st.sampled_from([0.0, 0.1, 1.0, 2.5, -1.5, 1e300, 5e-324])
texts = st.text("abA%_\\'ä𝄞", max_size=3) | st.sampled_from(["d0", "d1", "eng", UNKNOWN_LANGUAGE])
metadata: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "n": integers | st.just("no number") | st.none(),
        "r": reals | st.just([1]),
        "t": texts | st.just({}),
        "b": st.booleans(),
        "ns": st.lists(integers, max_size=2),
        "rs": st.lists(reals, max_size=2),
        "ts": st.lists(texts, max_size=2),
        "lang": st.just("eng"),
    },
)
parts = st.lists(metadata, max_size=2).map(lambda each: tuple(StoredPart(8 * n, one) for n, one in enumerate(each, 1)))
documents = st.lists(
    st.builds(Stored, chunks=st.lists(st.just(A), min_size=1, max_size=4), payload=st.none() | metadata, parts=parts),
    min_size=1,
    max_size=6,
)

# Filters


def fields(*names: str) -> st.SearchStrategy[Field]:
    return st.builds(Field, st.sampled_from(AttributeLevel), st.sampled_from(names))


def literals(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Literal]:
    return st.builds(Literal, values | st.none())


numbers = fields("n", "r") | literals(integers | reals | st.sampled_from([2**63, -(10**30), 1e18]))
words = fields("t") | st.just(Field(DOC, "id")) | st.just(Field(PART, "lang")) | literals(texts)
truths = fields("b") | literals(st.booleans())
patterns = literals(
    st.lists(st.sampled_from(["a", "b", "%", "_", "\\%", "\\\\", "ä", "𝄞", "d"]), max_size=4).map("".join)
)
operators = st.sampled_from(Operator)
comparisons = st.one_of(*(st.builds(Comparison, each, operators, each) for each in (numbers, words, truths)))
memberships = st.one_of(
    *(
        st.builds(Membership, each, st.lists(each | fields(*lists), min_size=1, max_size=3).map(tuple))
        for each, lists in ((numbers, ("ns", "rs")), (words, ("ts",)))
    )
)
leaves: st.SearchStrategy[Condition] = st.one_of(
    comparisons,
    memberships,
    st.builds(Like, words, patterns),
    st.builds(IsNull, fields(*TYPES) | numbers),
    st.builds(Truth, truths),
)
filters = st.recursive(
    leaves,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=5,
)


@pytest.fixture
def corpus(engine: Engine) -> Engine:
    with engine.ledger.database.transaction() as connection:
        engine.vectors.attribute_sets.declare(connection, engine.collection("tiny").id, ATTRIBUTES)
    return engine


def values_of(name: str, document: Stored, chunk: int) -> dict[Field, Any]:
    part = document.parts[min(chunk, len(document.parts)) - 1].metadata if chunk and document.parts else {}
    found: dict[Field, Any] = {Field(DOC, "id"): name, Field(PART, "lang"): part.get("lang", UNKNOWN_LANGUAGE)}
    for level, raw in ((DOC, document.payload), (PART, part)):
        mine = [each for each in ATTRIBUTES if each.level is level]
        values, _ = coerce_metadata(raw, mine)
        found |= {Field(level, each.name): value for each, value in zip(mine, values, strict=True)}
    return found


def found_chunks(engine: Engine, condition: Condition, ids: tuple[str, ...] | None = None) -> set[tuple[str, int]]:
    query = ChunkQuery([1.0] * 8, 100, Selection(ids=ids, filter=condition))
    hits = engine.vectors.search_chunks(engine.collection("tiny"), query)
    assert len(hits) == len({(hit.document.id, hit.ordinal) for hit in hits})
    return {(hit.document.id, hit.ordinal) for hit in hits}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(stored=documents, conditions=st.lists(filters, min_size=3, max_size=8))
def test_a_filter_finds_what_the_rules_of_sql_say(
    corpus: Engine, stored: list[Stored], conditions: list[Condition]
) -> None:
    number = corpus.collection("tiny").attribute_set
    execute(corpus, f"TRUNCATE document, chunk_1_1, document_attribute_{number}, part_attribute_{number}")
    named = {f"d{place}": each for place, each in enumerate(stored)}
    store(corpus, named)
    for condition in conditions:
        wanted = {
            (name, chunk)
            for name, document in named.items()
            for chunk in range(len(document.chunks))
            if evaluate(condition, values_of(name, document, chunk)) is True
        }
        assert found_chunks(corpus, condition) == wanted
        assert found_chunks(corpus, condition, ("d0", "d1")) == {each for each in wanted if each[0] in {"d0", "d1"}}
        if PART not in typed_filter(condition, ATTRIBUTES).levels():
            page = corpus.vectors.documents(corpus.collection("tiny"), PageQuery(Selection(filter=condition), 100))
            assert {document.id for document in page} == {name for name, _ in wanted}


@pytest.mark.parametrize(
    ("condition", "is_true"),
    [
        ("doc.n < 9223372036854775808", True),
        ("doc.n >= 9223372036854775808", False),
        ("doc.n = 9223372036854775808.0", False),
        ("doc.n IN (9223372036854775808, 0.5)", False),
        ("doc.n NOT IN (9223372036854775808, 0.5)", True),
        ("9223372036854775808 IN doc.ns", False),
        ("0.5 IN doc.ns", False),
        ("9223372036854775807 IN doc.ns AND doc.n IN doc.ns", True),
        ("doc.n > 9223372036854775806.5", False),
        ("doc.n > 0.5 AND doc.n < 1e300", True),
        ("doc.r = 1 AND doc.r IN (1, 2) AND 1 IN doc.rs AND doc.r IN doc.rs", True),
    ],
)
def test_numbers_are_compared_as_they_are(corpus: Engine, condition: str, is_true: bool) -> None:
    largest = 2**63 - 1
    store(corpus, {"d0": Stored([A], {"n": largest, "ns": [largest], "r": 1.0, "rs": [1.0]})})
    assert found_chunks(corpus, parse_filter(condition)) == ({("d0", 0)} if is_true else set())


def test_what_a_filter_says_is_never_part_of_the_statement(corpus: Engine) -> None:
    evil = "x'); DROP TABLE document; --"
    store(corpus, {evil: Stored([A], {"t": evil}), "d1": Stored([A], {"t": "%(filter_0)s {} %s"})})
    for text, wanted in ((evil, evil), ("%(filter_0)s {} %s", "d1")):
        quoted = text.replace("'", "''")
        for condition in (f"doc.t = '{quoted}'", f"doc.t IN ('{quoted}')", f"doc.t LIKE '%{quoted[1:]}'"):
            hits = corpus.search_chunks("tiny", "x", limit=10, metadata_filter=condition)
            assert [hit.document.id for hit in hits] == [wanted]


def test_names_of_attributes_are_never_part_of_the_statement(engine: Engine) -> None:
    name = 'a"; DROP TABLE document; -- {} %s'
    with engine.ledger.database.transaction() as connection:
        attributes = [FilterAttribute(name, level, AttributeType.INTEGER) for level in AttributeLevel]
        engine.vectors.attribute_sets.declare(connection, engine.collection("tiny").id, attributes)
    store(engine, {f"d{n}": Stored([A], {name: n}, (StoredPart(0, {name: n}),)) for n in range(3)})
    for prefix in ("doc", "part"):
        quoted = name.replace('"', '""')
        hits = engine.search_chunks("tiny", "x", limit=10, metadata_filter=f'{prefix}."{quoted}" = 2')
        assert [hit.document.id for hit in hits] == ["d2"]


def test_a_limit_comes_after_the_filter(corpus: Engine) -> None:
    store(corpus, {f"d{n}": Stored([[n + 1, 1, 0, 0, 0, 0, 0, 0]], {"n": n}) for n in range(20)})
    for n in range(20):
        hits = corpus.search_chunks("tiny", "x", limit=1, metadata_filter=f"doc.n = {n}")
        assert [hit.document.id for hit in hits] == [f"d{n}"]
        listed = corpus.documents("tiny", limit=1, metadata_filter=f"doc.n = {n}")
        assert [document.id for document in listed] == [f"d{n}"]


def test_a_collection_that_declares_nothing_has_ids_and_languages(engine: Engine) -> None:
    store(engine, {"a": Stored([A]), "b": Stored([A])})
    for text, wanted in (
        ("doc.id = 'a'", {"a"}),
        ("doc.id IN ('a', 'b') AND doc.id > 'a'", {"b"}),
        (f"part.lang = '{UNKNOWN_LANGUAGE}'", {"a", "b"}),
        ("part.lang = 'eng'", set()),
        (" ", {"a", "b"}),
    ):
        hits = engine.search_chunks("tiny", "x", limit=10, metadata_filter=text)
        assert {hit.document.id for hit in hits} == wanted
    with pytest.raises(InvalidRequest, match=r"`doc\.n` is not a filter attribute of this collection"):
        engine.search_chunks("tiny", "x", limit=10, metadata_filter="doc.n = 1")


def test_a_listing_takes_no_conditions_over_parts(corpus: Engine) -> None:
    with pytest.raises(InvalidRequest, match="expected fields of documents only"):
        corpus.documents("tiny", limit=10, metadata_filter="part.n = 1")
