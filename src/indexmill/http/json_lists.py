"""Finds the lists of a large JSON object and parses them a piece at a time: memory and pauses stay small.

One parser call over the whole body would make an object of every value and let no other thread run meanwhile. The
brackets and commas outside strings are therefore found by numpy, chunk by chunk; the pieces between them go to the
real parser, and so does what is left of the object. Every byte is parsed: the split accepts nothing that is not JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydantic_core import from_json

__all__ = ["FoundList", "Piece", "SplitObject", "TooLarge", "parse_piece", "split_object"]

_CHUNK_BYTES: Final = 1024 * 1024
_PIECE_BYTES: Final = 64 * 1024
#: Brackets and commas in one element; as many values would take some 60 MB and 50 ms.
_MAX_MARKS: Final = 1_000_000
#: Lists and objects that an object may have besides its elements.
_OTHERS: Final = 1000
_BLANK: Final = re.compile(rb"[ \t\n\r]*")

Positions = npt.NDArray[np.int64]


class TooLarge(Exception):
    """More elements, or more brackets and commas in one element, than are accepted."""


@dataclass(frozen=True)
class Piece:
    """Some neighbouring elements: bytes [begin, end) hold `count` of them, the first is number `first`."""

    first: int
    count: int
    begin: int
    end: int


@dataclass(frozen=True)
class FoundList:
    """A list: its content is [begin, end), its elements are `count`, separated at `commas`."""

    begin: int
    end: int
    commas: Positions
    count: int

    def pieces(self) -> Iterator[Piece]:
        """All elements in pieces of up to 64 KiB, or of one element where that is larger."""
        first, begin = 0, self.begin
        while first < self.count:
            limit = begin + _PIECE_BYTES
            last = self.count if self.end <= limit else max(first + 1, int(np.searchsorted(self.commas, limit)))
            end = int(self.commas[last - 1]) if last < self.count else self.end
            yield Piece(first, last - first, begin, end)
            first, begin = last, end + 1


@dataclass(frozen=True)
class SplitObject:
    """`rest` is the object's JSON in which the content of list number k is the number k.

    `marks`: brackets and commas outside strings: there are no more values than that, and one.
    """

    rest: bytes
    lists: list[FoundList]
    marks: int


def parse_piece(body: bytearray, piece: Piece) -> list[Any]:
    """The piece's elements, as deep in lists as they are in the body.

    Raises:
        ValueError: it is not JSON.
    """
    with memoryview(body) as view:
        text = b"".join((b"[[", view[piece.begin : piece.end], b"]]"))
    found = from_json(text, allow_inf_nan=False)
    elements = found[0] if len(found) == 1 else []
    if len(elements) != piece.count:
        raise ValueError(f"expected {piece.count} values between the commas, got {len(elements)}")
    return list(elements)


def split_object(body: bytearray, max_elements: int) -> SplitObject:
    """Split the object at the elements of its own lists.

    Raises:
        TooLarge: they have more than `max_elements` elements together, or one element has too many values.
        ValueError: it ends too early.
    """
    scan = _Scan(body)
    scan.run(max_elements + _OTHERS)
    opened, closed, commas = scan.found()
    if len(opened) != len(closed) or not scan.is_complete:
        raise ValueError("it ends inside a string, a list or an object")
    lists: list[FoundList] = []
    rest: list[bytes | bytearray] = []
    kept = 0
    for begin, end in zip((opened + 1).tolist(), closed.tolist(), strict=True):
        if body[begin - 1] != ord("["):
            continue
        inside = commas[np.searchsorted(commas, begin) : np.searchsorted(commas, end)]
        is_empty = len(inside) == 0 and _BLANK.fullmatch(body, begin, end) is not None
        found = FoundList(begin, end, inside, 0 if is_empty else len(inside) + 1)
        if found.count > max_elements:
            raise TooLarge(f"expected at most {max_elements} items in one request, got {found.count}")
        rest += [body[kept:begin], str(len(lists)).encode()]
        lists.append(found)
        kept = end
    return SplitObject(b"".join([*rest, body[kept:]]), lists, scan.marks)


class _Scan:
    """What stands where, outside strings, at the object's own level and one below. State is carried over chunks."""

    def __init__(self, body: bytearray) -> None:
        self._body = body
        self._in_string = False
        self._escaped = False
        self._depth = 0
        self._marks = 0
        self._last_mark = 0
        self._opened: list[Positions] = []
        self._closed: list[Positions] = []
        self._commas: list[Positions] = []

    @property
    def marks(self) -> int:
        return self._marks

    @property
    def is_complete(self) -> bool:
        return not self._in_string and self._depth == 0

    def found(self) -> tuple[Positions, Positions, Positions]:
        """Where a list or object of the object opens and closes, and where commas are in these."""
        none = np.empty(0, dtype=np.int64)
        return (
            np.concatenate([none, *self._opened]),
            np.concatenate([none, *self._closed]),
            np.concatenate([none, *self._commas]),
        )

    def run(self, limit: int) -> None:
        seen = 0
        for offset in range(0, len(self._body), _CHUNK_BYTES):
            count = min(_CHUNK_BYTES, len(self._body) - offset)
            seen += self._chunk(np.frombuffer(self._body, np.uint8, count, offset), offset)
            if seen > limit:
                raise TooLarge(f"expected at most {limit - _OTHERS} items in one request, got more")

    def _chunk(self, chunk: npt.NDArray[np.uint8], offset: int) -> int:
        """Note what the chunk has; how many elements begin in it."""
        folded = chunk | 0x20  # [ and { differ in this bit alone, as ] and } do
        places = np.flatnonzero((folded == ord("{")) | (folded == ord("}")) | (chunk == ord(",")))
        places = places[self._are_outside(chunk, places)]
        found = folded[places]
        opens, closes = found == ord("{"), found == ord("}")
        commas = ~(opens | closes)
        depths = self._depth + np.cumsum(opens.astype(np.int32) - closes.astype(np.int32))
        if len(depths):
            self._depth = int(depths[-1])
        opened, closed, separating = opens & (depths == 2), closes & (depths == 1), commas & (depths == 2)
        self._weigh(np.flatnonzero(opened | closed | separating), len(places))
        places = places.astype(np.int64) + offset
        self._opened.append(places[opened])
        self._closed.append(places[closed])
        self._commas.append(places[separating])
        return int(np.count_nonzero(opened)) + int(np.count_nonzero(separating))

    def _weigh(self, bounds: Positions, count: int) -> None:
        """Refuse an element with more brackets and commas than one may have: they are its values."""
        ends = np.append(bounds, count) + self._marks
        widest = int(np.max(np.diff(ends, prepend=self._last_mark)))
        self._marks += count
        if len(bounds):
            self._last_mark = int(ends[-2])
        if widest > _MAX_MARKS:
            raise TooLarge(f"expected at most {_MAX_MARKS} brackets and commas in one item, got more")

    def _are_outside(self, chunk: npt.NDArray[np.uint8], places: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
        """Which of these places of the chunk are outside strings: those behind an even number of quotes."""
        are_quotes = chunk == ord('"')
        self._drop_escaped(chunk, are_quotes)
        quotes = np.flatnonzero(are_quotes)
        before = np.searchsorted(quotes, places)
        begins = int(self._in_string)
        self._in_string ^= len(quotes) % 2 == 1
        return np.equal((before + begins) % 2, 0)

    def _drop_escaped(self, chunk: npt.NDArray[np.uint8], quotes: npt.NDArray[np.bool_]) -> None:
        """A quote after an odd number of backslashes ends nothing."""
        slashes = np.flatnonzero(chunk == ord("\\"))
        if self._escaped:
            quotes[0] = False
        if not len(slashes):
            self._escaped = False
            return
        begins = np.diff(slashes, prepend=-2) != 1
        run = np.maximum.accumulate(np.where(begins, slashes, 0))
        # In a run every other one escapes its neighbour; the run that an escape reaches into begins one later.
        behind = slashes - run + ((run == 0) & self._escaped)
        escaped = slashes[behind % 2 == 0] + 1
        self._escaped = bool(len(escaped)) and int(escaped[-1]) == len(chunk)
        quotes[escaped[escaped < len(chunk)]] = False
