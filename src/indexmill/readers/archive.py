"""Documents that are ZIP archives: which type their parts make them, and whether they are safe to unpack."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from indexmill.domain.failure import FailureCode, Stage
from indexmill.errors import ItemError

__all__ = ["ARCHIVE_STARTS", "archive_type", "archive_type_of_head", "check_archive"]

#: A part, an archive without any, or one of several volumes. Texts may begin with `PK`, too.
ARCHIVE_STARTS: Final = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
#: The list of parts, read at once: a large one is no document.
_MAX_DIRECTORY_BYTES: Final = 16 * 1024 * 1024
_MAX_PARTS: Final = 20_000
_END_RECORD: Final = b"PK\x05\x06"
_END_RECORD_BYTES: Final = 22
_MAX_COMMENT_BYTES: Final = 65_535
_READ_BYTES: Final = 262_144
#: What an extractor parses. Pictures and fonts are only copied, so their size says nothing about memory.
_PARSED_ENDINGS: Final = (".xml", ".rels", ".html", ".xhtml", ".htm", ".opf", ".ncx", ".svg", ".bin")
_ENCRYPTED_FLAG: Final = 0x1

_BY_FOLDER: Final = {"word/": "docx", "xl/": "xlsx", "ppt/": "pptx"}
_BY_MIMETYPE: Final = {
    b"application/epub+zip": "epub",
    b"application/vnd.oasis.opendocument.text": "odt",
}


def archive_type(file: IO[bytes]) -> str | None:
    """`docx`, `xlsx`, `pptx`, `epub` or `odt`; None: an archive, but no document.

    Raises:
        ItemError: it is damaged, or its list of parts is too long.
    """
    with _opened(file) as archive:
        names = archive.namelist()
        if "mimetype" in names:
            return _BY_MIMETYPE.get(_declared_type(archive))
    found = {kind for folder, kind in _BY_FOLDER.items() if any(name.startswith(folder) for name in names)}
    return found.pop() if len(found) == 1 and "[Content_Types].xml" in names else None


def _declared_type(archive: zipfile.ZipFile) -> bytes:
    try:
        with archive.open("mimetype") as part:
            return part.read(100).strip()
    except Exception as error:  # zlib.error, RuntimeError for an encrypted part, and half a dozen others
        raise _damaged("file") from error


def archive_type_of_head(head: bytes) -> str | None:
    """As `archive_type`, from the first part's name alone; None: not decided yet."""
    # A local file header: 30 bytes, the name, an extra field, the content.
    name_length, extra_length = head[26:27], head[28:29]
    if head[30:38] == b"mimetype" and name_length == b"\x08" and extra_length:
        content = head[38 + extra_length[0] :]
        return next((kind for mimetype, kind in _BY_MIMETYPE.items() if content.startswith(mimetype + b"PK")), None)
    return None


def check_archive(path: Path, label: str, max_expansion_bytes: int, check: Callable[[], None] = lambda: None) -> None:
    """Make sure that unpacking the document stays within limits, by unpacking what an extractor would.

    The sizes that the archive declares may be lies, so they are only the first test.

    Raises:
        ItemError: encrypted, damaged, too large when unpacked, or with entities that would expand.
    """
    with path.open("rb") as file, _opened(file) as archive:
        parts = archive.infolist()
        if any(part.flag_bits & _ENCRYPTED_FLAG for part in parts):
            raise _refusal(
                FailureCode.ENCRYPTED_FILE, f"The {label} is encrypted; save it without a password and send it again"
            )
        if sum(part.file_size for part in parts) > max_expansion_bytes:
            raise _expansion(label, max_expansion_bytes)
        room = max_expansion_bytes
        for part in parts:
            check()
            if part.filename.lower().endswith(_PARSED_ENDINGS):
                room -= _unpacked(archive, part, label, room, max_expansion_bytes)


def _unpacked(archive: zipfile.ZipFile, part: zipfile.ZipInfo, label: str, room: int, limit: int) -> int:
    """How many bytes the part has, read in pieces and forgotten."""
    size = 0
    try:
        with archive.open(part) as stream:
            while piece := stream.read(_READ_BYTES):
                if size == 0 and b"<!ENTITY" in piece[:8192]:
                    raise _refusal(
                        FailureCode.EXTRACTION_LIMIT,
                        f"The {label} defines XML entities, which are not expanded; save it again by an office suite",
                    )
                size += len(piece)
                if size > room:
                    raise _expansion(label, limit)
    except ItemError:
        raise
    except Exception as error:  # zlib.error, zipfile.BadZipFile, and half a dozen others
        raise _damaged(label) from error
    return size


def _opened(file: IO[bytes]) -> zipfile.ZipFile:
    _check_directory(file)
    try:
        archive = zipfile.ZipFile(file)
    except Exception as error:  # zipfile.BadZipFile, struct.error, and half a dozen others
        raise _damaged("file") from error
    if len(archive.filelist) > _MAX_PARTS:
        raise _too_many_parts()
    return archive


def _check_directory(file: IO[bytes]) -> None:
    """Before anything reads the list of parts into memory: how long does the archive say that it is?"""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END_RECORD_BYTES - _MAX_COMMENT_BYTES))
    tail = file.read()
    file.seek(0)
    at = tail.rfind(_END_RECORD)
    if at < 0 or len(tail) - at < _END_RECORD_BYTES:
        raise _damaged("file")
    parts = int.from_bytes(tail[at + 10 : at + 12], "little")
    directory = int.from_bytes(tail[at + 12 : at + 16], "little")
    # 0xFFFF and 0xFFFFFFFF: the numbers are in a record of their own, because they are larger.
    if parts > _MAX_PARTS or directory > _MAX_DIRECTORY_BYTES:
        raise _too_many_parts()


def _too_many_parts() -> ItemError:
    return _refusal(
        FailureCode.EXTRACTION_LIMIT,
        f"The document has more than {_MAX_PARTS:,} parts; split it into several documents",
    )


def _expansion(label: str, limit: int) -> ItemError:
    return _refusal(
        FailureCode.EXTRACTION_LIMIT,
        f"The {label} has more than the allowed {limit:,} bytes when unpacked; split it or raise "
        "`readers.max_expansion_bytes`",
    )


def _damaged(label: str) -> ItemError:
    return _refusal(
        FailureCode.MALFORMED_FILE,
        f"The {label} is damaged or incomplete: it begins as a document of several parts, but they cannot be unpacked; "
        "save it again and send that",
    )


def _refusal(code: FailureCode, sentence: str) -> ItemError:
    return ItemError(Stage.EXTRACT, code, sentence, retryable=False)
