"""Files whose characters are their text: decoded piece by piece, never more of them than a text may have."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable
from pathlib import Path
from typing import Final

from indexmill.domain.failure import FailureCode, Stage
from indexmill.errors import ItemError
from indexmill.readers.encoding import encoding_of
from indexmill.readers.extracted_text import ExtractedText
from indexmill.readers.file_type import HEAD_BYTES, FileType
from indexmill.readers.markdown_headings import markdown_headings

__all__ = ["read_text", "storable", "too_large"]

_PIECE_BYTES: Final = 1_048_576
#: UTF-32 takes four bytes for what UTF-8 writes in one.
_MAX_SHRINKING: Final = 4


def read_text(path: Path, file_type: FileType, max_text_bytes: int, check: Callable[[], None]) -> ExtractedText:
    """The whole text, line breaks as `\\n`.

    Raises:
        ItemError: no text, or more than `max_text_bytes` in UTF-8.
        OSError: the file cannot be read.
        What `check` raises; it is called for every piece.
    """
    pieces: list[str] = []
    size = 0
    with path.open("rb") as file:
        if file.seek(0, io.SEEK_END) > max_text_bytes * _MAX_SHRINKING:
            raise too_large(file_type, max_text_bytes)
        file.seek(0)
        piece = file.read(_PIECE_BYTES)
        decoder = _decoder(encoding_of(piece[:HEAD_BYTES]) or "utf-8")
        while piece:
            check()
            text = storable(decoder.decode(piece))
            size += len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
            if size > max_text_bytes:
                raise too_large(file_type, max_text_bytes)
            pieces.append(text)
            piece = file.read(_PIECE_BYTES)
    text = "".join(pieces) + storable(decoder.decode(b"", final=True))
    if not text.strip():
        raise ItemError(
            Stage.EXTRACT, FailureCode.NO_CONTENT, f"The {file_type.label} holds only white space", retryable=False
        )
    headings = markdown_headings(text, check) if file_type is FileType.MARKDOWN else ()
    return ExtractedText(text, file_type.media_type, headings=headings)


def _decoder(encoding: str) -> io.IncrementalNewlineDecoder:
    # A text that turns out to be damaged far from its beginning is still worth reading.
    return io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(encoding)("replace"), translate=True)


def storable(text: str) -> str:
    """PostgreSQL's text holds no NUL: a space instead, so that every offset stays."""
    return text.replace("\0", " ") if "\0" in text else text


def too_large(file_type: FileType, max_text_bytes: int) -> ItemError:
    return ItemError(
        Stage.EXTRACT,
        FailureCode.TOO_LARGE,
        f"The {file_type.label} has more than the allowed {max_text_bytes:,} bytes of text; split the file or "
        "raise `worker.max_text_bytes`",
        retryable=False,
    )
