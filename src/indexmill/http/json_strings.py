"""Takes the long strings out of a JSON text while it comes: they are unescaped and written aside, the rest is parsed.

Strings are told from the rest by their quotes alone; the rest then goes to the real parser, and so does every piece of
a long string. So this accepts exactly what that parser accepts.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema, from_json

from indexmill.http.json_lists import TooLarge
from indexmill.http.json_values import parse_json

__all__ = ["JsonStrings", "LongString"]

_QUOTE: Final = ord('"')
#: Whole characters and whole escapes: the match ends at the closing quote, or at what is cut or wrong.
_CONTENT: Final = re.compile(
    rb'(?:[^"\\]++'
    rb"|\\[^u]"
    rb"|\\u(?:[0-9a-ce-fA-CE-F][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2})"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+",
    re.DOTALL,
)
#: The longest escape: a surrogate pair.
_ESCAPE_BYTES: Final = 12


@dataclass(frozen=True)
class LongString:
    """Stands for a string that was written aside: `size` bytes of UTF-8 from `begin` on."""

    begin: int
    size: int

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        """In models: this object itself, and nothing that a caller could write."""
        return core_schema.is_instance_schema(cls)

    @classmethod
    def __get_pydantic_json_schema__(cls, _: CoreSchema, __: GetJsonSchemaHandler) -> JsonSchemaValue:
        """What callers send instead."""
        return {"type": "string"}


class JsonStrings:
    """Feed it the text in pieces of any size, then `finish`.

    Args:
        write: takes the bytes of the long strings, one after the other.
        inline_bytes: what a string may have, as it is written, to stay where it is.
        rest_bytes: what there may be besides the long strings.
    """

    def __init__(self, write: Callable[[bytes], object], inline_bytes: int, rest_bytes: int) -> None:
        self._write = write
        self._inline_bytes = inline_bytes
        self._rest_bytes = rest_bytes
        self._rest = bytearray()
        self._cut = b""
        #: Where in `_rest` the content of the string begins that is being read; None outside strings.
        self._string_at: int | None = None
        #: Where in what was written the long string begins that is being read.
        self._long_at: int | None = None
        self._written = 0
        self._found: dict[str, LongString] = {}
        # Nobody can name what is drawn now.
        self._mark = f"long string {secrets.token_hex(16)} "

    def feed(self, piece: bytes) -> None:
        """
        Raises:
            ValueError: it is not JSON.
            TooLarge: there is too much besides long strings.
        """
        data = self._cut + piece
        at = 0
        while at < len(data):
            if self._string_at is None:
                at = self._outside(data, at)
                continue
            end = _end_of_content(data, at)
            self._add(data[at:end])
            at = end
            if at == len(data) or data[at] != _QUOTE:
                break
            self._close()
            at += 1
        self._cut = data[at:]
        self._check_size()

    def finish(self) -> Any:
        """The value, with `LongString`s in it.

        Raises:
            ValueError: the text is not JSON.
            TooLarge: a name of an object is a long string.
        """
        if self._string_at is not None:
            raise ValueError("it ends inside a string")
        value = parse_json(self._rest)
        return self._put_back(value) if self._found else value

    def _outside(self, data: bytes, at: int) -> int:
        quote = data.find(b'"', at)
        end = len(data) if quote < 0 else quote + 1
        self._rest += data[at:end]
        if quote >= 0:
            self._check_size()
            self._string_at = len(self._rest)
        return end

    def _add(self, content: bytes) -> None:
        assert self._string_at is not None  # noqa: S101 - for the type checker
        if self._long_at is not None:
            self._put_aside(content)
            return
        self._rest += content
        if len(self._rest) - self._string_at > self._inline_bytes:
            self._long_at = self._written
            self._put_aside(bytes(self._rest[self._string_at :]))
            del self._rest[self._string_at :]

    def _put_aside(self, content: bytes) -> None:
        try:
            text = from_json(b'"%b"' % content)
        except ValueError as error:
            # Where in the piece would mean nothing to anybody.
            raise ValueError(f"{str(error).partition(' at line')[0]}, in a long string") from error
        data = text.encode()
        self._write(data)
        self._written += len(data)

    def _close(self) -> None:
        if self._long_at is not None:
            name = f"{self._mark}{len(self._found)}"
            self._found[name] = LongString(self._long_at, self._written - self._long_at)
            self._rest += name.encode()
        self._rest.append(_QUOTE)
        self._string_at = self._long_at = None

    def _check_size(self) -> None:
        """The string that is being read does not count yet: it may become a long one."""
        size = len(self._rest) if self._string_at is None else self._string_at
        if size > self._rest_bytes:
            raise TooLarge(f"expected at most {self._rest_bytes} bytes besides strings of over {self._inline_bytes}")

    def _put_back(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._found.get(value, value)
        if isinstance(value, list):
            return [self._put_back(each) for each in value]
        if not isinstance(value, dict):
            return value
        if any(name in self._found for name in value):
            raise TooLarge(f"expected names of at most {self._inline_bytes} bytes in objects")
        return {name: self._put_back(each) for name, each in value.items()}


def _end_of_content(data: bytes, at: int) -> int:
    """Where the string's content ends: at its quote, or where the data ends inside a character or an escape.

    Raises:
        ValueError: an escape is wrong.
    """
    match = _CONTENT.match(data, at)
    end = match.end() if match is not None else at
    if end == len(data):
        return _end_of_characters(data, at)
    if data[end] != _QUOTE and len(data) - end >= _ESCAPE_BYTES:
        raise ValueError("a string has an escape that is not one, or half of a surrogate pair")
    return end


def _end_of_characters(data: bytes, at: int) -> int:
    """The end of the data, or where its last character begins if that is cut."""
    for back in range(1, min(3, len(data) - at) + 1):
        lead = data[-back]
        if lead >= 0xC0:
            width = 2 + (lead >= 0xE0) + (lead >= 0xF0)
            return len(data) - back if width > back else len(data)
        if lead < 0x80:
            break
    return len(data)
