"""What a reader gives: the text of a file, and where its pages and headings begin, as far as the file says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["ExtractedText", "Heading", "Page"]


class Page(NamedTuple):
    """A page, slide or sheet that begins at the character `start`; numbered from 1."""

    start: int
    number: int


class Heading(NamedTuple):
    """A heading whose title begins at the character `start`; level 1 is the highest."""

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
