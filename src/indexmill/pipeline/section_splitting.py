"""Cuts a text into its sections: small ones are joined with what they belong to, large ones are split by structure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from typing import Final

from indexmill.pipeline.splitting import CHARS_A_TOKEN, CountTokens, Span, split, without_surrogates
from indexmill.readers.extracted_text import Heading

__all__ = ["split_sections"]

#: A section of less than this share of a chunk is small.
_SMALL: Final = 0.25
#: Characters that are counted at a time, and between two checks.
_PORTION_CHARS: Final = 1_000_000
#: Of text before the first heading: it stands above everything.
_NO_LEVEL: Final = 0


@dataclass(frozen=True, slots=True)
class _Section:
    """`tokens`: about as many, never fewer; of one that is far too large, merely more than fit."""

    start: int
    end: int
    level: int
    tokens: int


def split_sections(
    text: str,
    size: int,
    count_tokens: CountTokens,
    *,
    headings: Sequence[Heading] = (),
    is_markdown: bool = False,
    check: Callable[[], None] = lambda: None,
) -> list[Span]:
    """The chunks in order: none is blank, every character that is no white space is in one.

    As `split`, whose arguments these are; neighbours share nothing.
    """
    text = without_surrogates(text)
    starts = [each.start for each in headings]
    spans: list[Span] = []
    checked = 0
    for start, end in _joined(_sections(text, size, count_tokens, headings, check), size):
        if end - checked >= _PORTION_CHARS:
            check()
            checked = end
        inner = headings[bisect_left(starts, start) : bisect_left(starts, end)]
        moved = [each._replace(start=each.start - start) for each in inner]
        found = split(text[start:end], size, 0, count_tokens, headings=moved, is_markdown=is_markdown, check=check)
        spans += [(start + one, start + other) for one, other in found]
    return spans


def _sections(
    text: str, size: int, count_tokens: CountTokens, headings: Sequence[Heading], check: Callable[[], None]
) -> list[_Section]:
    """Those that are not blank."""
    borders = [(0, _NO_LEVEL), *((each.start, each.level) for each in headings), (len(text), _NO_LEVEL)]
    sections: list[_Section] = []
    portion: list[tuple[int, int, int]] = []
    chars = 0
    for (start, level), (end, _) in pairwise(borders):
        if text[start:end].strip():
            portion.append((start, end, level))
            chars += end - start
        if chars >= _PORTION_CHARS:
            check()
            sections += _counted(text, size, count_tokens, portion)
            portion, chars = [], 0
    return sections + _counted(text, size, count_tokens, portion)


def _counted(text: str, size: int, count_tokens: CountTokens, portion: list[tuple[int, int, int]]) -> list[_Section]:
    longest = size * CHARS_A_TOKEN
    counts = iter(count_tokens([text[start:end] for start, end, _ in portion if end - start <= longest]))
    return [
        # A line break between sections may be a token.
        _Section(start, end, level, next(counts) + 2 if end - start <= longest else size + 1)
        for start, end, level in portion
    ]


def _joined(sections: Sequence[_Section], size: int) -> Iterator[Span]:
    """Where chunks, or what is cut into chunks, begin and end."""
    if not sections:
        return
    small = _SMALL * size
    group = sections[0]
    for section, after in zip_longest(sections[1:], sections[2:]):
        tokens = group.tokens + section.tokens
        is_beneath = group.tokens < small and section.level > group.level
        leads = after is not None and after.level > section.level
        joins_back = section.tokens < small and not leads
        if is_beneath or (tokens <= size and (group.tokens < small or joins_back)):
            group = _Section(group.start, section.end, min(group.level, section.level), tokens)
        else:
            yield group.start, group.end
            group = section
    yield group.start, group.end
