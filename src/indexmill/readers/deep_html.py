"""HTML that is nested deeper than kreuzberg follows, which it would drop in silence: read without recursion instead."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

from indexmill.readers.extracted_text import Heading

__all__ = ["MAX_NESTING", "deep_html_text", "nesting"]

#: kreuzberg drops what is deeper than 64 elements; a page begins two deep.
MAX_NESTING: Final = 50

#: Elements that must be closed: of others an opening tag says nothing about depth.
_CONTAINERS: Final = re.compile(
    rb"<(/?)(?:a|abbr|article|aside|b|blockquote|center|code|dd|div|dl|em|figure|font|footer|form|header|i|label|li|main|"
    rb"nav|ol|section|small|span|strong|sub|sup|table|tbody|td|th|thead|tr|u|ul)\b",
    re.IGNORECASE,
)
_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
_HIDDEN: Final = frozenset({"script", "style", "template", "noscript", "head", "svg"})
_INLINE: Final = frozenset(
    {"a", "abbr", "b", "cite", "code", "em", "font", "i", "kbd", "label", "mark", "q", "s", "small", "span", "strong"}
    | {"sub", "sup", "time", "u", "var", "wbr"}
)
_SPACES: Final = re.compile(r"[ \t\r\n\f]+")


def nesting(page: bytes) -> int:
    """About how deep the elements of the page are nested."""
    depth = deepest = 0
    for tag in _CONTAINERS.finditer(page):
        depth = depth + 1 if not tag[1] else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest


def deep_html_text(page: str) -> tuple[str, tuple[Heading, ...]]:
    """The visible text, a line a block, and its headings."""
    parser = _Parser()
    parser.feed(page)
    parser.close()
    parser.end_block()
    return "\n\n".join(parser.blocks), tuple(parser.headings)


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[str] = []
        self.headings: list[Heading] = []
        self._size = 0
        self._words: list[str] = []
        self._level = 0
        self._hidden: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._hidden is None and tag in _HIDDEN:
            self._hidden = tag
        if tag == "body":
            # Where `</head>` was left out.
            self._hidden = None
        if tag not in _INLINE:
            self.end_block()
            self._level = _HEADINGS.get(tag, 0)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden:
            self._hidden = None
        if tag not in _INLINE:
            self.end_block()

    def handle_data(self, data: str) -> None:
        if self._hidden is None:
            self._words.append(data)

    def end_block(self) -> None:
        block = _SPACES.sub(" ", "".join(self._words)).strip()
        self._words = []
        if block:
            start = self._size + 2 * bool(self.blocks)
            if self._level:
                self.headings.append(Heading(start, self._level, block[:500]))
            self.blocks.append(block)
            self._size = start + len(block)
        self._level = 0
