"""Reads `multipart/form-data` as it comes: one file, which is written aside, and small fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from indexmill.http.holding_file import HoldingFile
from indexmill.http.json_lists import TooLarge
from indexmill.sources.source import clean_file_name, clean_media_type

__all__ = ["FILE_FIELD", "FormData", "FormFile", "boundary_of"]

#: The one part that may be large.
FILE_FIELD: Final = "file"
_MAX_PARTS: Final = 32
_MAX_HEADER_BYTES: Final = 4096
_MAX_NAME: Final = 255
_MAX_BOUNDARY: Final = 70
_ENCODINGS: Final = {"", "7bit", "8bit", "binary"}


@dataclass(frozen=True)
class FormFile:
    """A file that was written aside: `size` bytes from `begin` on. Its name has no folder, and names a type at most.

    `given_name`: all of it, as it came.
    """

    begin: int
    size: int
    file_name: str | None
    media_type: str | None
    given_name: str = ""

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        """In models: this object itself, and nothing that a caller could write."""
        return core_schema.is_instance_schema(cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, _: CoreSchema, __: GetJsonSchemaHandler) -> JsonSchemaValue:
        """What callers send instead."""
        return {"type": "string", "format": "binary"}


@dataclass
class _Part:
    name: str
    #: Where the file begins; None: a field.
    file_at: int | None
    given_name: str
    media_type: str | None
    value: bytearray


def boundary_of(content_type: str | None) -> bytes | None:
    """What separates the parts; None: the body is no form.

    Raises:
        ValueError: it is a form without a boundary.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        return None
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= _MAX_BOUNDARY:
        raise ValueError(f"expected a `boundary` of 1 to {_MAX_BOUNDARY} characters in the header `Content-Type`")
    return boundary


class FormData:
    """Feed it the body in pieces of any size, then `finish`. `field_bytes`: what all fields together may have."""

    def __init__(self, boundary: bytes, holding: HoldingFile, field_bytes: int) -> None:
        self._holding = holding
        self._field_bytes = field_bytes
        self._fields: dict[str, Any] = {}
        self._parts = 0
        self._headers: dict[bytes, bytes] = {}
        self._header = (bytearray(), bytearray())
        self._header_bytes = 0
        self._part: _Part | None = None
        self._has_ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._add_header(0, data[start:end]),
                "on_header_value": lambda data, start, end: self._add_header(1, data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": lambda data, start, end: self._add(data[start:end]),
                "on_part_end": self._end,
                "on_end": self._end_all,
            },
        )

    def feed(self, piece: bytes) -> None:
        """
        Raises:
            ValueError: it is not what a form looks like.
            TooLarge: too many parts, or too large ones.
        """
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise ValueError(f"expected parts between the boundaries: {error}") from error

    def finish(self) -> dict[str, Any]:
        """The fields, strings all but the `FormFile`.

        Raises:
            ValueError: the last boundary is missing.
        """
        if not self._has_ended:
            raise ValueError("it ends before its last boundary")
        return self._fields

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise TooLarge(f"expected at most {_MAX_PARTS} parts in a form, got more")
        self._headers = {}
        self._header_bytes = 0

    def _add_header(self, place: int, data: bytes) -> None:
        self._header_bytes += len(data)
        if self._header_bytes > _MAX_HEADER_BYTES:
            raise TooLarge(f"expected at most {_MAX_HEADER_BYTES} bytes of headers in a part of a form, got more")
        self._header[place].extend(data)

    def _end_header(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)
        self._header = (bytearray(), bytearray())

    def _end_headers(self) -> None:
        disposition, options = parse_options_header(_text(self._headers.get(b"content-disposition", b"")))
        # The header was given as text: its options come back in the same encoding.
        name = _utf8(options.get(b"name", b""))
        if disposition != b"form-data" or not 0 < len(name) <= _MAX_NAME:
            raise ValueError('expected each part of the form to have `Content-Disposition: form-data; name="..."`')
        if name in self._fields:
            raise ValueError(f"expected each field of the form once, got `{name}` twice")
        encoding = _text(self._headers.get(b"content-transfer-encoding", b"")).strip().lower()
        if encoding not in _ENCODINGS:
            raise ValueError(f"expected the part `{name}` as it is, got it in the transfer encoding {encoding[:40]!r}")
        is_file = name == FILE_FIELD
        given_name = _utf8(options.get(b"filename", b""))
        # Some clients call a text so that is given among their files: by the name of its field.
        if not is_file and b"filename" in options and given_name != name:
            raise ValueError(f"expected the file in the part `{FILE_FIELD}`, got one in `{name}`")
        media_type = clean_media_type(_text(self._headers.get(b"content-type", b"")))
        self._part = _Part(name, self._holding.size if is_file else None, given_name, media_type, bytearray())

    def _add(self, data: bytes) -> None:
        part = self._current()
        if part.file_at is not None:
            self._holding.append(data)
            return
        self._field_bytes -= len(data)
        if self._field_bytes < 0:
            raise TooLarge(f"expected the file in the part `{FILE_FIELD}` and small fields, got more in `{part.name}`")
        part.value += data

    def _end(self) -> None:
        part = self._current()
        if part.file_at is not None:
            size = self._holding.size - part.file_at
            file_name = clean_file_name(part.given_name)
            self._fields[part.name] = FormFile(part.file_at, size, file_name, part.media_type, part.given_name)
            return
        try:
            self._fields[part.name] = part.value.decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"expected UTF-8 in the field `{part.name}`") from error

    def _end_all(self) -> None:
        self._has_ended = True

    def _current(self) -> _Part:
        if self._part is None:
            raise ValueError("expected headers before the content of a part")
        return self._part


def _text(value: bytes) -> str:
    return value.decode("latin-1")


def _utf8(value: bytes) -> str:
    """What browsers and curl send; what is not UTF-8 is the oldest clients' Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return _text(value)
