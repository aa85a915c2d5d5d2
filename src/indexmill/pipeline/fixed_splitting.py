"""Cuts a text into chunks of a fixed number of tokens, between words, whatever its structure."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from itertools import accumulate
from typing import Final

from indexmill.pipeline.splitting import CHARS_A_TOKEN, CountTokens, Span, without_surrogates

__all__ = ["split_fixed"]

#: Kana and Han: no spaces stand between words, so every character counts as one.
_UNSPACED: Final = "\u3001-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
_WORD: Final = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
#: Looked at together: memory stays in proportion to this, not to the text.
_PORTION_CHARS: Final = 500_000


def split_fixed(
    text: str, size: int, count_tokens: CountTokens, *, check: Callable[[], None] = lambda: None
) -> list[Span]:
    """The chunks in order: none is blank, every character that is no white space is in one.

    The word after a chunk would not fit into it. Only a word that is too long by itself is cut, and only a character
    of more tokens is over the size.

    Args:
        check: called at least once a megabyte of text; may raise to stop.
    """
    if size < 1:
        raise ValueError(f"expected a size of 1 token or more, got {size}")
    text = without_surrogates(text)
    spans: list[Span] = []
    start, portion = 0, _PORTION_CHARS
    while start < len(text):
        check()
        end = min(len(text), start + portion)
        found = _Words(text, start, end, count_tokens, size).chunks()
        is_last = end == len(text)
        # The last chunk may go on behind the portion: it is begun again, in a larger one where it is all there was.
        rest = None if is_last or not found else found.pop()
        spans += found
        portion = _PORTION_CHARS if found or rest is None else 2 * portion
        start = end if rest is None else rest[0]
    return spans


class _Words:
    """The words of a portion of the text, on their way into chunks."""

    def __init__(self, text: str, start: int, end: int, count_tokens: CountTokens, size: int) -> None:
        self._text = text
        self._count = count_tokens
        self._size = size
        words = list(_WORD.finditer(text, start, end))
        self._starts = [each.start() for each in words]
        self._ends = [each.end() for each in words]
        #: About how many tokens stand before each word.
        self._before = list(accumulate(count_tokens([each[0] for each in words]), initial=0)) if words else [0]

    def chunks(self) -> list[Span]:
        spans: list[Span] = []
        # The chunk begins at the character `begin`, in the word `first`.
        first, begin = 0, self._starts[0] if self._starts else 0
        while first < len(self._starts):
            end = self._fitting_words(first, begin)
            if end > first:
                spans.append((begin, self._ends[end - 1]))
                first = end
            else:
                cut = self._fitting_chars(begin, self._ends[first])
                spans.append((begin, cut))
                first += cut == self._ends[first]
                if first < len(self._starts) and cut > self._starts[first]:
                    begin = cut
                    continue
            begin = self._starts[first] if first < len(self._starts) else 0
        return spans

    def _fitting_words(self, first: int, begin: int) -> int:
        """The word before which a chunk that begins at `begin` must end; `first`: not even that word fits."""
        is_long = self._ends[first] - begin > self._size * CHARS_A_TOKEN
        if is_long and self._fitting_chars(begin, self._ends[first]) < self._ends[first]:
            return first
        fitting, tokens = first, 0
        while fitting < len(self._starts):
            # As many as the rest has room for, by what they have one by one.
            guess = bisect_right(self._before, self._before[fitting] + self._size - tokens) - 1
            guess = max(fitting + 1, min(guess, len(self._starts)))
            more = self._tokens(begin, self._ends[guess - 1])
            while more > self._size and guess > fitting + 1:
                guess = (fitting + 1 + guess) // 2
                more = self._tokens(begin, self._ends[guess - 1])
            if more > self._size:
                break
            fitting, tokens = guess, more
        return fitting

    def _fitting_chars(self, begin: int, end: int) -> int:
        """Where a piece of a word that begins at `begin` must end; at least a character is in it."""
        length = self._size
        # Not the whole word at once: it may be as long as the text.
        while begin + length < end and self._tokens(begin, begin + length) <= self._size:
            length *= 2
        end = min(end, begin + length)
        fitting = bisect_right(range(begin + 1, end + 1), self._size, key=partial(self._tokens, begin))
        return begin + max(1, fitting)

    def _tokens(self, begin: int, end: int) -> int:
        return self._count([self._text[begin:end]])[0]
