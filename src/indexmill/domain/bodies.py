"""Items as batches: where a batch closes, what its stored body looks like, what identifies the request."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import numpy as np

from indexmill.domain.document import HASH_BYTES, canonical_json, canonical_object
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

    def add(self, ids: Iterable[str]) -> None:
        if len(self._hashes) < _MAX_IDS:
            # Of this process alone: nobody can choose ids that collide.
            self._hashes.extend(map(hash, ids))
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
    batch = _OpenBatch(0)
    for item in items:
        name, payload, item_info = _encode(item)
        weight = len(name) + len(payload or b"") + len(item_info or b"") + min(item.weight, _MAX_WEIGHT)
        if item_info is not None and not item.weight and not is_fixed(item_info, is_upload=True):
            weight += _FETCHED_WEIGHT
        if batch.ids and (len(batch.ids) == MAX_BATCH_ITEMS or batch.size + weight > MAX_BATCH_BYTES):
            yield batch.close(digest, ids)
            batch = _OpenBatch(batch.position + len(batch.ids))
        own = _digest_of(name, payload, item_info)
        is_comparable = (item_info is None or is_fixed(item_info, is_upload=is_upload)) and b"\0" not in name
        batch.ids.append(item.object_id)
        batch.lengths.append((None if payload is None else len(payload), None if item_info is None else len(item_info)))
        batch.parts += (payload or b"", item_info or b"")
        batch.digests.append(own)
        batch.compared.append(own if is_comparable else _NO_DIGEST)
        batch.size += weight
    if batch.ids:
        yield batch.close(digest, ids)


@dataclass(slots=True)
class _OpenBatch:
    """The items that have come so far, each list in their order, from that position of the job on."""

    position: int
    ids: list[str] = field(default_factory=list)
    #: Bytes of payload and item_info; None: there is none.
    lengths: list[tuple[int | None, int | None]] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    #: What is compared with what is stored: the digests, but for items that are equal to nothing.
    compared: list[bytes] = field(default_factory=list)
    size: int = 0

    def close(self, digest: RequestDigest, ids: DistinctIds) -> Body:
        """What comparing needs comes first, in plain: the ids and the digests. Behind them, compressed, a line of JSON
        with lengths, then the items' JSON one after the other: read without parsing it.
        """
        digest.add(b"".join(self.digests))
        ids.add(self.ids)
        names, compared = canonical_json(self.ids).encode(), b"".join(self.compared)
        data = b"".join((canonical_json(self.lengths).encode(), b"\n", *self.parts))
        rest = zlib.compress(data, 1) if len(data) > _PLAIN_BYTES else data
        check_sum = zlib.crc32(compared, zlib.crc32(names))
        prefix = _PREFIX.pack(_MARK, len(self.ids), len(names), check_sum)
        return Body(self.position, len(self.ids), self.size, b"".join((prefix, names, compared, rest)))


def _encode(item: Item) -> tuple[bytes, bytes | None, bytes | None]:
    """The item's id, payload and item_info as they are stored."""
    try:
        name = item.object_id.encode()
        payload = None if item.payload is None else canonical_object(item.payload)
        item_info = None if item.item_info is None else canonical_object(item.item_info)
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidRequest(f"item {item.object_id!a:.100}: expected values that JSON can hold: {error}") from error
    for data, value in ((payload, item.payload), (item_info, item.item_info)):
        # Few brackets cannot nest deeply: only then is it worth a walk.
        if data is not None and data.count(b"{") + data.count(b"[") > MAX_DEPTH and _is_too_deep(value):
            raise InvalidRequest(
                f"item {item.object_id!a:.100}: expected at most {MAX_DEPTH} levels of nesting, got more"
            )
    return name, payload, item_info


def _digest_of(name: bytes, payload: bytes | None, item_info: bytes | None) -> bytes:
    """16 bytes that change when anything of the item changes."""
    digest = _BEGUN.copy()
    # The lengths say where each part ends; -1: there is none.
    lengths = len(name), -1 if payload is None else len(payload), -1 if item_info is None else len(item_info)
    digest.update(b"%d %d %d\0%b%b%b" % (*lengths, name, payload or b"", item_info or b""))
    return digest.digest()


def _is_too_deep(value: object) -> bool:
    level: list[object] = [value]
    for _ in range(MAX_DEPTH + 1):
        containers = [each for each in level if isinstance(each, dict | list)]
        level = [inner for each in containers for inner in (each.values() if isinstance(each, dict) else each)]
        if not containers:
            return False
    return True


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
