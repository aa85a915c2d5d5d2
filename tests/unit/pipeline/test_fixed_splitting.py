"""Chunks of a fixed number of tokens: properties of every text, and that they really are."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.models.deterministic import DeterministicModel
from indexmill.models.embedding_model import EmbeddingModel
from indexmill.pipeline import fixed_splitting
from indexmill.pipeline.fixed_splitting import split_fixed
from indexmill.pipeline.splitting import Span, without_surrogates
from tests.unit.pipeline.split_texts import MODELS, TEXTS, assert_whole

WORD = re.compile(fixed_splitting._WORD.pattern)


def _assert_fixed(text: str, spans: list[Span], size: int, model: EmbeddingModel) -> None:
    """To no chunk could the word after it be added, nor the next character where a word is cut."""
    for one, other in pairwise(spans):
        word = WORD.match(text, other[0])
        assert word is not None
        more = text[one[0] : word.end() if one[1] < other[0] or _ends_word(text, one[1]) else other[0] + 1]
        assert model.count_tokens([without_surrogates(more)])[0] > size


def _ends_word(text: str, at: int) -> bool:
    return any(each.start() == at for each in WORD.finditer(text))


@pytest.mark.parametrize("model", MODELS)
@given(text=TEXTS, size=st.integers(12, 60))
def test_every_text(model: EmbeddingModel, text: str, size: int) -> None:
    spans = split_fixed(text, size, model.count_tokens)
    assert_whole(text, spans, size, model)
    _assert_fixed(text, spans, size, model)
    assert spans == split_fixed(text, size, model.count_tokens)


@given(text=TEXTS, size=st.integers(12, 60), portion=st.integers(1, 100))
def test_portions_leave_no_trace(text: str, size: int, portion: int) -> None:
    model = MODELS[0]
    expected = split_fixed(text, size, model.count_tokens)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fixed_splitting, "_PORTION_CHARS", portion)
        assert split_fixed(text, size, model.count_tokens) == expected


def test_chunks_have_exactly_so_many_words_whatever_the_structure() -> None:
    text = "# Title\n\n" + "One two. Three\n\nfour " * 100
    chunks = [text[start:end] for start, end in split_fixed(text, 30, DeterministicModel().count_tokens)]
    assert {len(each.split()) for each in chunks[:-1]} == {30}


def test_chunks_of_a_real_model_are_full() -> None:
    model = MODELS[0]
    text = " ".join(f"The keeper counts crane number {number} in the fog." for number in range(2000))
    tokens = model.count_tokens([text[start:end] for start, end in split_fixed(text, 100, model.count_tokens)])
    assert min(tokens[:-1]) > 95
    assert max(tokens) <= 100


@pytest.mark.parametrize("text", ["a" * 300_000, "😀" * 50_000, "灯台守は鶴を数えます。" * 10_000, "a b " * 60_000])
def test_texts_without_structure(text: str) -> None:
    model = MODELS[0]
    spans = split_fixed(text, 128, model.count_tokens)
    assert_whole(text, spans, 128, model)
    assert min(model.count_tokens([text[start:end] for start, end in spans[:-1]])) > 115


def test_the_check_is_called_and_can_stop_it() -> None:
    calls = []
    split_fixed(
        "word " * 500_000, 500, lambda texts: [len(each) // 5 + 1 for each in texts], check=lambda: calls.append(1)
    )
    assert len(calls) >= 2

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        split_fixed("word " * 1000, 50, DeterministicModel().count_tokens, check=stop)


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="1 token"):
        split_fixed("text", 0, DeterministicModel().count_tokens)
