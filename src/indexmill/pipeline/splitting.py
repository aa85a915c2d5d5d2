"""Where a text is cut into chunks of so many tokens: at headings, else paragraphs, else sentences, else words.

`semantic-text-splitter` finds small pieces by their characters; these are counted once and packed into chunks. When
it counts tokens itself, every guess that it makes is a call, and it takes a multiple of the time.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from itertools import accumulate, pairwise
from typing import Final, TypeAlias

from semantic_text_splitter import MarkdownSplitter, TextSplitter

from indexmill.readers.extracted_text import Heading

__all__ = ["CHARS_A_TOKEN", "CountTokens", "Span", "split", "without_surrogates"]

#: Start and end of a chunk, in characters of the text.
Span: TypeAlias = tuple[int, int]
#: Tokens of each text, as the embedding model counts them.
CountTokens: TypeAlias = Callable[[list[str]], list[int]]

#: Packed at a time: memory stays in proportion to this, not to the text.
_SECTION_CHARS: Final = 1_000_000
#: Given to the splitter at a time: where it finds no place to cut, its time is the square of this.
_BLOCK_CHARS: Final = 4_000
#: Where to cut sections and blocks off: the first of these that is found in the last quarter.
_CUTS: Final = ("\n\n", "\n", " ")
_PIECE_CHARS: Final = (16, 400)
#: Longer texts, a token, are not counted as a whole, to see whether they fit.
CHARS_A_TOKEN: Final = 16
_SENTENCE_ENDS: Final = ".!?\u2026\u3002\uff01\uff1f"


class _Break(IntEnum):
    """What stands between two pieces; the higher, the better to cut there."""

    WORD = 0
    SENTENCE = 1
    LINE = 2
    PARAGRAPH = 3
    HEADING = 4


#: How full a chunk must be to be cut at such a place, if there is no better one.
_FILLED: Final = {_Break.HEADING: 0.25, _Break.PARAGRAPH: 0.5, _Break.LINE: 0.6, _Break.SENTENCE: 0.7, _Break.WORD: 0.0}


def split(
    text: str,
    size: int,
    overlap: int,
    count_tokens: CountTokens,
    *,
    headings: Sequence[Heading] = (),
    is_markdown: bool = False,
    check: Callable[[], None] = lambda: None,
) -> list[Span]:
    """The chunks in order: none is blank, every character that is no white space is in one.

    A text that fits is one chunk. Neighbours share up to `overlap` tokens, but not across a heading. Only what cannot
    be cut, a character of more tokens, is over the size.

    Args:
        size: tokens of a chunk, at most.
        headings: in order of `start`.
        is_markdown: the text is Markdown, whose blocks are then kept together where they fit.
        check: called at least once a megabyte of text; may raise to stop.
    """
    if size < 1 or not 0 <= overlap < size:
        raise ValueError(f"expected 0 <= overlap < size, got an overlap of {overlap} and a size of {size}")
    text = without_surrogates(text)
    if len(text) <= size * CHARS_A_TOKEN and count_tokens([text])[0] <= size:
        return _stripped(text, 0, len(text))
    starts = [each.start for each in headings]
    splitting = _Splitting(text, size, overlap, count_tokens, is_markdown=is_markdown)
    spans: list[Span] = []
    for start, end in _stretches(text, 0, len(text), _SECTION_CHARS):
        check()
        spans += splitting.section(start, end, starts[bisect_left(starts, start) : bisect_left(starts, end)])
    return spans


@dataclass(frozen=True)
class _Pieces:
    """Pieces of a section: where each begins and ends, what is before it, tokens up to its begin (about)."""

    starts: list[int]
    ends: list[int]
    breaks: list[_Break]
    tokens_before: list[int]

    def __len__(self) -> int:
        return len(self.starts)

    def tokens(self, first: int, end: int) -> int:
        """About how many the pieces from `first` up to `end`, without it, have together."""
        return self.tokens_before[end] - self.tokens_before[first]


class _Splitting:
    """One text on its way into chunks."""

    def __init__(self, text: str, size: int, overlap: int, count_tokens: CountTokens, *, is_markdown: bool) -> None:
        self._text = text
        self._size = size
        self._overlap = overlap
        self._count = count_tokens
        smallest, largest = _PIECE_CHARS
        # A chunk is several pieces, and so is the overlap; in scripts new to the model a character is a few tokens.
        capacity = max(smallest, min(largest, size // 4, 3 * overlap or largest))
        kind = MarkdownSplitter if is_markdown else TextSplitter
        self._splitter = kind(capacity)

    def section(self, start: int, end: int, heading_starts: list[int]) -> list[Span]:
        """The chunks of this stretch of the text."""
        pieces = self._pieces(start, end, heading_starts)
        spans: list[Span] = []
        # The chunk begins with piece `first`; the pieces before `fresh` are in the chunk before it too.
        first = fresh = 0
        while fresh < len(pieces):
            end_piece = self._longest(pieces, first, fresh)
            if end_piece == fresh and first < fresh:
                # The overlap leaves no room.
                first = fresh
                continue
            if end_piece == fresh:
                spans += self._cut_piece(pieces.starts[first], pieces.ends[first])
                first = fresh = first + 1
                continue
            cut = _best_cut(pieces, first, fresh, end_piece, self._size)
            spans += _stripped(self._text, pieces.starts[first], pieces.ends[cut - 1])
            first, fresh = self._overlap_start(pieces, first, cut), cut
        return spans

    def _pieces(self, start: int, end: int, heading_starts: list[int]) -> _Pieces:
        text = self._text
        starts: list[int] = []
        ends: list[int] = []
        texts: list[str] = []
        borders = [start, *(each for each in heading_starts if each > start), end]
        for first, last in pairwise(borders):
            for at, block_end in _stretches(text, first, last, _BLOCK_CHARS):
                for offset, piece in self._splitter.chunk_indices(text[at:block_end]):
                    starts.append(at + offset)
                    ends.append(at + offset + len(piece))
                    texts.append(piece)
        gaps = [text[one:other] for one, other in zip(ends, starts[1:], strict=False)]
        headings = set(heading_starts)
        breaks = [_Break.HEADING]
        for gap, before, at in zip(gaps, texts, starts[1:], strict=False):
            breaks.append(_Break.HEADING if at in headings else _break(gap, before))
        # A line break is a token, a space is part of one.
        tokens = [
            count + 2 * ("\n" in gap) for count, gap in zip(self._count(texts), gaps + [""] * bool(texts), strict=True)
        ]
        return _Pieces(starts, ends, breaks, list(accumulate(tokens, initial=0)))

    def _longest(self, pieces: _Pieces, first: int, fresh: int) -> int:
        """The piece after the last one that still fits into a chunk from `first` on; `fresh`: not even that fits."""
        end = bisect_left(pieces.tokens_before, pieces.tokens_before[first] + self._size + 1) - 1
        end = max(fresh + 1, min(end, len(pieces)))
        tokens = self._tokens(pieces, first, end)
        while tokens > self._size and end > fresh:
            end -= 1
            tokens = self._tokens(pieces, first, end) if end > fresh else 0
        # The pieces one by one have a few tokens more than together.
        while fresh < end < len(pieces) and tokens + pieces.tokens(end, end + 1) <= self._size:
            more = self._tokens(pieces, first, end + 1)
            if more > self._size:
                break
            end, tokens = end + 1, more
        return end

    def _tokens(self, pieces: _Pieces, first: int, end: int) -> int:
        return self._tokens_between(pieces.starts[first], pieces.ends[end - 1])

    def _tokens_between(self, start: int, end: int) -> int:
        return self._count([self._text[start:end]])[0]

    def _cut_piece(self, start: int, end: int) -> Iterator[Span]:
        """A piece of a few characters that have more tokens than a chunk may have: cut wherever it gets too long."""
        while start < end:
            # Not by the splitter: it takes for granted that a character is one token at most.
            fitting = bisect_right(range(start + 1, end + 1), self._size, key=partial(self._tokens_between, start))
            cut = start + max(1, fitting)
            yield from _stripped(self._text, start, cut)
            start = cut

    def _overlap_start(self, pieces: _Pieces, first: int, cut: int) -> int:
        """The piece before `cut` with which the next chunk begins; `cut` itself: they share nothing."""
        if not self._overlap or cut == len(pieces) or pieces.breaks[cut] is _Break.HEADING:
            return cut
        earliest = bisect_left(pieces.tokens_before, pieces.tokens_before[cut] - self._overlap)
        candidates = range(max(earliest, first + 1), cut)
        for start in sorted(candidates, key=lambda each: (-pieces.breaks[each], each)):
            if self._tokens(pieces, start, cut) <= self._overlap:
                return start
        return cut


def _best_cut(pieces: _Pieces, first: int, fresh: int, end: int, size: int) -> int:
    """Before which piece to cut, so that the chunk ends where the text does too: the last one of the best kind."""
    if end == len(pieces):
        return end
    best, best_break = end, pieces.breaks[end]
    for cut in range(end - 1, fresh, -1):
        kind = pieces.breaks[cut]
        if kind > best_break and pieces.tokens(first, cut) >= _FILLED[kind] * size:
            best, best_break = cut, kind
    return best


def _break(gap: str, before: str) -> _Break:
    if "\n" in gap:
        return _Break.PARAGRAPH if gap.count("\n") > 1 else _Break.LINE
    return _Break.SENTENCE if before[-1] in _SENTENCE_ENDS else _Break.WORD


def _stretches(text: str, start: int, end: int, longest: int) -> Iterator[Span]:
    """The stretch from `start` to `end` in order, each part at most `longest`."""
    while end - start > longest:
        latest = start + longest
        earliest = latest - longest // 4
        found = ((text.rfind(each, earliest, latest), len(each)) for each in _CUTS)
        cut = next((at + length for at, length in found if at >= 0), latest)
        yield start, cut
        start = cut
    yield start, end


def _stripped(text: str, start: int, end: int) -> list[Span]:
    """The stretch without white space at its ends; nothing where it is blank."""
    chunk = text[start:end]
    words = chunk.strip()
    if not words:
        return []
    first = start + len(chunk) - len(chunk.lstrip())
    return [(first, first + len(words))]


def without_surrogates(text: str) -> str:
    """Splitter and models take UTF-8, which has no lone surrogates; what stands in for them is as long."""
    if _is_unicode(text):
        return text
    return "".join("\ufffd" if "\ud800" <= each <= "\udfff" else each for each in text)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
