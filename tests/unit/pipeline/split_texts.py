"""Texts to split, models to count with, and what holds for every splitting."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

from indexmill.models.deterministic import DeterministicModel
from indexmill.models.embedding_model import EmbeddingModel
from indexmill.models.static import StaticModel
from indexmill.pipeline.splitting import Span, without_surrogates

__all__ = ["MODELS", "TEXTS", "assert_whole"]

MODELS: list[EmbeddingModel] = [StaticModel(dimension=64), DeterministicModel()]
_PLAIN = [
    "crane",
    "lighthouse",
    "Fog.",
    "a",
    "x" * 90,
    "\n",
    "\n\n",
    "\r\n",
    "  ",
    "\t",
    "# Bird",
    "## Fog\n",
    "- item",
]
_ODD = [
    "灯台守",
    "😀😀",
    "|a|b|",
    "```",
    "\x1c",
    "\u2028",
    "é",
    "\ud800",
    "<s>",
    "\u2581",
    "e\u0301",
    "1.5",
    "> q",
    "`",
]
WORDS = st.sampled_from([*_PLAIN, *_ODD])
TEXTS = st.one_of(
    st.lists(WORDS, max_size=150).map(" ".join),
    st.lists(WORDS, max_size=150).map("".join),
    st.text(max_size=300),
)


def assert_whole(text: str, spans: list[Span], size: int, model: EmbeddingModel) -> None:
    """In order, none blank, none too large, every character that is no white space in one."""
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(one[0] < other[0] and one[1] < other[1] for one, other in pairwise(spans))
    chunks = [text[start:end] for start, end in spans]
    assert all(chunk.strip() for chunk in chunks)
    covered = {at for start, end in spans for at in range(start, end)}
    assert [at for at, each in enumerate(text) if not each.isspace() and at not in covered] == []
    assert all(tokens <= size for tokens in model.count_tokens([without_surrogates(chunk) for chunk in chunks]))
