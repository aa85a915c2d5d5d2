"""Splitting: properties of every text, and that chunks end where texts do."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.models.deterministic import DeterministicModel
from indexmill.models.embedding_model import EmbeddingModel
from indexmill.pipeline.splitting import Span, split, without_surrogates
from indexmill.readers.extracted_text import Heading
from indexmill.readers.markdown_headings import markdown_headings
from tests.unit.pipeline.split_texts import MODELS, TEXTS, assert_whole


def _check(text: str, spans: list[Span], size: int, overlap: int, model: EmbeddingModel) -> None:
    assert_whole(text, spans, size, model)
    shared = [text[other[0] : one[1]] for one, other in pairwise(spans) if other[0] < one[1]]
    counts = model.count_tokens([without_surrogates(each) for each in shared])
    assert all(tokens <= overlap for tokens in counts)


@pytest.mark.parametrize("model", MODELS)
@given(
    text=TEXTS, size=st.integers(12, 60), share=st.floats(0, 0.5), kind=st.sampled_from(["", "markdown", "headings"])
)
def test_every_text(model: EmbeddingModel, text: str, size: int, share: float, kind: str) -> None:
    overlap = int(size * share)
    headings = markdown_headings(text) if kind else ()
    spans = split(text, size, overlap, model.count_tokens, headings=headings, is_markdown=kind == "markdown")
    _check(text, spans, size, overlap, model)
    assert spans == split(text, size, overlap, model.count_tokens, headings=headings, is_markdown=kind == "markdown")


def _chunks(text: str, size: int, overlap: int = 0, headings: tuple[Heading, ...] = ()) -> list[str]:
    spans = split(text, size, overlap, DeterministicModel().count_tokens, headings=headings)
    return [text[start:end] for start, end in spans]


def test_a_text_that_fits_is_one_chunk() -> None:
    assert _chunks("  one two\n\nthree \n", 3) == ["one two\n\nthree"]
    assert _chunks(" \n ", 3) == []
    assert _chunks("", 3) == []


def test_paragraphs_stay_whole_where_they_fit() -> None:
    paragraphs = [" ".join([f"Word{number}"] * 12) + "." for number in range(6)]
    assert _chunks("\n\n".join(paragraphs), 20) == paragraphs


def test_sentences_stay_whole_where_they_fit() -> None:
    sentences = [" ".join([f"word{number}"] * 12) + "." for number in range(6)]
    assert _chunks(" ".join(sentences), 15) == sentences


def test_chunks_begin_at_headings() -> None:
    titles = ["First title", "Second title", "Third title"]
    text = "\n\n".join(f"{title}\n\n" + " ".join(["Some words here."] * 8) for title in titles)
    headings = tuple(Heading(text.index(title), 1, title) for title in titles)
    # Two sections do not fit; without headings the cut would be later.
    chunks = _chunks(text, 40, headings=headings)
    assert [chunk.split("\n")[0] for chunk in chunks] == titles


def test_neighbours_overlap() -> None:
    text = " ".join(f"Sentence number {number} ends here." for number in range(100))
    spans = split(text, 50, 10, DeterministicModel().count_tokens)
    shared = [text[other[0] : one[1]] for one, other in pairwise(spans)]
    assert all(shared)
    assert all(each.startswith("Sentence") for each in shared)


def test_chunks_are_well_filled() -> None:
    model = MODELS[0]
    text = " ".join(f"The keeper counts crane number {number} in the fog." for number in range(2000))
    chunks = [text[start:end] for start, end in split(text, 100, 0, model.count_tokens)]
    tokens = model.count_tokens(chunks)
    assert sum(tokens) / len(tokens) > 80


@pytest.mark.parametrize("text", ["a" * 300_000, "😀" * 50_000, "灯台守は鶴を数えます。" * 10_000, "a b " * 60_000])
def test_texts_without_structure(text: str) -> None:
    model = MODELS[0]
    _check(text, split(text, 128, 16, model.count_tokens), 128, 16, model)


def test_the_check_is_called_and_can_stop_it() -> None:
    calls = []
    split("word " * 500_000, 500, 0, lambda texts: [len(each) // 5 for each in texts], check=lambda: calls.append(1))
    assert len(calls) >= 2

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        split("word " * 1000, 50, 0, DeterministicModel().count_tokens, check=stop)


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (10, 10), (10, -1)])
def test_impossible_sizes_are_refused(size: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="overlap"):
        split("text", size, overlap, DeterministicModel().count_tokens)


@given(st.lists(st.text(max_size=80), max_size=20))
def test_tokens_are_counted_as_embed_counts_them(texts: list[str]) -> None:
    for model in MODELS:
        assert model.count_tokens(texts) == model.embed(texts).tokens.tolist()
