"""Web pages with `trafilatura`, in the extraction process only: main text as Markdown, links, words to crawlers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import lxml.html
import trafilatura

from indexmill.readers.deep_html import deep_html_text, nesting
from indexmill.readers.file_type import FileType
from indexmill.readers.html_encoding import html_text
from indexmill.readers.markdown_headings import markdown_headings
from indexmill.readers.text_file import storable, too_large
from indexmill.readers.web_page import WebPage

__all__ = ["read_web_page"]

#: Of `<a>` and the like; a page of nothing but links is a trap.
_MAX_LINKS: Final = 10_000
_MAX_HREF: Final = 8192
_MAX_LINK_CHARACTERS: Final = 1_000_000
_MAX_TITLE: Final = 500
_MAX_DIRECTIVES: Final = 50
#: Copying a deeper tree takes the stack of the process.
_MAX_DEPTH: Final = 200
_LINKS: Final = {"a": "href", "area": "href", "iframe": "src", "frame": "src"}
_MEDIA: Final = {"img": "src", "embed": "src", "object": "data", "source": "src", "video": "src", "audio": "src"}
_REFRESH: Final = re.compile(r"\s*[\d.]*\s*[;,]\s*url\s*=\s*['\"]?([^'\"]+)", re.IGNORECASE)
_SPACES: Final = re.compile(r"\s+")
_SELECTOR: Final = re.compile(r"([^.#]*)(?:\.(.+)|#(.+))?")


def read_web_page(page: bytes, charset: str | None, exclude: Sequence[str], max_text_bytes: int) -> WebPage:
    """
    Raises:
        ItemError: it has too much text.
    """
    written = storable(html_text(page, charset))
    tree = _tree(written)
    if tree is None:
        return WebPage("")
    found = _Words(tree)
    if nesting(page) > _MAX_DEPTH:
        text = _all_text(written)
    else:
        _remove(tree, exclude)
        text = _text(tree)
    if len(text.encode("utf-8", "replace")) > max_text_bytes:
        raise too_large(FileType.HTML, max_text_bytes)
    text = storable(text)
    return WebPage(
        text,
        tuple(heading._replace(title=heading.title[:_MAX_TITLE]) for heading in markdown_headings(text)),
        found.title,
        found.base,
        found.canonical,
        tuple(_limited(found.links)),
        tuple(_limited(found.media)),
        tuple(found.robots[:_MAX_DIRECTIVES]),
    )


def _tree(written: str) -> Any:
    # `huge_tree`: without it what is deep or long is dropped in silence.
    parser = lxml.html.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)
    try:
        return lxml.html.document_fromstring(written.encode("utf-8", "replace"), parser=parser)
    except lxml.etree.ParserError:
        # Nothing in it.
        return None
    except lxml.etree.XMLSyntaxError as error:
        if error.code == lxml.etree.ErrorTypes.ERR_NO_MEMORY:
            raise MemoryError from error
        raise


class _Words:
    """What the page says to crawlers, and where it leads to; read before anything is removed from it."""

    def __init__(self, tree: Any) -> None:
        self.title: str | None = None
        self.base: str | None = None
        self.canonical: str | None = None
        self.links: list[str] = []
        self.media: list[str] = []
        self.robots: list[tuple[str, str]] = []
        for element in tree.iter("title", "h1", "base", "link", "meta", *_LINKS, *_MEDIA):
            self._read(element, element.tag)

    def _read(self, element: Any, tag: str) -> None:
        if tag in _LINKS:
            if "nofollow" not in _tokens(element.get("rel")):
                self._add(self.links, element.get(_LINKS[tag]))
        elif tag in _MEDIA:
            self._add(self.media, element.get(_MEDIA[tag]))
        elif tag == "title":
            # Pictures (SVG) have titles too, but further down.
            self.title = self.title or _title(element)
        elif tag == "h1":
            self.title = self.title or _title(element)
        elif tag == "base":
            self.base = self.base or (element.get("href") or "").strip()[:_MAX_HREF] or None
        elif tag == "link":
            self._read_link(element)
        else:
            self._read_meta(element)

    def _read_link(self, element: Any) -> None:
        if "canonical" in _tokens(element.get("rel")):
            self.canonical = self.canonical or (element.get("href") or "").strip()[:_MAX_HREF] or None

    def _read_meta(self, element: Any) -> None:
        content = element.get("content") or ""
        name = (element.get("name") or "").strip().lower()
        if (element.get("http-equiv") or "").strip().lower() == "refresh":
            target = _REFRESH.match(content)
            self._add(self.links, target[1] if target else None)
        # Crawlers are addressed as `robots` or by their own names; descriptions are longer.
        elif name and len(name) <= 50 and len(content) <= 500:
            self.robots.append((name, content))

    def _add(self, links: list[str], href: str | None) -> None:
        written = (href or "").strip()
        if written and not written.startswith("#") and len(written) <= _MAX_HREF:
            links.append(written)


def _tokens(value: str | None) -> list[str]:
    return (value or "").lower().split()


def _title(element: Any) -> str | None:
    return _SPACES.sub(" ", str(element.text_content())).strip()[:_MAX_TITLE] or None


def _limited(links: list[str]) -> Iterator[str]:
    """Each once, and not more than an answer may hold."""
    room = _MAX_LINK_CHARACTERS
    for link in list(dict.fromkeys(links))[:_MAX_LINKS]:
        room -= len(link)
        if room < 0:
            return
        yield link


def _remove(tree: Any, exclude: Sequence[str]) -> None:
    """Remove what is excluded, and never the page itself."""
    tags: set[str] = set()
    others: list[tuple[str, str | None, str | None]] = []
    for selector in exclude:
        tag, css_class, identity = _SELECTOR.fullmatch(selector).groups()  # type: ignore[union-attr]  # takes anything
        if css_class is None and identity is None:
            tags.add(tag)
        else:
            others.append((tag, css_class, identity))
    kept = {"html", "body"}
    for element in list(tree.iter("*")):
        tag = element.tag
        if tag in kept or element.getparent() is None:
            continue
        if tag in tags or any(_is_selected(element, tag, *other) for other in others):
            element.drop_tree()


def _is_selected(element: Any, tag: str, wanted: str, css_class: str | None, identity: str | None) -> bool:
    if wanted and wanted != tag:
        return False
    if css_class is not None:
        return css_class in (element.get("class") or "").split()
    return bool(element.get("id") == identity)


def _text(tree: Any) -> str:
    main = _main_text(tree)
    if main and markdown_headings(main):
        return main
    # Of short and of plain pages trafilatura keeps the words, but loses the headings.
    everything = _all_text(lxml.html.tostring(tree, encoding="unicode"))
    return everything if not main or markdown_headings(everything) else main


def _main_text(tree: Any) -> str:
    try:
        text = trafilatura.extract(
            tree, output_format="markdown", include_comments=False, include_tables=True, deduplicate=False
        )
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - its heuristics meet pages nobody thought of; all of the text is there still
        return ""
    return (text or "").strip()


def _all_text(page: str) -> str:
    """The whole visible text, its headings marked."""
    text, headings = deep_html_text(page)
    pieces: list[str] = []
    end = len(text)
    for heading in reversed(headings):
        pieces.append(f"{'#' * heading.level} {text[heading.start : end]}")
        end = heading.start
    pieces.append(text[:end])
    return "".join(reversed(pieces)).strip()
