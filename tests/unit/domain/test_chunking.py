"""What data sources ask for as splittings: within the limits, and a note where it is not what was asked for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.domain.chunking import ChunkLimits, check_chunking, splitting_of
from indexmill.domain.knowledge_base import Chunking, ChunkingAlgorithm
from indexmill.domain.splitting import Splitting
from indexmill.errors import InvalidRequest

LIMITS = ChunkLimits(smallest=100, largest=1000, default=400)


@pytest.mark.parametrize(
    ("chunking", "splitting"),
    [
        (Chunking(), "sections-400"),
        (Chunking(max_chunk_size=100), "sections-100"),
        (Chunking(ChunkingAlgorithm.FIXED_LENGTH), "fixed-400"),
        (Chunking(ChunkingAlgorithm.FIXED_LENGTH, max_chunk_size=1000), "fixed-1000"),
    ],
)
def test_what_is_asked_for_is_done(chunking: Chunking, splitting: str) -> None:
    assert splitting_of(chunking, LIMITS) == (splitting, None)


@pytest.mark.parametrize("algorithm", [ChunkingAlgorithm.HIERARCHICAL, ChunkingAlgorithm.SEMANTIC])
def test_what_is_not_there_yet_is_said(algorithm: ChunkingAlgorithm) -> None:
    asked = Chunking(algorithm, parent_chunk_size=900, child_chunk_size=200, semantic_threshold=0.5)
    splitting, note = splitting_of(asked, LIMITS)
    assert splitting == "sections-400"
    assert note is not None
    assert f"`{algorithm}`" in note
    assert "400 tokens" in note


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_chunk_size": 99}, "max_chunk_size: expected 100 to 1000"),
        ({"max_chunk_size": 1001}, "max_chunk_size: expected 100 to 1000"),
        ({"parent_chunk_size": 0}, "parent_chunk_size"),
        ({"child_chunk_size": -1}, "child_chunk_size"),
        ({"parent_chunk_size": 200, "child_chunk_size": 201}, "child_chunk_size: expected at most"),
        ({"semantic_threshold": 1.1}, "semantic_threshold"),
        ({"semantic_threshold": float("nan")}, "semantic_threshold"),
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, Any], message: str) -> None:
    for call in (check_chunking, splitting_of):
        with pytest.raises(InvalidRequest, match=message):
            call(Chunking(**wrong), LIMITS)


@given(
    st.sampled_from(ChunkingAlgorithm),
    st.none() | st.integers(10, 2048),
    st.none() | st.integers(1000, 2048),
    st.none() | st.integers(10, 1000),
    st.none() | st.floats(0, 1),
)
def test_every_other_one_has_a_splitting_within_the_limits(
    algorithm: ChunkingAlgorithm, size: int | None, parent: int | None, child: int | None, threshold: float | None
) -> None:
    name, note = splitting_of(Chunking(algorithm, size, parent, child, threshold))
    splitting = Splitting.named(name)
    assert splitting is not None
    assert splitting.size == (size or 512)
    assert (note is None) == (algorithm in {ChunkingAlgorithm.SECTION_BASED, ChunkingAlgorithm.FIXED_LENGTH})
