"""Where a chunk stands in its document: on which pages, under which headings."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from indexmill.readers.extracted_text import Heading, Page

__all__ = ["Place", "places"]


@dataclass(frozen=True)
class Place:
    """`first_page`, `last_page`: None where the document has no pages. `headings`: titles, the highest level first."""

    first_page: int | None
    last_page: int | None
    headings: tuple[str, ...]


def places(spans: Sequence[tuple[int, int]], pages: Sequence[Page], headings: Sequence[Heading]) -> list[Place]:
    """The place of each chunk; spans, pages and headings in order of their starts."""
    page_starts = [page.start for page in pages]
    found: list[Place] = []
    above: list[Heading] = []
    number = 0
    for start, end in spans:
        while number < len(headings) and headings[number].start <= start:
            heading = headings[number]
            above = [each for each in above if each.level < heading.level]
            above.append(heading)
            number += 1
        first = bisect_right(page_starts, start) - 1
        last = bisect_left(page_starts, end) - 1
        found.append(
            Place(
                pages[max(first, 0)].number if pages else None,
                pages[max(last, 0)].number if pages else None,
                tuple(heading.title for heading in above),
            )
        )
    return found
