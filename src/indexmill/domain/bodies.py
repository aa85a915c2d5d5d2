"""Items as batches: where a batch closes, what its stored body looks like, what identifies the request."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from indexmill.domain.document import canonical_json
from indexmill.domain.job import Item
from indexmill.errors import InvalidRequest

__all__ = ["MAX_BATCH_BYTES", "MAX_BATCH_ITEMS", "Body", "RequestDigest", "decode_body", "pack"]

MAX_BATCH_ITEMS = 256
MAX_BATCH_BYTES = 4 * 1024 * 1024
#: Below this a body is stored as it is: compressing would cost more than it saves.
_PLAIN_BYTES = 1024


class RequestDigest:
    """The request's fingerprint: of what it asks and of its items' canonical JSON, in order."""

    def __init__(self, *parts: str) -> None:
        self._digest = hashlib.blake2b(digest_size=16)
        for part in parts:
            self.add(part.encode())

    def add(self, piece: bytes) -> None:
        self._digest.update(len(piece).to_bytes(8))
        self._digest.update(piece)

    def value(self) -> bytes:
        return self._digest.digest()


@dataclass(frozen=True, slots=True)
class Body:
    """The stored form of up to 256 items. `size`: bytes of their JSON before compression."""

    first_position: int
    items: int
    size: int
    data: bytes


def pack(items: Iterable[Item], digest: RequestDigest) -> Iterator[Body]:
    """Batches of the items, each closed at 256 items or 4 MiB of JSON; holds one batch in memory.

    Raises:
        InvalidRequest: an item that JSON in UTF-8 cannot hold.
    """
    pieces: list[bytes] = []
    size = position = 0
    for item in items:
        piece = _encode(item)
        digest.add(piece)
        if pieces and (len(pieces) == MAX_BATCH_ITEMS or size + len(piece) > MAX_BATCH_BYTES):
            yield _close(pieces, size, position)
            position += len(pieces)
            pieces, size = [], 0
        pieces.append(piece)
        size += len(piece)
    if pieces:
        yield _close(pieces, size, position)


def _encode(item: Item) -> bytes:
    try:
        return canonical_json([item.object_id, item.payload, item.item_info]).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidRequest(f"item {item.object_id!a:.100}: expected values that JSON can hold: {error}") from error


def _close(pieces: list[bytes], size: int, position: int) -> Body:
    data = b"[" + b",".join(pieces) + b"]"
    return Body(position, len(pieces), size, zlib.compress(data, 1) if len(data) > _PLAIN_BYTES else data)


def decode_body(data: bytes) -> list[Item]:
    """The items of a stored body, in order."""
    plain = data if data[:1] == b"[" else zlib.decompress(data)
    return [Item(*fields) for fields in json.loads(plain)]
