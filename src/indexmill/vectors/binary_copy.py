"""The bytes of PostgreSQL's binary COPY for staged documents, vectors included, made without a copy a number."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

import numpy as np

from indexmill.domain.document import part_numbers, parts_json
from indexmill.vectors.vector_store import StagedDocument

__all__ = ["COLUMNS", "copy_bytes"]

#: The columns of the staging table, in the order in which a row's fields follow.
COLUMNS = (
    "item", "id", "seq", "position", "outcome", "fingerprint", "payload_hash", "text", "payload", "item_info",
    "structure", "parts", "starts", "ends", "chunk_parts", "embeddings",
)  # fmt: skip
_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_TRAILER = struct.pack(">h", -1)
_FIELDS = struct.pack(">h", len(COLUMNS))
_NULL = struct.pack(">i", -1)
_INT8_OID = 20
_FLUSH_BYTES = 256 * 1024

_length = struct.Struct(">i").pack
_int4 = struct.Struct(">ii").pack
_int8 = struct.Struct(">iq").pack
_int2 = struct.Struct(">ih").pack
_array_header = struct.Struct(">iiiii").pack
_vector_header = struct.Struct(">ihh").pack


def copy_bytes(documents: Iterable[StagedDocument], vector_oid: int) -> Iterator[bytes]:
    """The COPY stream, in pieces of about 256 KiB. `vector_oid`: the server's number for the type `vector`."""
    buffer = bytearray(_HEADER)
    for document in documents:
        _append(buffer, document, vector_oid)
        if len(buffer) >= _FLUSH_BYTES:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer) + _TRAILER


def _append(buffer: bytearray, document: StagedDocument, vector_oid: int) -> None:
    buffer += _FIELDS
    buffer += _int4(4, document.item)
    _append_bytes(buffer, document.id.encode())
    buffer += _int8(8, document.version.seq)
    buffer += _int8(8, document.version.position)
    buffer += _int2(2, document.action)
    _append_bytes(buffer, document.fingerprint)
    _append_bytes(buffer, document.payload_hash)
    _append_bytes(buffer, document.text.encode() if document.text is not None else None)
    # jsonb's binary form: its version, then the text.
    _append_bytes(buffer, b"\x01" + document.payload.encode() if document.payload is not None else None)
    _append_bytes(buffer, b"\x01" + document.item_info.encode() if document.item_info is not None else None)
    _append_bytes(buffer, b"\x01" + document.structure.encode() if document.structure is not None else None)
    _append_bytes(buffer, b"\x01" + parts_json(document.parts).encode() if document.parts else None)
    if document.vectors is None:
        buffer += _NULL * 4
        return
    _append_int8_array(buffer, [start for start, _ in document.spans])
    _append_int8_array(buffer, [end for _, end in document.spans])
    if document.parts:
        _append_int8_array(buffer, part_numbers(document.parts, [start for start, _ in document.spans]))
    else:
        buffer += _NULL
    _append_vectors(buffer, document.vectors, vector_oid)


def _append_bytes(buffer: bytearray, data: bytes | None) -> None:
    if data is None:
        buffer += _NULL
    else:
        buffer += _length(len(data))
        buffer += data


def _append_int8_array(buffer: bytearray, values: list[int]) -> None:
    buffer += _length(20 + 12 * len(values))
    buffer += _array_header(1, 0, _INT8_OID, len(values), 1)
    for value in values:
        buffer += _int8(8, value)


def _append_vectors(buffer: bytearray, vectors: np.ndarray[tuple[int, int], np.dtype[np.float32]], oid: int) -> None:
    rows, dimension = vectors.shape
    size = 4 + 4 * dimension
    big_endian = vectors.astype(">f4")
    buffer += _length(20 + rows * (4 + size))
    buffer += _array_header(1, 0, oid, rows, 1)
    for row in big_endian:
        buffer += _vector_header(size, dimension, 0)
        buffer += row.tobytes()
