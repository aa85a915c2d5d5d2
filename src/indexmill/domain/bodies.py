"""Items as batches: where a batch closes, what its stored body looks like, what identifies the request."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np

from indexmill.domain.document import HASH_BYTES, canonical_json
from indexmill.domain.item_source import is_fixed
from indexmill.domain.job import Item
from indexmill.errors import InvalidRequest

__all__ = [
    "MAX_BATCH_BYTES",
    "MAX_BATCH_ITEMS",
    "MAX_DEPTH",
    "Body",
    "BodyHead",
    "DistinctIds",
    "RequestDigest",
    "StoredItem",
    "UnreadableBody",
    "decode_body",
    "decode_head",
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
#: Of an item that is equal to nothing: its content may change while it stays the same, or no store can hold its id.
_NO_DIGEST = bytes(HASH_BYTES)
#: A stored body begins with a mark, the number of its items, the length of their ids, a check sum of ids and digests.
_PREFIX = struct.Struct(">cIII")
_MARK = b"\x01"
#: To be copied: beginning a digest costs as much as the digest of a short item.
_BEGUN = hashlib.blake2b(digest_size=HASH_BYTES)


class RequestDigest:
    """The request's fingerprint: of what it asks and of its items' digests, in order."""

    def __init__(self, *parts: str) -> None:
        self._digest = hashlib.blake2b(digest_size=HASH_BYTES)
        for part in parts:
            piece = part.encode()
            self._digest.update(len(piece).to_bytes(8))
            self._digest.update(piece)

    def add(self, digests: bytes) -> None:
        """Add the digests of some items: how many at once makes no difference."""
        self._digest.update(digests)

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


def pack(items: Iterable[Item], digest: RequestDigest, ids: DistinctIds, *, is_upload: bool = False) -> Iterator[Body]:
    """Batches of the items, each closed at 256 items or 4 MiB of JSON; holds one batch in memory.

    `digest`, `ids`: are told of every item. `is_upload`: this service made their `item_info`, as for `is_fixed`.

    Raises:
        InvalidRequest: an item that JSON in UTF-8 cannot hold.
    """
    stored: list[StoredItem] = []
    digests: list[bytes] = []
    size = position = 0
    for item in items:
        encoded, name_bytes = _encode(item)
        ids.add(item.object_id)
        own_weight = name_bytes + len(encoded.payload_json or b"") + len(encoded.item_info_json or b"")
        weight = own_weight + min(item.weight or _weight_of_source(encoded), _MAX_WEIGHT)
        if stored and (len(stored) == MAX_BATCH_ITEMS or size + weight > MAX_BATCH_BYTES):
            digest.add(b"".join(digests))
            yield _close(stored, digests, size, position, is_upload=is_upload)
            position += len(stored)
            stored, digests, size = [], [], 0
        stored.append(encoded)
        digests.append(_digest_of(encoded))
        size += weight
    if stored:
        digest.add(b"".join(digests))
        yield _close(stored, digests, size, position, is_upload=is_upload)


def _encode(item: Item) -> tuple[StoredItem, int]:
    """The item as it is stored, and the bytes of its id."""
    try:
        name = item.object_id.encode()
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
    return StoredItem(item.object_id, payload, item_info), len(name)


def _digest_of(item: StoredItem) -> bytes:
    """16 bytes that change when anything of the item changes."""
    name, payload, item_info = item.object_id.encode(), item.payload_json, item.item_info_json
    digest = _BEGUN.copy()
    # The lengths say where each part ends; -1: there is none.
    digest.update(
        b"%d %d %d\0%b%b%b"
        % (
            len(name),
            -1 if payload is None else len(payload),
            -1 if item_info is None else len(item_info),
            name,
            payload or b"",
            item_info or b"",
        )
    )
    return digest.digest()


def _is_too_deep(value: object) -> bool:
    level: list[object] = [value]
    for _ in range(MAX_DEPTH + 1):
        containers = [each for each in level if isinstance(each, dict | list)]
        level = [inner for each in containers for inner in (each.values() if isinstance(each, dict) else each)]
        if not containers:
            return False
    return True


def _weight_of_source(item: StoredItem) -> int:
    return 0 if is_fixed(item.item_info_json, is_upload=True) else _FETCHED_WEIGHT


def _close(items: list[StoredItem], digests: list[bytes], size: int, position: int, *, is_upload: bool) -> Body:
    """What comparing needs comes first, in plain: the ids and the digests. Behind them, compressed, a line of JSON with
    lengths, then the items' JSON one after the other: read without parsing it.
    """
    ids = canonical_json([item.object_id for item in items]).encode()
    compared = b"".join(
        digest if is_fixed(item.item_info_json, is_upload=is_upload) and "\0" not in item.object_id else _NO_DIGEST
        for item, digest in zip(items, digests, strict=True)
    )
    lengths = [[_length(item.payload_json), _length(item.item_info_json)] for item in items]
    parts = [part for item in items for part in (item.payload_json, item.item_info_json) if part is not None]
    data = canonical_json(lengths).encode() + b"\n" + b"".join(parts)
    rest = zlib.compress(data, 1) if len(data) > _PLAIN_BYTES else data
    prefix = _PREFIX.pack(_MARK, len(items), len(ids), zlib.crc32(compared, zlib.crc32(ids)))
    return Body(position, len(items), size, b"".join((prefix, ids, compared, rest)))


def _length(part: bytes | None) -> int | None:
    return None if part is None else len(part)


class UnreadableBody(Exception):
    """The stored items are gone, or are not what was stored."""


@dataclass(frozen=True, slots=True)
class BodyHead:
    """What is compared of a stored body. `ids_json`: a JSON list of strings; `digests`: 16 bytes an item.

    An item of which nobody can say that it is as stored has a digest of zeros.
    """

    items: int
    ids_json: bytes
    digests: bytes

    @property
    def ids(self) -> list[str]:
        return cast("list[str]", json.loads(self.ids_json))


def decode_head(data: bytes | None) -> BodyHead:
    """What comes first in a stored body.

    Raises:
        UnreadableBody: there is none, or it is damaged.
    """
    if data is None or len(data) < _PREFIX.size:
        raise UnreadableBody
    mark, items, length, check_sum = _PREFIX.unpack_from(data)
    middle = _PREFIX.size + length
    head = BodyHead(items, data[_PREFIX.size : middle], data[middle : middle + items * HASH_BYTES])
    if mark != _MARK or len(head.digests) != items * HASH_BYTES:
        raise UnreadableBody
    if zlib.crc32(head.digests, zlib.crc32(head.ids_json)) != check_sum:
        raise UnreadableBody
    return head


def decode_body(data: bytes | None) -> list[StoredItem]:
    """The items of a stored body, in order.

    Raises:
        UnreadableBody: there is none, or it is damaged.
    """
    head = decode_head(data)
    rest = (data or b"")[_PREFIX.size + len(head.ids_json) + len(head.digests) :]
    try:
        return _decode(head, rest)
    except (ValueError, TypeError, zlib.error) as error:
        raise UnreadableBody from error


def _decode(head: BodyHead, rest: bytes) -> list[StoredItem]:
    line, _, contents = (rest if rest[:1] == b"[" else zlib.decompress(rest)).partition(b"\n")
    items: list[StoredItem] = []
    start = 0
    for object_id, (payload, item_info) in zip(head.ids, json.loads(line), strict=True):
        middle = start + (payload or 0)
        end = middle + (item_info or 0)
        items.append(
            StoredItem(
                object_id,
                None if payload is None else contents[start:middle],
                None if item_info is None else contents[middle:end],
            )
        )
        start = end
    return items
