"""Sections as chunks: properties of every text, and which sections are joined or cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.models.deterministic import DeterministicModel
from indexmill.models.embedding_model import EmbeddingModel
from indexmill.pipeline.section_splitting import split_sections
from indexmill.readers.extracted_text import Heading
from indexmill.readers.markdown_headings import markdown_headings
from tests.unit.pipeline.split_texts import MODELS, TEXTS, assert_whole

SECTIONS = st.lists(
    st.tuples(st.integers(1, 4), st.integers(0, 80)).map(
        lambda each: f"{'#' * each[0]} Title\n\n{'word ' * each[1]}\n\n"
    ),
    max_size=25,
).map("".join)


@pytest.mark.parametrize("model", MODELS)
@given(text=st.one_of(TEXTS, SECTIONS), size=st.integers(12, 60), is_markdown=st.booleans())
def test_every_text(model: EmbeddingModel, text: str, size: int, is_markdown: bool) -> None:
    spans = split_sections(text, size, model.count_tokens, headings=markdown_headings(text), is_markdown=is_markdown)
    assert_whole(text, spans, size, model)
    # Nothing is in two chunks.
    assert all(one[1] <= other[0] for one, other in pairwise(spans))


def _chunks(text: str, size: int) -> list[str]:
    spans = split_sections(
        text, size, DeterministicModel().count_tokens, headings=markdown_headings(text), is_markdown=True
    )
    return [text[start:end] for start, end in spans]


def _section(title: str, words: int, level: int = 1) -> str:
    return f"{'#' * level} {title}\n\n" + " ".join(["word"] * words) + "\n\n"


def test_a_chunk_is_a_section_although_two_would_fit() -> None:
    text = "".join(_section(title, 30) for title in "ABC")
    assert [each[:3] for each in _chunks(text, 100)] == ["# A", "# B", "# C"]


def test_small_sections_are_joined_with_the_one_before() -> None:
    text = _section("A", 40) + _section("b", 3, 2) + _section("c", 3, 2) + _section("D", 40)
    assert [[line for line in each.splitlines() if "#" in line] for each in _chunks(text, 100)] == [
        ["# A", "## b", "## c"],
        ["# D"],
    ]


def test_many_small_sections_fill_chunks() -> None:
    chunks = _chunks("".join(_section(str(number), 5) for number in range(100)), 100)
    # A section has seven words; line breaks are guessed to be tokens.
    assert 8 <= len(chunks) <= 12
    assert all(each.startswith("# ") for each in chunks)


def test_a_title_stays_with_what_is_beneath_it() -> None:
    text = (
        _section("A", 40) + _section("Part", 0) + _section("b", 40, 2) + _section("Chapter", 1) + _section("c", 150, 2)
    )
    chunks = _chunks(text, 100)
    assert [each.split("\n")[0] for each in chunks[:3]] == ["# A", "# Part", "# Chapter"]
    assert "## b" in chunks[1]
    assert "## c" in chunks[2]


def test_large_sections_are_cut_where_the_text_ends() -> None:
    sentences = " ".join(f"This is sentence number {number}." for number in range(40))
    chunks = _chunks(f"# A\n\n{sentences}\n\n" + _section("B", 40), 50)
    assert all(each.endswith(".") for each in chunks[:-1])
    assert chunks[-1].startswith("# B")


def test_a_text_without_headings_is_cut_by_its_structure() -> None:
    paragraphs = [" ".join([f"Word{number}"] * 12) + "." for number in range(6)]
    assert _chunks("\n\n".join(paragraphs), 20) == paragraphs


def test_headings_of_files_count_as_those_of_markdown() -> None:
    text = "Intro words here.\nTitle\n" + "word " * 40
    headings = (Heading(text.index("Title"), 1, "Title"),)
    spans = split_sections(text * 1, 45, DeterministicModel().count_tokens, headings=headings)
    assert spans[-1][0] <= text.index("Title")


def test_the_check_is_called_and_can_stop_it() -> None:
    text = "".join(_section(str(number), 2000) for number in range(400))
    headings = markdown_headings(text)

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        split_sections(text, 50, lambda texts: [len(each) // 5 for each in texts], headings=headings, check=stop)
