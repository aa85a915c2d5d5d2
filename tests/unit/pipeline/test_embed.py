"""Embedding: groups by length, halving around what the model refuses, unit vectors, checks between calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.domain.bodies import StoredItem
from indexmill.domain.failure import FailureCode
from indexmill.errors import ItemError, ModelError, TransientError
from indexmill.models.embedding_model import Embeddings
from indexmill.models.unit_vectors import normalised
from indexmill.pipeline import embed
from indexmill.pipeline.embed import SUB_BATCH, embed_items, embed_last_tries, embed_texts
from indexmill.pipeline.window import WorkItem
from tests.unit.pipeline.items import batch, work_item


@dataclass
class Model:
    """Answers with a text's length and its first letter; `error` is raised for what holds `!`."""

    error: Callable[[], Exception] | None = None
    dimension: int = 2
    calls: list[list[str]] = field(default_factory=list)

    def embed(self, texts: list[str]) -> Embeddings:
        self.calls.append(texts)
        if self.error is not None and any("!" in text for text in texts):
            raise self.error()
        vectors = np.array([[len(text), ord(text[0])] for text in texts], dtype=np.float32)
        return Embeddings(vectors, np.array([len(text) for text in texts], dtype=np.uint32))

    def count_tokens(self, texts: list[str]) -> list[int]:
        return [len(text) for text in texts]


def nothing() -> None:
    return


texts = st.lists(st.text("abc!", min_size=1, max_size=9), unique=True, max_size=150)


@given(texts)
def test_every_text_gets_its_own_vector_whatever_the_order_of_calls(given_texts: list[str]) -> None:
    model = Model()
    result = embed_texts(model, given_texts, check=nothing)
    for text, vector, tokens in zip(given_texts, result.vectors, result.tokens, strict=True):
        expected = np.array([len(text), ord(text[0])]) / np.hypot(len(text), ord(text[0]))
        assert not isinstance(vector, ItemError)
        assert vector == pytest.approx(expected, abs=1e-6)
        assert tokens == len(text)
    called = [text for call in model.calls for text in call]
    assert sorted(called) == sorted(given_texts)
    assert [len(text) for text in called] == sorted(len(text) for text in given_texts)
    assert all(len(call) <= SUB_BATCH for call in model.calls)


@given(texts)
def test_refused_texts_fail_alone(given_texts: list[str]) -> None:
    result = embed_texts(Model(lambda: ValueError("no exclamations")), given_texts, check=nothing)
    for text, vector in zip(given_texts, result.vectors, strict=True):
        assert isinstance(vector, ItemError) == ("!" in text)
        if isinstance(vector, ItemError):
            assert "no exclamations" in vector.sentence


def test_finding_one_refused_text_among_64_costs_few_calls() -> None:
    model = Model(lambda: ValueError("no"))
    embed_texts(model, [*(f"a{n}" for n in range(63)), "!"], check=nothing)
    assert len(model.calls) <= 13


@pytest.mark.parametrize("error", [ModelError("key"), TransientError("busy")])
def test_what_is_no_text_s_fault_is_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        embed_texts(Model(lambda: error), ["!", "fine"], check=nothing)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("first line\nsecond line"), "first line"),
        (ValueError(""), "ValueError"),
        (RuntimeError("/secret/path failed"), "RuntimeError"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_only_a_value_error_s_first_line_is_told(error: Exception, words: str) -> None:
    vector = embed_texts(Model(lambda: error), ["!"], check=nothing).vectors[0]
    assert isinstance(vector, ItemError)
    assert vector.sentence == f"The embedding model rejected this text: {words}"


@pytest.mark.parametrize("shape", [(1, 2), (3, 2), (2, 3), (2,)])
def test_an_answer_of_another_shape_is_the_model_s_fault(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model()
    monkeypatch.setattr(model, "embed", lambda texts: Embeddings(np.ones(shape, np.float32), np.ones(2, np.uint32)))
    with pytest.raises(ModelError, match="expected"):
        embed_texts(model, ["a", "b"], check=nothing)


def test_the_window_is_checked_before_each_call() -> None:
    class Stop(Exception):
        pass

    model, checks = Model(), []

    def check() -> None:
        checks.append(len(model.calls))
        if len(checks) == 2:
            raise Stop

    with pytest.raises(Stop):
        embed_texts(model, [f"a{n:03}" for n in range(SUB_BATCH * 3)], check=check)
    assert checks == [0, 1]


def test_long_texts_do_not_meet_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed, "_SUB_BATCH_CHARACTERS", 100)
    model = Model()
    embed_texts(model, [chr(97 + n) * 60 for n in range(5)] + ["z" * 500], check=nothing)
    assert [len(call) for call in model.calls] == [1] * 6


vectors = st.lists(st.lists(st.floats(width=32), min_size=3, max_size=3), min_size=1, max_size=6)


@given(vectors)
def test_valid_vectors_have_unit_length_and_the_others_are_told(rows: list[list[float]]) -> None:
    given_vectors: npt.NDArray[np.float32] = np.array(rows, dtype=np.float32)
    unit, valid = normalised(given_vectors)
    for row, vector, is_valid in zip(given_vectors, unit, valid, strict=True):
        assert is_valid == (np.isfinite(row).all() and row.any())
        if is_valid:
            assert np.linalg.norm(vector.astype(np.float64)) == pytest.approx(1, abs=1e-5)


# The last tries


def work_items(*given: str) -> list[WorkItem]:
    return [
        WorkItem(number=n, batch=batch(), position=100 + n, content=StoredItem(f"d{n}", None, None), text=text)
        for n, text in enumerate(given)
    ]


def last_tries(model: Model, items: list[WorkItem], most: int = 1000) -> list[int]:
    """The positions that were announced; the time is up after so many calls."""
    positions: list[int] = []
    embed_last_tries(model, items, tries=8, before=positions.append, is_time_up=lambda: len(model.calls) >= most)
    return positions


def test_a_last_try_fails_its_own_text_only_short_ones_first() -> None:
    model = Model(lambda: TransientError("timed out"))
    items = work_items("long!", "longer", "a", "b!")
    assert last_tries(model, items) == [102, 103, 100, 101]
    assert model.calls == [["a"], ["b!"], ["long!"], ["longer"]]
    assert [item.failure is None for item in items] == [False, True, True, False]
    assert [item.vectors is None for item in items] == [True, False, False, True]
    failure = items[3].failure
    assert failure is not None
    assert (failure.code, failure.retryable) == (FailureCode.TRIES_EXHAUSTED, True)
    assert failure.sentence == "Given up after 8 tries, the last one: timed out"


def test_equal_texts_have_one_last_try_together() -> None:
    model = Model(lambda: TransientError("timed out"))
    items = work_items("a", "x!", "a", "x!")
    last_tries(model, items)
    assert model.calls == [["a"], ["x!"]]
    assert [item.failure is None for item in items] == [True, False, True, False]
    assert [item.embedded for item in items] == [True, False, False, False]


def test_what_is_not_tried_in_time_fails_and_says_so() -> None:
    items = work_items("a!", "bb", "ccc!", "dddd")
    model = Model(lambda: TransientError("timed out"))
    last_tries(model, items, most=2)
    assert model.calls == [["a!"], ["bb"]]
    assert items[1].failure is None
    for item in items[2:]:
        assert item.failure is not None
        assert (item.failure.code, item.failure.retryable) == (FailureCode.TRIES_EXHAUSTED, True)
        assert "answered too slowly for this one to be tried by itself" in item.failure.sentence
        assert not item.embedded


def test_a_text_that_is_refused_at_its_last_try_is_refused() -> None:
    items = work_items("a!", "b")
    last_tries(Model(lambda: ValueError("no")), items)
    assert items[0].failure is not None
    assert items[0].failure.code is FailureCode.MODEL_REJECTED


def test_a_model_that_cannot_work_is_no_item_s_fault_at_the_last_try_either() -> None:
    with pytest.raises(ModelError, match="key"):
        last_tries(Model(lambda: ModelError("key")), work_items("a!"))


# Several chunks


def chunked(text: str, position: int = 0) -> WorkItem:
    """An item of which each word is a chunk."""
    item = work_item(text, position)
    start = 0
    spans = []
    for word in text.split(" "):
        spans.append((start, start + len(word)))
        start += len(word) + 1
    item.spans = tuple(spans)
    return item


def unit(text: str) -> object:
    return pytest.approx(np.array([len(text), ord(text[0])]) / np.hypot(len(text), ord(text[0])), abs=1e-6)


@pytest.mark.parametrize("alone", [True, False])
def test_every_chunk_gets_its_vector_and_equal_chunks_are_embedded_once(alone: bool) -> None:
    model = Model()
    items = [chunked("a bb a"), chunked("bb ccc", 1)]
    seen: list[int] = []
    embed_items(model, items, check=nothing, before=seen.append if alone else None)
    assert [item.embedded for item in items] == [2, 1]
    assert [item.tokens for item in items] == [4, 5]
    assert sorted(text for call in model.calls for text in call) == ["a", "bb", "ccc"]
    for item in items:
        assert item.vectors is not None
        words = (item.text or "").split(" ")
        assert len(item.vectors) == len(words)
        assert all(vector == unit(word) for vector, word in zip(item.vectors, words, strict=True))
    assert seen == ([0, 1] if alone else [])


def test_an_item_that_runs_alone_gives_a_slow_model_few_chunks_at_a_time() -> None:
    model, checks = Model(), []
    item = chunked(" ".join(f"{'a' * (n + 1)}" for n in range(30)))
    embed_items(model, [item], check=lambda: checks.append(len(model.calls)), before=lambda _: None)
    assert [len(call) for call in model.calls] == [8, 8, 8, 6]
    assert checks == [0, 1, 2, 3]


def test_a_chunk_that_the_model_refuses_fails_its_document_alone() -> None:
    items = [chunked("a b! c"), chunked("a d", 1)]
    embed_items(Model(error=lambda: ValueError("no")), items, check=nothing, before=None)
    assert items[0].failure is not None
    assert (items[0].failure.code, items[0].vectors) == (FailureCode.MODEL_REJECTED, None)
    assert (items[1].failure, len(items[1].spans)) == (None, 2)


def test_chunks_without_a_usable_vector_are_left_out() -> None:
    class Blind(Model):
        def embed(self, texts: list[str]) -> Embeddings:
            answer = super().embed(texts)
            answer.vectors[[text.startswith("-") for text in texts]] = 0
            return answer

    items = [chunked("- a -- b"), chunked("- --", 1)]
    embed_items(Blind(), items, check=nothing, before=None)
    assert items[0].spans == ((2, 3), (7, 8))
    assert items[0].vectors is not None
    assert len(items[0].vectors) == 2
    assert items[1].failure is not None
    assert items[1].failure.code is FailureCode.INVALID_VECTOR
