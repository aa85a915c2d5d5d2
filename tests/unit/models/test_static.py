"""StaticModel gives what wordllama's own `embed` gives, whatever is remembered, in bounded memory."""

from __future__ import annotations

import logging
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexmill.errors import InvalidRequest
from indexmill.models import static
from indexmill.models.static import StaticModel

TEXTS = [
    "neural nets basics",
    "The quick brown fox jumps over the lazy dog.",
    "  leading spaces",
    "trailing spaces   ",
    "several    spaces\tand\ttabs",
    "lines\n\n    indented\r\nwindows",
    "\n",
    " ",
    "<s>",
    "special <s> tokens</s><unk> inside",
    "<s> ",
    "a \u2581 literal \u2581\u2581space token",
    "日本語のテキスト and 中文",
    "e\u0301 \U0001f600 é NUL\x00 \x07",
    "x" * 5000,
    "word " * 3000,
]


@pytest.fixture(scope="module")
def model() -> StaticModel:
    return StaticModel()


@pytest.fixture(scope="module")
def wordllama() -> Any:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    package = pytest.importorskip("wordllama")
    root.handlers[:], root.level = handlers, level
    return package.WordLlama.load(cache_dir=Path(package.__file__).parent, disable_download=True)


def test_vectors_equal_those_of_wordllama(model: StaticModel, wordllama: Any) -> None:
    expected = np.vstack([wordllama.embed(text) for text in TEXTS])
    embedded = model.embed(TEXTS)
    np.testing.assert_allclose(embedded.vectors, expected, atol=1e-6)
    assert embedded.vectors.dtype == np.float32
    tokens = [len(wordllama.tokenizer.encode(text, add_special_tokens=False).ids) for text in TEXTS]
    assert embedded.tokens.tolist() == tokens
    assert embedded.tokens.dtype == np.uint32


def test_known_vector_values(model: StaticModel) -> None:
    vector = model.embed(["neural nets basics"]).vectors[0]
    np.testing.assert_allclose(vector[:4], [-0.022900, 0.418097, 0.576294, 0.482251], atol=1e-6)


def test_a_shorter_dimension_is_a_prefix(model: StaticModel) -> None:
    short = StaticModel(dimension=64)
    assert short.dimension == 64
    np.testing.assert_array_equal(short.embed(TEXTS[:2]).vectors, model.embed(TEXTS[:2]).vectors[:, :64])


def test_a_text_without_tokens_has_a_zero_vector(model: StaticModel) -> None:
    embedded = model.embed(["", "word"])
    assert not embedded.vectors[0].any()
    assert embedded.vectors[1].any()
    assert embedded.tokens.tolist()[0] == 0


def test_no_texts_give_no_vectors(model: StaticModel) -> None:
    assert model.embed([]).vectors.shape == (0, 256)


def test_vectors_do_not_depend_on_what_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [" ".join(f"word{number}{more}" for more in range(20)) for number in range(60)]
    expected = StaticModel().embed(texts).vectors
    # Given a table that is full after a few texts
    monkeypatch.setattr(static, "_TABLE_ROWS", 200)
    monkeypatch.setattr(static, "_SLICE_CHARS", 400)
    small = StaticModel()
    # Then it starts anew, and nothing changes
    for _ in range(2):
        np.testing.assert_array_equal(small.embed(texts).vectors, expected)


def test_new_words_cost_nothing_for_what_is_remembered_already(model: StaticModel) -> None:
    """A large text is counted in thousands of calls, and most of them bring a new word."""

    class Remembered(str):
        looks = 0

        def __hash__(self) -> int:
            Remembered.looks += 1
            return super().__hash__()

    own = StaticModel()
    own.embed(["some words"])
    own._table.rows[Remembered("remembered")] = 0
    before = Remembered.looks
    assert own.count_tokens(["quite another word"]) == model.count_tokens(["quite another word"])
    assert Remembered.looks == before


def test_long_words_do_not_fill_memory_as_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    model = StaticModel()
    for number in range(300):
        model.embed([f"{number}" + "x" * 20_000])
    assert sum(map(len, model._table.rows)) < static._TABLE_ROWS * static._SHARE_CHARS + static._SLICE_CHARS


def test_a_long_text_is_embedded_in_bounded_memory(model: StaticModel) -> None:
    text = "a document of many words and\nsome lines " * 100_000
    model.embed([text[:100_000]])
    tracemalloc.start()
    embedded = model.embed([text])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # All its token vectors at once would be a gigabyte.
    assert peak < 50_000_000
    np.testing.assert_allclose(embedded.vectors[0], model.embed([text[: len(text) // 100]]).vectors[0], atol=1e-4)


def test_lone_surrogates_are_refused(model: StaticModel) -> None:
    with pytest.raises(ValueError, match="surrogates"):
        model.embed(["good", "bad \ud800"])
    assert model.embed(["good"]).vectors.any()


def test_threads_get_the_same_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static, "_TABLE_ROWS", 500)
    monkeypatch.setattr(static, "_SLICE_CHARS", 400)
    model = StaticModel()
    texts = [f"thread {number} words {number * 7} more" for number in range(200)]
    expected = StaticModel().embed(texts).vectors
    wrong: list[int] = []

    def check() -> None:
        wrong.extend(turn for turn in range(5) if not np.array_equal(model.embed(texts).vectors, expected))

    threads = [threading.Thread(target=check) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert wrong == []


def test_loading_leaves_the_root_logger_alone() -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    StaticModel()
    assert (root.handlers, root.level) == (handlers, level)


@pytest.mark.parametrize("options", [{"weights": "l3_supercat"}, {"dimension": 100}, {"dimension": True}])
def test_what_the_wheel_does_not_hold_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="expected"):
        StaticModel(**options)
