"""Reading stored documents: complete pages by id, filters, bounded bytes, values that come back as they were sent."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexmill.domain.job import Item
from indexmill.engine import Engine
from indexmill.errors import CollectionNotFound, InvalidRequest
from indexmill.vectors import stored_documents
from tests.draining import delete, drain, execute, submit, upsert
from tests.integration.vectors.stored import Stored, staged, store, write

A = [1, 0, 0, 0, 0, 0, 0, 0]


def ids_of(engine: Engine, **asked: Any) -> list[str]:
    return [document.id for document in engine.documents("tiny", **{"limit": 1000, **asked})]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.sets(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=3)),
    limit=st.integers(1, 4),
)
def test_pages_hold_every_document_once(engine: Engine, names: set[str], limit: int) -> None:
    execute(engine, "TRUNCATE document, chunk_1_1")
    if names:
        store(engine, {name: Stored([A, A], {"name": name}) for name in names})
    listed: list[str] = []
    after: str | None = None
    while page := engine.documents("tiny", limit=limit, after=after):
        assert len(page) <= limit
        assert all(document.payload == {"name": document.id} and document.chunks == 2 for document in page)
        listed += [document.id for document in page]
        after = listed[-1]
    assert len(listed) == len(names)
    assert set(listed) == names
    assert [document.id for document in engine.each_document("tiny")] == listed


def test_a_document_is_listed_with_what_is_known_of_it_until_it_is_deleted(engine: Engine) -> None:
    submit(engine, [Item("a", {"text": "one", "n": 1.0}, {"file": "x"}), Item("b", {"text": "two"})])
    drain(engine)
    first = engine.documents("tiny", limit=1)[0]
    assert (first.id, first.payload, first.item_info, first.chunks) == (
        "a",
        {"text": "one", "n": 1.0},
        {"file": "x"},
        1,
    )
    assert timedelta() <= datetime.now(UTC) - first.updated_at < timedelta(minutes=1)
    delete(engine, ["a"])
    drain(engine)
    assert ids_of(engine) == ["b"]
    assert [content.id for content in engine.contents("tiny", limit=9)] == ["b"]


def test_collections_do_not_see_each_other(engine: Engine) -> None:
    engine.deploy("second", "deterministic", {"dimension": 8})
    upsert(engine, {"same": "theirs"}, model="second")
    drain(engine)
    assert ids_of(engine) == []
    with pytest.raises(CollectionNotFound):
        engine.documents("nobody", limit=1)


@pytest.mark.parametrize(
    ("equal", "found"),
    [
        ([], ["a", "b", "c", "d"]),
        ([{}], ["a", "b", "c", "d"]),
        ([{"n": 1}], ["a", "b"]),
        ([{"n": 1.0}], ["a", "b"]),
        ([{"n": True}], ["c"]),
        ([{"n": 1}, {"s": "x"}], ["a"]),
        ([{"n": 1, "s": "x"}], ["a"]),
        ([{"n": 1}, {"n": True}], []),
        ([{"tags": ["t"]}], ["a", "b"]),
        ([{"tags": ["t"]}, {"tags": ["u"]}], ["b"]),
        ([{"tags": "t"}], []),
        ([{"in": {"x": 1}}], ["c"]),
        ([{"none": None}], ["c"]),
        ([{"big": 1e22}], ["c"]),
        ([{"missing": None}], []),
    ],
)
def test_every_filter_must_be_held(engine: Engine, equal: list[dict[str, Any]], found: list[str]) -> None:
    store(
        engine,
        {
            "a": Stored([A], {"n": 1, "s": "x", "tags": ["t"]}),
            "b": Stored([A], {"n": 1.0, "s": "y", "tags": ["t", "u"]}),
            "c": Stored([A], {"n": True, "in": {"x": 1, "y": 2}, "none": None, "big": 10**22}),
            "d": Stored([A]),
        },
    )
    assert ids_of(engine, equal=equal) == found
    assert [content.id for content in engine.contents("tiny", limit=9, equal=equal)] == found
    assert ids_of(engine, equal=equal, ids=["b", "c", "nobody", "\0"]) == [name for name in found if name in "bc"]


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"limit": 1001}, {"after": "a\0"}, {"after": "\ud800"}])
def test_what_cannot_be_asked_is_refused(engine: Engine, wrong: dict[str, Any]) -> None:
    for verb in (engine.documents, engine.contents):
        with pytest.raises(InvalidRequest, match="expected"):
            verb("tiny", **{"limit": 3, **wrong})


def test_contents_are_whole_and_their_pages_bounded_in_bytes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_documents, "_PAGE_BYTES", 1000)
    sizes = {"a": 400, "b": 600, "c": 1, "d": 5000, "e": 1000, "f": 1}
    structure = {"pages": [[0, 1]], "headings": [[0, 1, "Title"]]}
    documents = [
        replace(staged(place, name, Stored([A]), 1), text="ä" * (size // 2) + "x" * (size % 2))
        for place, (name, size) in enumerate(sizes.items())
    ]
    documents[0] = replace(documents[0], structure=json.dumps(structure))
    write(engine, documents)
    pages: list[list[str]] = []
    after: str | None = None
    while page := engine.contents("tiny", limit=10, after=after):
        pages.append([content.id for content in page])
        assert [len(content.text.encode()) for content in page] == [sizes[content.id] for content in page]
        after = page[-1].id
    assert pages == [["a", "b"], ["c"], ["d"], ["e"], ["f"]]
    assert engine.contents("tiny", limit=1)[0].structure == structure


def test_payloads_of_a_page_are_bounded_in_bytes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_documents, "_PAGE_BYTES", 100)
    store(engine, {f"d{n}": Stored([A], {"text": "x" * 60}) for n in range(4)})
    assert len(engine.documents("tiny", limit=10)) == 1
    assert [document.id for document in engine.each_document("tiny")] == ["d0", "d1", "d2", "d3"]


# Numbers


def sent_and_got(engine: Engine, value: Any) -> Any:
    """What a payload's value comes back as, through the pipeline."""
    submit(engine, [Item("a", {"text": "words", "value": value})])
    drain(engine)
    payload = engine.documents("tiny", limit=1)[0].payload
    assert payload is not None
    return payload["value"]


def assert_same(got: Any, sent: Any) -> None:
    assert type(got) is type(sent)
    if isinstance(sent, dict):
        assert got.keys() == sent.keys()
        for key in sent:
            assert_same(got[key], sent[key])
    elif isinstance(sent, list):
        assert len(got) == len(sent)
        for one, other in zip(got, sent, strict=True):
            assert_same(one, other)
    else:
        assert got == sent


@pytest.mark.parametrize(
    "value",
    [
        *(1.0, 0.1, 1e5, 1e15, 1e16, 1.5e16, 1e22, -1e22, 1.7976931348623157e308, 5e-324, 1e-7, 0.0, 1, 10**22, 2**63),
        *(True, "1e+22", 'a "1e+22" b', 'a\\" 1e+22', ["1e+22", 1e22, {"1e+22": 1e300}], "\\", "\\\\ 2e+20"),
    ],
)
def test_numbers_come_back_as_they_were_sent(engine: Engine, value: Any) -> None:
    assert_same(sent_and_got(engine, value), value)


json_values = st.recursive(
    st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text('"\\e+19.{}:, ', max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('"\\e+19', max_size=6), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=json_values)
def test_any_value_comes_back_as_it_was_sent(engine: Engine, value: Any) -> None:
    execute(engine, "TRUNCATE document, chunk_1_1")
    assert_same(sent_and_got(engine, value), value)


def test_a_negative_zero_comes_back_as_zero(engine: Engine) -> None:
    got = sent_and_got(engine, -0.0)
    # `jsonb` keeps no negative zero; it is a float still.
    assert isinstance(got, float)
    assert math.copysign(1, got) == 1


def test_a_number_that_no_float_can_hold_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match="JSON can hold"):
        submit(engine, [Item("a", {"text": "words", "value": json.loads("1e400")})])
