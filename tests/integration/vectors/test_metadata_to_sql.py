"""Filters over what is known of documents: what the store finds is what JSON says, and nothing is lost to the limit."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexmill.domain.metadata_filter import Condition, MetadataFilter, Operator, document_metadata
from indexmill.engine import Engine
from tests.draining import alter_query, execute
from tests.integration.vectors.indexed import THRESHOLD, fill, index_names, sweep_indexes
from tests.integration.vectors.stored import Stored, staged, store, write
from tests.metadata_matching import holds, matches

METADATA = {"name": "guide/jobs.md", "year": 2024, "share": 0.5, "public": True, "tags": ["a", 1], "none": None}
LISTS = {Operator.IN, Operator.NOT_IN}

texts = st.text(st.sampled_from("ab%_\\'\"{}Zé\u2028\U0001f600"), max_size=3)
scalars = st.one_of(
    st.booleans(),
    st.integers(-2, 2),
    st.sampled_from([0.5, 1.0, -1.5, 2**53 + 1, 2**63 - 1, 1e300]),
    texts,
)
values = st.recursive(st.none() | scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
fields = st.sampled_from(["a", "b", "item_name", "data_source_uuid", "a'b\"%s"])
payloads = st.none() | st.dictionaries(fields, values, max_size=4)
infos = st.none() | st.dictionaries(st.sampled_from(["key", "data_source", "size"]), st.none() | texts, max_size=3)


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    operator = draw(st.sampled_from(list(Operator)))
    value = draw(st.lists(scalars, max_size=3) if operator in LISTS else scalars)
    return Condition(draw(fields), operator, value)


several = st.lists(conditions(), max_size=2).map(tuple)


def found(engine: Engine, wanted: MetadataFilter, limit: int = 100) -> list[str]:
    return [hit.document.id for hit in engine.search_chunks("tiny", "x", limit=limit, metadata=wanted)]


CASES: list[tuple[str, str, Any, bool]] = [
    ("name", "eq", "guide/jobs.md", True),
    ("name", "eq", "guide", False),
    ("year", "eq", 2024.0, True),
    ("year", "eq", "2024", False),
    ("public", "eq", True, True),
    ("public", "eq", 1, False),
    ("year", "eq", True, False),
    ("none", "eq", "", False),
    ("absent", "eq", "", False),
    ("year", "ne", 2023, True),
    ("year", "ne", 2024, False),
    ("absent", "ne", 2024, True),
    ("none", "ne", 2024, True),
    ("year", "gt", 2023, True),
    ("year", "gt", 2024, False),
    ("year", "gte", 2024, True),
    ("year", "lt", 2024.5, True),
    ("year", "lt", 2024, False),
    ("year", "lte", 2024, True),
    ("name", "gt", "guide", True),
    # By code point: capitals come first.
    ("name", "gt", "Z", True),
    ("name", "gt", 1, False),
    ("year", "lt", "3000", False),
    ("public", "gt", 0, False),
    ("public", "gte", True, False),
    ("absent", "lt", 1, False),
    ("year", "in", [2023, 2024], True),
    ("year", "in", ["2024"], False),
    ("year", "in", [], False),
    ("absent", "in", [2024], False),
    ("year", "not_in", [2023], True),
    ("year", "not_in", [2024], False),
    ("absent", "not_in", [2024], True),
    ("absent", "not_in", [], True),
    ("name", "contains", "jobs", True),
    ("name", "contains", "JOBS", False),
    ("name", "contains", "%", False),
    ("name", "contains", 1, False),
    ("tags", "contains", "a", True),
    ("tags", "contains", 1.0, True),
    ("tags", "contains", True, False),
    ("tags", "contains", "b", False),
    ("year", "contains", 2, False),
    ("absent", "contains", "a", False),
]


def test_a_condition_holds_as_json_compares(engine: Engine) -> None:
    store(engine, {"d": Stored([[1, 1, 0, 0, 0, 0, 0, 0]], METADATA)})
    for field, operator, value, expected in CASES:
        condition = Condition(field, Operator(operator), value)
        assert holds(condition, METADATA) is expected, condition
        for wanted, is_found in (
            (MetadataFilter(must=(condition,)), expected),
            (MetadataFilter(must_not=(condition,)), not expected),
            (MetadataFilter(should=(condition,)), expected),
        ):
            assert found(engine, wanted) == (["d"] if is_found else []), wanted


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    documents=st.lists(st.tuples(payloads, infos), min_size=1, max_size=6),
    wanted=st.builds(MetadataFilter, several, several, several),
)
def test_the_store_finds_what_the_model_finds(
    engine: Engine, documents: list[tuple[dict[str, Any] | None, dict[str, Any] | None]], wanted: MetadataFilter
) -> None:
    execute(engine, "TRUNCATE document, chunk_1_1")
    made = [
        staged(n, f"d{n}", Stored([[n + 1, 1, 0, 0, 0, 0, 0, 0]], payload), 1)
        for n, (payload, _) in enumerate(documents)
    ]
    infos_json = [None if info is None else json.dumps(info) for _, info in documents]
    write(engine, [replace(each, item_info=info) for each, info in zip(made, infos_json, strict=True)])
    expected = {
        f"d{n}" for n, (payload, info) in enumerate(documents) if matches(wanted, document_metadata(payload, info))
    }
    assert set(found(engine, wanted)) == expected


RARE = MetadataFilter(must=(Condition("n", Operator.GTE, 390),), must_not=(Condition("n", Operator.IN, [391, 392]),))


def test_what_few_documents_fulfil_is_found_however_far_away_it_is(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The query's vector is not known: what matches is nearest to it, or furthest away.
    for sign in (1, -1):
        store(engine, {f"d{n}": Stored([[1 if n < 390 else sign, 1, 1, 1, 1, 1, 1, n]], {"n": n}) for n in range(400)})
        assert set(found(engine, RARE, limit=20)) == {f"d{n}" for n in (390, *range(393, 400))}
    alter_query(monkeypatch, "nearest_chunks_selected", "AND {condition}", "")
    assert len(found(engine, RARE, limit=20)) == 20


def test_the_index_finds_them_too(engine: Engine) -> None:
    made = fill(engine, 2 * THRESHOLD)
    sweep_indexes(engine)
    assert index_names(engine)
    usual = MetadataFilter(must=(Condition("k", Operator.CONTAINS, "usu"),))
    rare = MetadataFilter(must_not=(Condition("k", Operator.CONTAINS, "usu"),))
    assert len(found(engine, usual, limit=10)) == 10
    assert set(found(engine, usual, limit=10)) <= {
        name for name, each in made.items() if each.payload == {"k": "usual"}
    }
    # More than the index would go through: then all are looked at.
    assert set(found(engine, rare, limit=100)) == {name for name, each in made.items() if each.payload == {"k": "rare"}}
