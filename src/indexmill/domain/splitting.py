"""How a collection's documents become chunks, as the collection keeps it: whole, or in tokens of its model."""

from __future__ import annotations

import re
from dataclasses import dataclass

from indexmill.errors import InvalidRequest

__all__ = ["WHOLE", "Splitting"]

#: A document is one chunk.
WHOLE = "whole"
_TOKENS = re.compile(r"tokens-([0-9]{1,6})-([0-9]{1,6})")


@dataclass(frozen=True)
class Splitting:
    """Chunks of at most `size` tokens, of which `overlap` are those at the end of the one before."""

    size: int
    overlap: int

    def __post_init__(self) -> None:
        if not 1 <= self.size <= 100_000 or not 0 <= self.overlap < self.size:
            raise InvalidRequest(
                f"splitting: expected a size of 1 to 100000 tokens and a smaller overlap, got {self.size} and "
                f"{self.overlap}"
            )

    @property
    def name(self) -> str:
        """As it is stored with the collection, and as part of every fingerprint."""
        return f"tokens-{self.size}-{self.overlap}"

    @staticmethod
    def named(name: str) -> Splitting | None:
        """The splitting of this name; None: documents stay whole."""
        if name == WHOLE:
            return None
        match = _TOKENS.fullmatch(name)
        if match is None:
            raise InvalidRequest(f"splitting: expected `{WHOLE}` or tokens-SIZE-OVERLAP, got {name!r}")
        return Splitting(int(match[1]), int(match[2]))
