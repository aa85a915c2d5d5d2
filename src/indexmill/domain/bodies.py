"""Items as batches: where a batch closes, what its stored body looks like, what identifies the request."""

from __future__ import annotations

import hashlib
import json
import zlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np

from indexmill.domain.document import canonical_json
from indexmill.domain.item_source import is_fixed
from indexmill.domain.job import Item
from indexmill.errors import InvalidRequest

__all__ = [
    "MAX_BATCH_BYTES",
    "MAX_BATCH_ITEMS",
    "MAX_DEPTH",
    "Body",
    "DistinctIds",
    "RequestDigest",
    "StoredItem",
    "UnreadableBody",
    "decode_body",
    "pack",
]

MAX_BATCH_ITEMS = 256
MAX_BATCH_BYTES = 4 * 1024 * 1024
#: Deeper JSON is refused: parsing it needs a stack that a worker may not have.
MAX_DEPTH = 200
#: Of an item whose source is fetched, which may take long and fail for a while: it is a batch of its own, which no
#: other work waits for.
_FETCHED_WEIGHT = MAX_BATCH_BYTES
_MAX_WEIGHT = 1 << 30
#: Below this a body is stored as it is: compressing would cost more than it saves.
_PLAIN_BYTES = 1024
#: Of more items nobody remembers the ids: 8 MB.
_MAX_IDS = 1_000_000


class RequestDigest:
    """The request's fingerprint: of what it asks and of its items' canonical JSON, in order."""

    def __init__(self, *parts: str) -> None:
        self._digest = hashlib.blake2b(digest_size=16)
        for part in parts:
            self.add(part.encode())

    def add(self, piece: bytes | None) -> None:
        """Add a piece; None differs from every piece."""
        if piece is None:
            self._digest.update(b"\xff" * 8)
            return
        self._digest.update(len(piece).to_bytes(8))
        self._digest.update(piece)

    def value(self) -> bytes:
        return self._digest.digest()


class DistinctIds:
    """Whether all the ids that went by differ. It may say no without need: of very many, or by chance."""

    def __init__(self) -> None:
        self._hashes = array("q")
        self._are_too_many = False

    def add(self, object_id: str) -> None:
        if len(self._hashes) < _MAX_IDS:
            # Of this process alone: nobody can choose ids that collide.
            self._hashes.append(hash(object_id))
        else:
            self._are_too_many = True

    def value(self) -> bool:
        return not self._are_too_many and np.unique(np.asarray(self._hashes)).size == len(self._hashes)


@dataclass(frozen=True, slots=True)
class Body:
    """The stored form of up to 256 items. `size`: bytes of their JSON before compression."""

    first_position: int
    items: int
    size: int
    data: bytes


class StoredItem(NamedTuple):
    """An item as its batch keeps it: payload and item_info are canonical JSON, parsed only by who needs them."""

    object_id: str
    payload_json: bytes | None
    item_info_json: bytes | None

    @property
    def payload(self) -> dict[str, Any] | None:
        return _parsed(self.payload_json)

    @property
    def item_info(self) -> dict[str, Any] | None:
        return _parsed(self.item_info_json)


def _parsed(data: bytes | None) -> dict[str, Any] | None:
    return None if data is None else cast("dict[str, Any]", json.loads(data))


def pack(items: Iterable[Item], digest: RequestDigest, ids: DistinctIds) -> Iterator[Body]:
    """Batches of the items, each closed at 256 items or 4 MiB of JSON; holds one batch in memory.

    `digest`, `ids`: are told of every item.

    Raises:
        InvalidRequest: an item that JSON in UTF-8 cannot hold.
    """
    stored: list[StoredItem] = []
    size = position = 0
    for item in items:
        encoded = _encode(item)
        ids.add(item.object_id)
        weight = _weigh(encoded, digest) + min(item.weight or _weight_of_source(encoded), _MAX_WEIGHT)
        if stored and (len(stored) == MAX_BATCH_ITEMS or size + weight > MAX_BATCH_BYTES):
            yield _close(stored, size, position)
            position += len(stored)
            stored, size = [], 0
        stored.append(encoded)
        size += weight
    if stored:
        yield _close(stored, size, position)


def _encode(item: Item) -> StoredItem:
    try:
        item.object_id.encode()
        payload = None if item.payload is None else canonical_json(item.payload).encode()
        item_info = None if item.item_info is None else canonical_json(item.item_info).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidRequest(f"item {item.object_id!a:.100}: expected values that JSON can hold: {error}") from error
    for data, value in ((payload, item.payload), (item_info, item.item_info)):
        # Few brackets cannot nest deeply: only then is it worth a walk.
        if data is not None and data.count(b"{") + data.count(b"[") > MAX_DEPTH and _is_too_deep(value):
            raise InvalidRequest(
                f"item {item.object_id!a:.100}: expected at most {MAX_DEPTH} levels of nesting, got more"
            )
    return StoredItem(item.object_id, payload, item_info)


def _is_too_deep(value: object) -> bool:
    level: list[object] = [value]
    for _ in range(MAX_DEPTH + 1):
        containers = [each for each in level if isinstance(each, dict | list)]
        level = [inner for each in containers for inner in (each.values() if isinstance(each, dict) else each)]
        if not containers:
            return False
    return True


def _weigh(item: StoredItem, digest: RequestDigest) -> int:
    """Count the item's bytes, and make them part of what identifies the request."""
    weight = 0
    for part in (item.object_id.encode(), item.payload_json, item.item_info_json):
        digest.add(part)
        weight += len(part or b"")
    return weight


def _weight_of_source(item: StoredItem) -> int:
    return 0 if is_fixed(item.item_info_json, is_upload=True) else _FETCHED_WEIGHT


def _close(items: list[StoredItem], size: int, position: int) -> Body:
    """A line of JSON with ids and lengths, then the items' JSON one after the other: read without parsing them."""
    index = [[item.object_id, _length(item.payload_json), _length(item.item_info_json)] for item in items]
    parts = [part for item in items for part in (item.payload_json, item.item_info_json) if part is not None]
    data = canonical_json(index).encode() + b"\n" + b"".join(parts)
    return Body(position, len(items), size, zlib.compress(data, 1) if len(data) > _PLAIN_BYTES else data)


def _length(part: bytes | None) -> int | None:
    return None if part is None else len(part)


class UnreadableBody(Exception):
    """The stored items are gone, or are not what was stored."""


def decode_body(data: bytes | None) -> list[StoredItem]:
    """The items of a stored body, in order.

    Raises:
        UnreadableBody: there is none, or it is damaged.
    """
    if data is None:
        raise UnreadableBody
    try:
        return _decode(data)
    except (ValueError, TypeError, zlib.error) as error:
        raise UnreadableBody from error


def _decode(data: bytes) -> list[StoredItem]:
    plain = data if data[:1] == b"[" else zlib.decompress(data)
    line, _, rest = plain.partition(b"\n")
    items: list[StoredItem] = []
    start = 0
    for object_id, payload, item_info in json.loads(line):
        middle = start + (payload or 0)
        end = middle + (item_info or 0)
        items.append(
            StoredItem(
                object_id,
                None if payload is None else rest[start:middle],
                None if item_info is None else rest[middle:end],
            )
        )
        start = end
    return items
