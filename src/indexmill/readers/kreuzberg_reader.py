"""Extraction with `kreuzberg`, in the extraction process only: no OCR, no models, no cache, no network."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import kreuzberg

from indexmill.domain.failure import FailureCode, Stage
from indexmill.errors import ItemError
from indexmill.readers.deep_html import MAX_NESTING, deep_html_text, nesting
from indexmill.readers.extracted_text import ExtractedText, Heading, Page
from indexmill.readers.file_type import FileType
from indexmill.readers.html_encoding import html_text
from indexmill.readers.text_file import storable, too_large

__all__ = ["KreuzbergReader"]

#: Kinds for which kreuzberg marks where a page or slide begins.
_PAGED: Final = frozenset({FileType.PDF, FileType.PPTX})
_MAX_TITLE: Final = 500
_MAX_HEADINGS: Final = 10_000
_MAX_MISSES: Final = 20


class KreuzbergReader:
    """Made once a process: what is wrong with the installation shows at the start."""

    def __init__(self, max_text_bytes: int) -> None:
        self._max_text_bytes = max_text_bytes
        # Unguessable, so that no document holds it.
        self._mark = f"[[page {secrets.token_hex(16)} "
        self._structured = self._configuration(structure=True)
        # The structure of a large table takes a hundred times the memory of its text.
        self._flat = self._configuration(structure=False)

    def extract(self, path: Path, file_type: FileType) -> ExtractedText:
        """The text, its pages and headings.

        Raises:
            ItemError: encrypted, damaged, without text, or with too much of it.
        """
        try:
            found = self._extract(path, file_type)
        except kreuzberg.KreuzbergError as error:
            raise _refusal_of(error, file_type) from error
        if not found.text.strip():
            raise _no_content(file_type)
        return found

    def _extract(self, path: Path, file_type: FileType) -> ExtractedText:
        if file_type is FileType.HTML:
            return self._html(html_text(path.read_bytes()).encode("utf-8", "replace"))
        configuration = self._flat if file_type is FileType.XLSX else self._structured
        result = kreuzberg.extract_file_sync(path, file_type.media_type, config=configuration)
        text = self._checked(result.content, file_type)
        if file_type is FileType.XLSX:
            sheets = _find_titles(text, [(2, name) for name in result.metadata.get("sheet_names") or []])
            pages = tuple(Page(heading.start, number) for number, heading in enumerate(sheets, 1))
            return ExtractedText(text, file_type.media_type, pages, sheets)
        pages = ()
        if file_type in _PAGED:
            text, pages = _cut_marks(text, self._mark)
        return ExtractedText(text, file_type.media_type, pages, _headings(text, result))

    def _html(self, page: bytes) -> ExtractedText:
        media_type = FileType.HTML.media_type
        if nesting(page) > MAX_NESTING:
            text, headings = deep_html_text(page.decode())
            return ExtractedText(self._checked(text, FileType.HTML), media_type, headings=headings)
        result = kreuzberg.extract_bytes_sync(page, media_type, config=self._structured)
        text = self._checked(result.content, FileType.HTML)
        return ExtractedText(text, media_type, headings=_headings(text, result))

    def _checked(self, text: str, file_type: FileType) -> str:
        if len(text) > self._max_text_bytes or len(text.encode("utf-8", "replace")) > self._max_text_bytes:
            raise too_large(file_type, self._max_text_bytes)
        return storable(text)

    def _configuration(self, *, structure: bool) -> kreuzberg.ExtractionConfig:
        return kreuzberg.ExtractionConfig(
            use_cache=False,
            enable_quality_processing=False,
            output_format="plain",
            include_document_structure=structure,
            pages=kreuzberg.PageConfig(insert_page_markers=True, marker_format=f"\n\n{self._mark}{{page_num}}]]\n\n"),
            # The workers are the parallelism.
            concurrency=kreuzberg.ConcurrencyConfig(max_threads=1),
        )


def _cut_marks(text: str, mark: str) -> tuple[str, tuple[Page, ...]]:
    """The text without the marks, and where each page of it begins."""
    pages: list[Page] = []
    pieces: list[str] = []
    size = 0
    head, *rest = text.split(mark)
    for number, piece in [(0, head), *(_numbered(each) for each in rest)]:
        stretch = piece.strip("\n")
        if stretch and pieces:
            pieces.append("\n\n")
            size += 2
        if number:
            pages.append(Page(size, number))
        if stretch:
            pieces.append(stretch)
            size += len(stretch)
    return "".join(pieces), tuple(pages)


def _numbered(piece: str) -> tuple[int, str]:
    number, _, text = piece.partition("]]")
    return int(number), text


def _headings(text: str, result: kreuzberg.ExtractionResult) -> tuple[Heading, ...]:
    """The headings of the document's structure."""
    nodes: Any = result.document["nodes"] if result.document else []
    contents = (node["content"] for node in nodes)
    headings = (each for each in contents if each["node_type"] == "heading")
    return _find_titles(text, ((int(each["level"]), storable(each["text"]).strip()) for each in headings))


def _find_titles(text: str, titles: Iterable[tuple[int, str]]) -> tuple[Heading, ...]:
    """Titles with their levels, each found in the text after the one before it."""
    found: list[Heading] = []
    at = misses = 0
    for level, title in titles:
        start = _line_start(text, title, at) if title else -1
        if start >= 0:
            found.append(Heading(start, level, title[:_MAX_TITLE]))
            at = start + len(title)
        else:
            misses += 1
        # Each miss was a search through the whole text.
        if len(found) == _MAX_HEADINGS or misses == _MAX_MISSES:
            break
    return tuple(found)


def _line_start(text: str, title: str, at: int) -> int:
    """Where the title stands as a line of its own; -1: nowhere."""
    if at == 0 and (text == title or text.startswith(f"{title}\n")):
        return 0
    start = text.find(f"\n{title}\n", at)
    if start < 0 and text.endswith(f"\n{title}"):
        start = len(text) - len(title) - 1
    return start + 1 if start >= at else -1


def _refusal_of(error: kreuzberg.KreuzbergError, file_type: FileType) -> ItemError:
    # Only kreuzberg's words tell these apart; they may hold paths, so they are not passed on.
    words = str(error).lower()
    if "password" in words or "encrypted" in words:
        return _refusal(
            FailureCode.ENCRYPTED_FILE,
            f"The {file_type.label} is encrypted; save it without a password and send it again",
        )
    if "limit exceeded" in words or "exceeds limit" in words:
        return _refusal(
            FailureCode.EXTRACTION_LIMIT, f"The {file_type.label} has parts that are too large to be read; split it"
        )
    return _refusal(
        FailureCode.MALFORMED_FILE,
        f"The {file_type.label} is damaged or incomplete and cannot be read; open it in a program, save it again and "
        "send that",
    )


def _no_content(file_type: FileType) -> ItemError:
    hint = "; pages that are pictures are not read, run text recognition on them first" if file_type in _PAGED else ""
    return _refusal(FailureCode.NO_CONTENT, f"The {file_type.label} holds no text{hint}")


def _refusal(code: FailureCode, sentence: str) -> ItemError:
    return ItemError(Stage.EXTRACT, code, sentence, retryable=False)
