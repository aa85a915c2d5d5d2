"""How documents become chunks, as collections and items keep it: whole, or in tokens of the embedding model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from indexmill.errors import InvalidRequest

__all__ = ["WHOLE", "Method", "Splitting"]

#: A document is one chunk.
WHOLE = "whole"
_NAME: Final = re.compile(r"(?:tokens-([0-9]{1,6})-([0-9]{1,6}))|(?:(sections|fixed)-([0-9]{1,6}))")


class Method(StrEnum):
    """Where a text is cut."""

    #: As full as fits, ending where the text does: before a heading, after a paragraph, a sentence, a word.
    TOKENS = "tokens"
    #: A chunk a section: small ones are joined, large ones cut as `TOKENS` does.
    SECTIONS = "sections"
    #: So many tokens, whatever the text says, between words.
    FIXED = "fixed"


@dataclass(frozen=True)
class Splitting:
    """Chunks of at most `size` tokens, of which `overlap` are those at the end of the one before."""

    size: int
    overlap: int = 0
    method: Method = Method.TOKENS

    def __post_init__(self) -> None:
        if not 1 <= self.size <= 100_000 or not 0 <= self.overlap < self.size:
            raise InvalidRequest(
                f"splitting: expected a size of 1 to 100000 tokens and a smaller overlap, got {self.size} and "
                f"{self.overlap}"
            )
        if self.overlap and self.method is not Method.TOKENS:
            raise InvalidRequest(f"splitting: expected no overlap with `{self.method}`, got {self.overlap}")

    @property
    def name(self) -> str:
        """As it is stored with the collection or the item, and as part of every fingerprint."""
        return f"{self.method}-{self.size}" + (f"-{self.overlap}" if self.method is Method.TOKENS else "")

    @staticmethod
    def named(name: str) -> Splitting | None:
        """The splitting of this name; None: documents stay whole."""
        if name == WHOLE:
            return None
        match = _NAME.fullmatch(name)
        if match is None:
            raise InvalidRequest(
                f"splitting: expected `{WHOLE}`, tokens-SIZE-OVERLAP, sections-SIZE or fixed-SIZE, got {name!r}"
            )
        if match[1] is not None:
            return Splitting(int(match[1]), int(match[2]))
        return Splitting(int(match[4]), method=Method(match[3]))
