"""What type a file is: by its content first; the name and the declared media type only tell text formats apart."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

from indexmill.domain.failure import FailureCode, Stage
from indexmill.errors import ItemError
from indexmill.readers.archive import ARCHIVE_STARTS, archive_type, archive_type_of_head
from indexmill.readers.encoding import encoding_of

__all__ = ["HEAD_BYTES", "FileType", "claimed_type", "detect", "detect_head"]

#: So much of a file's beginning decides whether it is text.
HEAD_BYTES: Final = 65_536
_OLE: Final = bytes.fromhex("d0cf11e0a1b11ae1")
_ENCRYPTED_PACKAGE: Final = "EncryptedPackage".encode("utf-16-le")
#: The directory of an OLE file is near its beginning or near its end.
_OLE_SCAN_BYTES: Final = 1_048_576


class FileType(StrEnum):
    """The types that can be read."""

    PDF = "pdf"
    DOCX = "docx"
    XLSX = "xlsx"
    PPTX = "pptx"
    EPUB = "epub"
    ODT = "odt"
    RTF = "rtf"
    HTML = "html"
    EML = "eml"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"
    TEXT = "text"

    @property
    def label(self) -> str:
        """As sentences name it."""
        return _LABELS[self]

    @property
    def media_type(self) -> str:
        return _MEDIA_TYPES[self]

    @property
    def is_read_as_text(self) -> bool:
        """Whether the file's characters are its text, so that nothing is to be extracted."""
        return self in _READ_AS_TEXT


_LABELS: Final = {
    FileType.PDF: "PDF document",
    FileType.DOCX: "Word document (DOCX)",
    FileType.XLSX: "Excel workbook (XLSX)",
    FileType.PPTX: "PowerPoint presentation (PPTX)",
    FileType.EPUB: "EPUB book",
    FileType.ODT: "OpenDocument text (ODT)",
    FileType.RTF: "RTF document",
    FileType.HTML: "HTML page",
    FileType.EML: "e-mail message (EML)",
    FileType.MARKDOWN: "Markdown text",
    FileType.CSV: "CSV table",
    FileType.JSON: "JSON document",
    FileType.TEXT: "plain text",
}
_OPEN_XML = "application/vnd.openxmlformats-officedocument."
_MEDIA_TYPES: Final = {
    FileType.PDF: "application/pdf",
    FileType.DOCX: f"{_OPEN_XML}wordprocessingml.document",
    FileType.XLSX: f"{_OPEN_XML}spreadsheetml.sheet",
    FileType.PPTX: f"{_OPEN_XML}presentationml.presentation",
    FileType.EPUB: "application/epub+zip",
    FileType.ODT: "application/vnd.oasis.opendocument.text",
    FileType.RTF: "application/rtf",
    FileType.HTML: "text/html",
    FileType.EML: "message/rfc822",
    FileType.MARKDOWN: "text/markdown",
    FileType.CSV: "text/csv",
    FileType.JSON: "application/json",
    FileType.TEXT: "text/plain",
}
_READ_AS_TEXT: Final = frozenset({FileType.MARKDOWN, FileType.CSV, FileType.JSON, FileType.TEXT})
#: Formats that are text themselves: among these the name decides, because the content often cannot.
_TEXT_FORMATS: Final = _READ_AS_TEXT | {FileType.HTML, FileType.EML}

#: Endings that claim a type. Every other one claims nothing: the content decides.
_BY_ENDING: Final = {
    **{each.value: each for each in FileType},
    "htm": FileType.HTML,
    "xhtml": FileType.HTML,
    "md": FileType.MARKDOWN,
    "mdx": FileType.MARKDOWN,
    "tsv": FileType.CSV,
    "jsonl": FileType.JSON,
    "ndjson": FileType.JSON,
    "txt": FileType.TEXT,
    "log": FileType.TEXT,
    "rst": FileType.TEXT,
}
_BY_MEDIA_TYPE: Final = {
    **{media_type: each for each, media_type in _MEDIA_TYPES.items()},
    "text/rtf": FileType.RTF,
    "application/xhtml+xml": FileType.HTML,
    "text/x-markdown": FileType.MARKDOWN,
    "text/tab-separated-values": FileType.CSV,
}
#: Two of these in the first lines make a text an e-mail message.
_MAIL_FIELDS: Final = (
    b"from:",
    b"to:",
    b"subject:",
    b"date:",
    b"message-id:",
    b"mime-version:",
    b"received:",
    b"return-path:",
)


def detect(path: Path, file_name: str | None, media_type: str | None) -> FileType:
    """The type of a file; `file_name` and `media_type` as its sender gave them.

    Raises:
        ItemError: it is empty, encrypted, of no readable type, or of another type than its name says.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        if head.startswith(ARCHIVE_STARTS):
            found = archive_type(file)
            return _agreed(_known(found), file_name, media_type)
        if head.startswith(_OLE):
            size = file.seek(0, 2)
            file.seek(max(0, size - _OLE_SCAN_BYTES))
            tail = file.read(_OLE_SCAN_BYTES)
            file.seek(0)
            raise _ole_refusal(file.read(_OLE_SCAN_BYTES) + tail)
    return _detect(head, file_name, media_type)


def detect_head(head: bytes, file_name: str | None, media_type: str | None) -> FileType | None:
    """The type by the file's first `HEAD_BYTES` alone, for a check before all of it is there; None: not decided yet.

    Raises:
        ItemError: as `detect`, where the beginning already shows it.
    """
    if head.startswith(ARCHIVE_STARTS):
        found = archive_type_of_head(head)
        return None if found is None else _agreed(_known(found), file_name, media_type)
    if head.startswith(_OLE):
        # What makes it an encrypted document may come later.
        if len(head) >= HEAD_BYTES and _ENCRYPTED_PACKAGE not in head:
            return None
        raise _ole_refusal(head)
    return _detect(head, file_name, media_type)


def _known(name: str | None) -> FileType:
    if name is None:
        raise _refusal(
            FailureCode.UNSUPPORTED_TYPE,
            f"The file is an archive of no type that can be read; expected {_readable()}. Send its files one by one",
        )
    return FileType(name)


def _detect(head: bytes, file_name: str | None, media_type: str | None) -> FileType:
    if not head:
        raise _refusal(FailureCode.NO_CONTENT, "The file is empty; send one with content")
    start = head[:1024].lstrip(b"\xef\xbb\xbf \t\r\n\0")
    if start.startswith(b"%PDF-"):
        return _agreed(FileType.PDF, file_name, media_type)
    if start.startswith(b"{\\rtf"):
        return _agreed(FileType.RTF, file_name, media_type)
    encoding = encoding_of(head)
    if encoding is None:
        if b"%PDF-" in head[:1024]:
            return _agreed(FileType.PDF, file_name, media_type)
        raise _refusal(
            FailureCode.UNSUPPORTED_TYPE,
            f"The content is of no type that can be read; expected {_readable()}. Convert the file to one of them",
        )
    claimed = claimed_type(file_name, media_type)
    if claimed in _TEXT_FORMATS:
        return claimed
    return _agreed(_text_format(head.decode(encoding, "replace").encode()), file_name, media_type)


def _text_format(head: bytes) -> FileType:
    """Which text format the content itself shows, encoded in UTF-8."""
    start = head[:2048].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")) or (start.startswith(b"<?xml") and b"<html" in start):
        return FileType.HTML
    lines = start.split(b"\n\n")[0].split(b"\r\n\r\n")[0].splitlines()
    if sum(line.startswith(_MAIL_FIELDS) for line in lines) >= 2 and b":" in lines[0]:
        return FileType.EML
    return FileType.TEXT


def claimed_type(file_name: str | None, media_type: str | None) -> FileType | None:
    """What the name's ending says, where it has none the media type; of the content nothing is known."""
    ending = (file_name or "").rpartition(".")[2].lower() if "." in (file_name or "") else ""
    by_name = _BY_ENDING.get(ending)
    if by_name is not None or ending:
        return by_name
    return _BY_MEDIA_TYPE.get((media_type or "").partition(";")[0].strip().lower())


def _agreed(found: FileType, file_name: str | None, media_type: str | None) -> FileType:
    claimed = claimed_type(file_name, media_type)
    if claimed is not None and claimed is not found:
        raise _refusal(
            FailureCode.MISMATCHED_TYPE,
            f"The name or media type says {claimed.label}, but the content is {found.label}; "
            "give the file the name of its type, or send the file that was meant",
        )
    return found


def _ole_refusal(content: bytes) -> ItemError:
    if _ENCRYPTED_PACKAGE in content:
        return _refusal(
            FailureCode.ENCRYPTED_FILE, "The office document is encrypted; save it without a password and send it again"
        )
    return _refusal(
        FailureCode.UNSUPPORTED_TYPE,
        "The file is of an office format from before 2007; save it as DOCX, XLSX or PPTX and send that",
    )


def _readable() -> str:
    return ", ".join(each.name for each in FileType if each is not FileType.TEXT) + " or plain text"


def _refusal(code: FailureCode, sentence: str) -> ItemError:
    return ItemError(Stage.EXTRACT, code, sentence, retryable=False)
