"""Messages between a worker and its extraction process: two lengths, a JSON header, a text in UTF-8. No pickle."""

from __future__ import annotations

import json
import struct
from typing import Any, Final

__all__ = ["LENGTHS", "MAX_HEADER_BYTES", "pack", "unpack_header", "unpack_lengths"]

#: Bytes of the header, bytes of the text.
LENGTHS: Final = struct.Struct(">IQ")
MAX_HEADER_BYTES: Final = 16 * 1024 * 1024


def pack(header: dict[str, Any], text: bytes = b"") -> bytes:
    data = json.dumps(header, separators=(",", ":")).encode()
    return LENGTHS.pack(len(data), len(text)) + data + text


def unpack_lengths(data: bytes) -> tuple[int, int]:
    """The lengths of header and text."""
    header, text = LENGTHS.unpack(data)
    return header, text


def unpack_header(data: bytes) -> dict[str, Any]:
    """Raises: TypeError, ValueError: it is no JSON object. RecursionError: it is too deep."""
    header = json.loads(data)
    if not isinstance(header, dict):
        raise TypeError("expected a JSON object")
    return header
