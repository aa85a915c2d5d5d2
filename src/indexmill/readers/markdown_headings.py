"""The headings of a Markdown text: `#` lines and underlined ones, not those in code blocks or front matter."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from indexmill.readers.extracted_text import MAX_PLACES, Heading

__all__ = ["markdown_headings"]

#: Lines that may be or end a heading or a code block. All others cost next to nothing.
_MARK: Final = re.compile(r"^ {0,3}(?:#{1,6}(?=[ \t])|`{3}|~{3}|(?:=+|-+)[ \t]*$)", re.MULTILINE)
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_HASHES: Final = re.compile(r" {0,3}(#{1,6})[ \t]")
_UNDERLINE: Final = re.compile(r" {0,3}(=+|-+)[ \t]*$")
#: What looks like an underlined title but begins a block of another kind.
_OTHER_BLOCK: Final = re.compile(r" {4}|\t| {0,3}(?:[-*+>|]|\d+[.)])")
#: No heading is as long as this; a text of one line is not copied.
_MAX_LINE: Final = 2000
#: A text of more such lines is no document; what stands behind them is read, but has no headings.
_MAX_MARKS: Final = 10 * MAX_PLACES
_MARKS_A_CHECK: Final = 10_000


def markdown_headings(text: str, check: Callable[[], None] = lambda: None) -> tuple[Heading, ...]:
    """In order, at most `MAX_PLACES`; `start` is where the title's line begins. `check` may raise to stop."""
    headings: list[Heading] = []
    fence: str | None = None
    # Lines before it are part of something else, and no title of what is underlined next.
    free_from = _front_matter_end(text)
    for number, found in enumerate(_MARK.finditer(text, free_from)):
        if number % _MARKS_A_CHECK == 0:
            check()
        if len(headings) == MAX_PLACES or number == _MAX_MARKS:
            break
        start = found.start()
        line = _line(text, start)
        mark = _FENCE.match(line)
        if fence is not None:
            closes = mark is not None and mark[1].startswith(fence) and not line.strip().strip(fence[0])
            fence = None if closes else fence
        elif mark:
            fence = mark[1]
        else:
            heading = _heading(text, start, line, free_from)
            if heading is None:
                continue
            headings.append(heading)
        free_from = found.end() + len(_line(text, found.end())) + 1
    return tuple(headings)


def _line(text: str, start: int) -> str:
    end = text.find("\n", start)
    return text[start : min(len(text) if end < 0 else end, start + _MAX_LINE)]


def _heading(text: str, start: int, line: str, free_from: int) -> Heading | None:
    hashes = _HASHES.match(line)
    if hashes is not None:
        title = _without_closing_hashes(line[hashes.end() :].strip())
        return Heading(start, len(hashes[1]), title) if title else None
    previous_start = text.rfind("\n", 0, start - 1) + 1 if start else 0
    if previous_start < free_from or start == 0:
        return None
    previous = _line(text, previous_start)
    title = previous.strip()
    underline = _UNDERLINE.match(line) if title and not _OTHER_BLOCK.match(previous) else None
    if underline is None:
        return None
    return Heading(previous_start, 1 if underline[1][0] == "=" else 2, title)


def _without_closing_hashes(title: str) -> str:
    bare = title.rstrip("#")
    return bare.rstrip() if not bare or bare[-1] in " \t" else title


def _front_matter_end(text: str) -> int:
    if not text.startswith("---\n"):
        return 0
    end = text.find("\n---\n", 3)
    return 0 if end < 0 else end + len("\n---\n")
