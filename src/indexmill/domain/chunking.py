"""The chunking that a data source asks for, as a splitting: within the limits of its embedding model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from indexmill.domain.knowledge_base import Chunking, ChunkingAlgorithm
from indexmill.domain.splitting import Method, Splitting
from indexmill.errors import InvalidRequest

__all__ = ["DEFAULT_LIMITS", "ChunkLimits", "check_chunking", "splitting_of"]

_METHODS: Final = {
    ChunkingAlgorithm.SECTION_BASED: Method.SECTIONS,
    ChunkingAlgorithm.FIXED_LENGTH: Method.FIXED,
}


@dataclass(frozen=True)
class ChunkLimits:
    """Tokens of a chunk: the fewest and the most that may be asked for, and those of who asks for nothing."""

    smallest: int = 10
    largest: int = 2048
    default: int = 512


#: Of models that say nothing else.
DEFAULT_LIMITS: Final = ChunkLimits()


def check_chunking(chunking: Chunking, limits: ChunkLimits = DEFAULT_LIMITS) -> None:
    """
    Raises:
        InvalidRequest: a size is beyond the model's limits, or they contradict each other.
    """
    for name in ("max_chunk_size", "parent_chunk_size", "child_chunk_size"):
        size: int | None = getattr(chunking, name)
        if size is not None and not limits.smallest <= size <= limits.largest:
            raise InvalidRequest(
                f"chunking_options.{name}: expected {limits.smallest} to {limits.largest} tokens of the embedding "
                f"model, got {size}"
            )
    parent, child, threshold = chunking.parent_chunk_size, chunking.child_chunk_size, chunking.semantic_threshold
    if parent is not None and child is not None and child > parent:
        raise InvalidRequest(
            f"chunking_options.child_chunk_size: expected at most parent_chunk_size ({parent}), got {child}"
        )
    if threshold is not None and not 0 <= threshold <= 1:
        raise InvalidRequest(f"chunking_options.semantic_threshold: expected 0 to 1, got {threshold}")


def splitting_of(chunking: Chunking, limits: ChunkLimits = DEFAULT_LIMITS) -> tuple[str, str | None]:
    """The name of the splitting, and a sentence where it is not the one that was asked for.

    Raises:
        InvalidRequest: as `check_chunking`.
    """
    check_chunking(chunking, limits)
    size = limits.default if chunking.max_chunk_size is None else chunking.max_chunk_size
    method = _METHODS.get(chunking.algorithm)
    if method is not None:
        return Splitting(size, method=method).name, None
    note = (
        f"The chunking `{chunking.algorithm}` is stored, but not available yet: until then the files are split by "
        f"their sections, into chunks of at most {size} tokens"
    )
    return Splitting(size, method=Method.SECTIONS).name, note
