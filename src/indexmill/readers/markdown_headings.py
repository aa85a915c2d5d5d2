"""The headings of a Markdown text: `#` lines and underlined ones, not those in code blocks or front matter."""

from __future__ import annotations

import re
from typing import Final

from indexmill.readers.extracted_text import Heading

__all__ = ["markdown_headings"]

_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_HASHES: Final = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE: Final = re.compile(r" {0,3}(=+|-+)[ \t]*$")
#: What looks like an underlined title but begins a block of another kind.
_OTHER_BLOCK: Final = re.compile(r" {4}|\t| {0,3}(?:[-*+>|]|\d+[.)])")


def markdown_headings(text: str) -> tuple[Heading, ...]:
    """In order; `start` is where the title begins."""
    headings: list[Heading] = []
    fence: str | None = None
    previous, previous_start = "", 0
    start = _front_matter_end(text)
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        # No heading is as long as this; a text of one line is not copied.
        line = text[start : min(end, start + 2000)]
        mark = _FENCE.match(line)
        if fence is not None:
            fence = None if mark and mark[1].startswith(fence) and not line.strip().strip(fence[0]) else fence
            line = ""
        elif mark:
            fence, line = mark[1], ""
        else:
            found = _heading(line, start, previous, previous_start)
            if found is not None:
                headings.append(found)
                line = ""
        previous, previous_start = line, start
        start = end + 1
    return tuple(headings)


def _heading(line: str, start: int, previous: str, previous_start: int) -> Heading | None:
    hashes = _HASHES.match(line)
    if hashes is not None:
        title = (hashes[2] or "").strip()
        return Heading(start + hashes.start(2), len(hashes[1]), title) if title else None
    title = previous.strip()
    underline = _UNDERLINE.match(line) if title and not _OTHER_BLOCK.match(previous) else None
    if underline is None:
        return None
    return Heading(previous_start + previous.index(title), 1 if underline[1][0] == "=" else 2, title)


def _front_matter_end(text: str) -> int:
    if not text.startswith("---\n"):
        return 0
    end = text.find("\n---\n", 3)
    return 0 if end < 0 else end + len("\n---\n")
