"""What a reader gives: the text of a file, and where its pages and headings begin, as far as the file says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

__all__ = ["MAX_PLACES", "ExtractedText", "Heading", "Page"]

#: Pages, and headings, that are kept of a document: jsonb takes no array of more than 256 MiB.
MAX_PLACES: Final = 100_000


class Page(NamedTuple):
    """A page, slide or sheet that begins at the character `start`; numbered from 1."""

    start: int
    number: int


class Heading(NamedTuple):
    """A heading; its line begins at the character `start`, with `#` in Markdown. Level 1 is the highest."""

    start: int
    level: int
    title: str


@dataclass(frozen=True)
class ExtractedText:
    """`pages` and `headings` are in order of `start`; what the file or its type does not say is empty."""

    text: str
    media_type: str
    pages: tuple[Page, ...] = ()
    headings: tuple[Heading, ...] = ()
