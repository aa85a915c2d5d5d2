"""Searching for chunks: what brute force finds, neighbours and places, whole documents while they are replaced."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexmill.domain.document import Version
from indexmill.domain.outcome import ItemStatus
from indexmill.engine import Engine
from indexmill.errors import InvalidRequest, SearchTimeout
from indexmill.vectors import chunk_search, long_texts
from indexmill.vectors.long_texts import cut_stretches
from indexmill.vectors.pgvector_store import PgvectorStore
from indexmill.vectors.vector_store import StagedDocument
from tests.draining import alter_query, drain, execute, rows, upsert
from tests.integration.vectors.stored import Stored, staged, store, write

A, B, C = [1, 0, 0, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 0, 0]
coordinates = st.lists(st.integers(-5, 5), min_size=8, max_size=8).filter(any)
payloads = st.none() | st.fixed_dictionaries({}, optional={"k": st.sampled_from([1, "1", None, [1, 2]])})
collections = st.lists(
    st.builds(Stored, chunks=st.lists(coordinates, min_size=1, max_size=4), payload=payloads), min_size=1, max_size=8
)


def query_vector(engine: Engine, text: str) -> np.ndarray[Any, Any]:
    return np.array(engine.models.embed_query(engine.collection("tiny").deployment, text))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    documents=collections,
    limit=st.integers(1, 20),
    ids=st.none() | st.lists(st.sampled_from([f"d{n}" for n in range(10)]), max_size=5),
    wanted=st.none() | st.fixed_dictionaries({"k": st.sampled_from([None, 1, "1", [2]])}),
    data=st.data(),
)
def test_search_finds_the_chunks_that_brute_force_finds(  # noqa: PLR0917 - drawn, not called
    engine: Engine,
    documents: list[Stored],
    limit: int,
    ids: list[str] | None,
    wanted: dict[str, Any] | None,
    data: st.DataObject,
) -> None:
    text, min_score = data.draw(st.sampled_from(["one", "two"])), data.draw(st.none() | st.floats(-1, 1))
    execute(engine, "TRUNCATE document, chunk_1_1")
    store(engine, {f"d{number}": document for number, document in enumerate(documents)})
    query = query_vector(engine, text)
    scores = {
        (f"d{number}", ordinal): float(np.array(chunk) @ query / np.linalg.norm(chunk) / np.linalg.norm(query))
        for number, document in enumerate(documents)
        if (ids is None or f"d{number}" in ids) and (wanted is None or _holds(document.payload, wanted["k"]))
        for ordinal, chunk in enumerate(document.chunks)
    }
    best = sorted((score for score in scores.values() if min_score is None or score >= min_score), reverse=True)

    equal = [wanted] if wanted is not None else []
    hits = engine.search_chunks("tiny", text, limit=limit, ids=ids, equal=equal, min_score=min_score)

    if min_score is None or all(abs(score - min_score) > 1e-5 for score in scores.values()):
        assert [hit.score for hit in hits] == pytest.approx(best[:limit], abs=1e-5)
    assert len({(hit.document.id, hit.ordinal) for hit in hits}) == len(hits)
    for hit in hits:
        assert hit.score == pytest.approx(scores[hit.document.id, hit.ordinal], abs=1e-5)
        stored = documents[int(hit.document.id[1:])]
        assert (hit.text, hit.document.chunks) == (f"chunk {hit.ordinal}", len(stored.chunks))
        assert hit.document.payload == stored.payload


def _holds(payload: dict[str, Any] | None, wanted: object) -> bool:
    if payload is None or "k" not in payload:
        return False
    value = payload["k"]
    if isinstance(wanted, list):
        return isinstance(value, list) and all(each in value for each in wanted)
    return type(value) is type(wanted) and value == wanted


def test_a_selection_after_the_limit_would_be_caught(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    store(engine, {f"d{n}": Stored([[n + 1, 1, 0, 0, 0, 0, 0, 0]], {"n": n}) for n in range(8)})
    assert [hit.document.id for hit in engine.search_chunks("tiny", "x", limit=1, equal=[{"n": 5}])] == ["d5"]
    alter_query(monkeypatch, "nearest_chunks_selected", "AND d.payload @> ALL (%(filters)s::jsonb[])", "")
    found = {engine.search_chunks("tiny", "x", limit=1, equal=[{"n": n}])[0].document.id for n in range(8)}
    assert len(found) == 1


def five(name: str, seq: int) -> StagedDocument:
    document = staged(0, name, Stored([A, B, C, A, B]), seq)
    structure = {
        "pages": [[0, 1], [14, 2]],
        "headings": [[0, 1, "Top"], [8, 2, "First"], [16, 3, "Deep"], [24, 2, "Second"]],
    }
    return replace(document, structure=json.dumps(structure), item_info='{"file_name": "a.md"}')


@pytest.mark.parametrize("expand", [0, 1, 2, 10])
def test_a_hit_has_its_neighbours_in_order_and_its_place(engine: Engine, expand: int) -> None:
    write(engine, [five("a", 1)])
    hits = engine.search_chunks("tiny", "x", limit=10, expand=expand)
    assert sorted(hit.ordinal for hit in hits) == [0, 1, 2, 3, 4]
    for hit in hits:
        before = range(max(0, hit.ordinal - expand), hit.ordinal)
        after = range(hit.ordinal + 1, min(5, hit.ordinal + expand + 1))
        assert hit.previous_texts == [f"chunk {ordinal}" for ordinal in before]
        assert hit.next_texts == [f"chunk {ordinal}" for ordinal in after]
        assert (hit.start, hit.end, hit.text) == (hit.ordinal * 8, hit.ordinal * 8 + 7, f"chunk {hit.ordinal}")
        assert hit.page == (1 if hit.ordinal < 2 else 2)
        assert hit.document.item_info == {"file_name": "a.md"}
    assert {hit.ordinal: hit.headings for hit in hits} == {
        0: ["Top"],
        1: ["Top", "First"],
        2: ["Top", "First", "Deep"],
        3: ["Top", "Second"],
        4: ["Top", "Second"],
    }


def test_the_marks_before_a_heading_belong_to_it(engine: Engine) -> None:
    document = staged(0, "a", Stored([A]), 1)
    text = "## Title\n\nWords of more than one byte: äöü 🙂."
    structure = json.dumps({"pages": [], "headings": [[3, 2, "Title"]]})
    write(engine, [replace(document, text=text, spans=((0, len(text)),), structure=structure)])
    hit = engine.search_chunks("tiny", "x", limit=1)[0]
    assert (hit.text, hit.headings, hit.page) == (text, ["Title"], None)


def test_texts_are_cut_in_characters_and_neighbours_may_overlap(engine: Engine) -> None:
    text = "ä🙂 éins. zwei 🙂🙂 drei."
    spans = ((0, 8), (3, 16), (9, len(text)))
    write(engine, [replace(staged(0, "a", Stored([A, B, C]), 1), text=text, spans=spans)])
    texts = [text[start:end] for start, end in spans]
    for hit in engine.search_chunks("tiny", "x", limit=3, expand=1):
        assert [*hit.previous_texts, hit.text, *hit.next_texts] == texts[max(0, hit.ordinal - 1) : hit.ordinal + 2]


def test_unknown_ids_and_ids_that_cannot_be_match_nothing(engine: Engine) -> None:
    store(engine, {"a": Stored([A]), "b": Stored([B])})
    ids = ["a", "nobody", "with\0nul", "\ud800", "' OR true --"]
    assert [hit.document.id for hit in engine.search_chunks("tiny", "x", limit=9, ids=ids)] == ["a"]
    assert engine.search_chunks("tiny", "x", limit=9, ids=["nobody"]) == []
    assert engine.search_chunks("tiny", "x", limit=9, ids=[]) == []


def test_a_deleted_document_is_not_found(engine: Engine) -> None:
    write(engine, [five("a", 1), replace(staged(1, "b", Stored([A, B]), 1), version=Version(1, 1))])
    write(engine, [StagedDocument(0, "a", Version(2, 0), ItemStatus.REMOVED)])
    for ids in (None, ["a", "b"]):
        assert {hit.document.id for hit in engine.search_chunks("tiny", "x", limit=9, ids=ids)} == {"b"}


def test_a_text_finds_itself_with_a_score_that_passes_one(engine: Engine) -> None:
    upsert(engine, {"a": "neural nets", "b": "other things"})
    drain(engine)
    (hit,) = engine.search_chunks("tiny", "neural nets", limit=5, min_score=1)
    assert (hit.document.id, hit.text) == ("a", "neural nets")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"limit": 0}, "limit: expected 1 to 1000"),
        ({"limit": 1001}, "limit: expected 1 to 1000"),
        ({"expand": -1}, "expand: expected 0 to 10"),
        ({"expand": 11}, "expand: expected 0 to 10"),
        ({"min_score": float("nan")}, "min_score: expected a number"),
        ({"ids": ["x"] * 10_001}, "ids: expected at most 10000"),
        ({"equal": [{"k": "a\0b"}]}, "without NUL"),
        ({"equal": [{"k\0": 1}]}, "without NUL"),
        ({"equal": [{"k": [{"deep\0": 1}]}]}, "without NUL"),
        ({"equal": [{"k": float("inf")}]}, "values that JSON can hold"),
        ({"equal": [{"k": "\ud800"}]}, "values that JSON can hold"),
        ({"equal": [{"k": "x" * 70_000}]}, "at most 65536 bytes"),
        ({"equal": [{"k": json.loads("[" * 300 + "]" * 300)}]}, "levels of nesting"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_words(engine: Engine, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        engine.search_chunks("tiny", "x", **{"limit": 3, **wrong})


def test_a_search_that_takes_too_long_is_ended(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    store(engine, {"a": Stored([A])})
    monkeypatch.setattr(engine, "vectors", PgvectorStore(engine.ledger.database, search_seconds=0.2))
    alter_query(monkeypatch, "search_chunks", "FROM nearest n", "FROM (SELECT pg_sleep(20)) s CROSS JOIN nearest n")
    with pytest.raises(SearchTimeout):
        engine.search_chunks("tiny", "x", limit=1)


# Long texts


texts = st.text(st.sampled_from("aä€🙂\n "), min_size=1, max_size=40)


@given(text=texts, size=st.integers(1, 9), data=st.data())
def test_stretches_are_cut_out_of_pieces_wherever_these_end(text: str, size: int, data: st.DataObject) -> None:
    places = st.integers(0, len(text))
    spans = data.draw(st.lists(st.tuples(places, places).map(lambda both: (min(both), max(both))), max_size=5))
    encoded = text.encode()
    pieces = [encoded[at : at + size] for at in range(0, len(encoded), size)]
    assert cut_stretches(pieces, spans) == {(start, end): text[start:end] for start, end in spans}


def test_stretches_of_long_texts_are_the_same_as_of_short_ones(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [f"{'#' * (number == 0)} wörd🙂 {number} " * 10 for number in range(40)]
    starts = [sum(map(len, words[:place])) for place in range(40)]
    spans = tuple((start, start + len(each)) for start, each in zip(starts, words, strict=True))
    structure = json.dumps({"pages": [[0, 1], [starts[20], 2]], "headings": [[2, 1, "Top"], [starts[30], 2, "Low"]]})
    vectors = [[number % 3, number % 5, 1, 0, 0, 0, 0, number] for number in range(40)]
    documents = [
        replace(staged(place, name, Stored(vectors), 1), text="".join(words), spans=spans, structure=structure)
        for place, name in enumerate(["a", "b"])
    ]
    write(engine, documents)
    short = engine.search_chunks("tiny", "x", limit=60, expand=2)
    assert all(hit.text == words[hit.ordinal] for hit in short)
    monkeypatch.setattr(chunk_search, "LONG_TEXT_BYTES", 100)
    monkeypatch.setattr(long_texts, "_PIECE_BYTES", 101)
    assert engine.search_chunks("tiny", "x", limit=60, expand=2) == short


def test_chunks_too_large_for_one_answer_are_refused_in_words(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_search, "_MAX_CHARACTERS", 500_000)
    text = "x" * 300_000
    write(
        engine,
        [
            replace(staged(place, name, Stored([A]), 1), text=text, spans=((0, len(text)),))
            for place, name in enumerate(["a", "b"])
        ],
    )
    assert engine.search_chunks("tiny", "x", limit=1)[0].text == text
    with pytest.raises(InvalidRequest, match="ask for fewer"):
        engine.search_chunks("tiny", "x", limit=2)


# Replacement


def version(number: int) -> Stored:
    """The n-th version of a document: its size changes, and its payload says how many chunks belong to it."""
    chunks = [A, B, C, A, B, C][: number % 4 + 1]
    return Stored([[*chunk[:7], number] for chunk in chunks], {"version": number, "chunks": len(chunks)})


def of_version(name: str, number: int) -> StagedDocument:
    document = staged(0, name, version(number), number)
    texts = [f"version {number} chunk {place}" for place in range(len(document.spans))]
    starts = [sum(len(text) + 1 for text in texts[:place]) for place in range(len(texts))]
    spans = tuple((start, start + len(text)) for start, text in zip(starts, texts, strict=True))
    structure = json.dumps({"pages": [[0, number]], "headings": [[0, 1, f"version {number}"]]})
    return replace(document, text=" ".join(texts), spans=spans, structure=structure)


def assert_whole(hits: Sequence[Any]) -> None:
    """The document is there, in one version, with all its chunks, and everything that belongs to them."""
    mine = [hit for hit in hits if hit.document.id == "a"]
    assert mine, "the search missed it"
    number = mine[0].document.payload["version"]
    assert sorted(hit.ordinal for hit in mine) == list(range(mine[0].document.payload["chunks"]))
    texts = [f"version {number} chunk {place}" for place in range(len(mine))]
    for hit in mine:
        assert hit.document.payload["version"] == number
        assert [*hit.previous_texts, hit.text, *hit.next_texts] == texts
        assert (hit.page, hit.headings) == (number, [f"version {number}"])
        assert hit.document.chunks == len(mine)


def search_while_replacing(engine: Engine, times: int) -> int:
    """How many searches ran, in two threads, while the document was replaced so many times."""
    write(engine, [of_version("a", 1), replace(of_version("b", 1), item=1)])
    searches, wrong = [0, 0], []
    done = threading.Event()

    def search(place: int) -> None:
        try:
            while not done.is_set():
                ids = ["a"] if (searches[place] + place) % 2 else None
                assert_whole(engine.search_chunks("tiny", "x", limit=20, ids=ids, expand=10))
                searches[place] += 1
        except BaseException as error:  # noqa: BLE001 - told by the test itself
            wrong.append(error)

    threads = [threading.Thread(target=search, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for number in range(2, times + 2):
        write(engine, [of_version("a", number)])
    done.set()
    for thread in threads:
        thread.join(timeout=30)
    if wrong:
        raise wrong[0]
    return sum(searches)


@pytest.mark.parametrize("long_text", [long_texts.LONG_TEXT_BYTES, 1])
def test_a_search_sees_a_document_whole_while_it_is_replaced_a_hundred_times(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, long_text: int
) -> None:
    monkeypatch.setattr(chunk_search, "LONG_TEXT_BYTES", long_text)
    assert search_while_replacing(engine, 100) > 10
    stored = rows(
        engine, "SELECT count(*) AS n FROM chunk_1_1 c JOIN document d ON d.key = c.document WHERE d.id = 'a'"
    )
    assert stored == [{"n": 101 % 4 + 1}]


def test_a_search_without_a_snapshot_would_be_caught(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_search, "LONG_TEXT_BYTES", 1)
    alter_query(monkeypatch, "begin_snapshot", "REPEATABLE READ", "READ COMMITTED")
    with pytest.raises(AssertionError):
        search_while_replacing(engine, 300)
