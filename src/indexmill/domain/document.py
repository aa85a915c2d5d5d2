"""What a document's state is decided by: versions, fingerprints, canonical JSON."""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from pydantic_core import to_json

__all__ = [
    "HASH_BYTES",
    "StoredPart",
    "Version",
    "canonical_json",
    "canonical_object",
    "document_fingerprint",
    "fingerprint",
    "part_numbers",
    "parts_from_json",
    "parts_json",
    "payload_hash",
    "payload_hashes",
    "with_plain_floats",
]


@dataclass(frozen=True, order=True, slots=True)
class Version:
    """Who wins: the job's sequence number, then the item's position in the job."""

    seq: int
    position: int


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A section of a document with metadata of its own, from `start`, in characters of the text, to the next one."""

    start: int
    metadata: dict[str, Any]


#: Of a payload hash, and of an item's digest.
HASH_BYTES = 16
#: Another one where documents would become another text.
_READING = "reading-1"
# One encoder for all: `json.dumps` with these options would make a new one at every call.
_encoder = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text.

    Raises:
        ValueError, TypeError, RecursionError: JSON cannot hold the value.
    """
    return _encoder.encode(value)


#: Values that have one form only, whoever writes them.
_PLAIN = frozenset({str, int, bool, type(None)})
_NAMES = frozenset({str})
#: Of an integer that Python writes and reads.
_MAX_DIGITS = 4300


def canonical_object(value: dict[str, Any]) -> bytes:
    """`canonical_json` of an object, in UTF-8: a quicker encoder writes the usual flat ones, in the very same bytes.

    Raises:
        ValueError, TypeError, RecursionError: as `canonical_json`.
    """
    types = set(map(type, value.values()))
    if types <= _PLAIN and _NAMES.issuperset(map(type, value)):
        data = to_json({name: value[name] for name in sorted(value)})
        # It would also write an integer that nobody reads again.
        if len(data) <= _MAX_DIGITS or int not in types:
            return data
    return canonical_json(value).encode()


#: A string, which is left alone, or a number as Python writes floats of 1e16 and more.
_LARGE_FLOAT = re.compile(r'"(?:[^"\\]|\\.)*+"|-?[0-9.]++e\+[0-9]++')


def with_plain_floats(text: str) -> str:
    """Canonical JSON with floats of 1e16 and more written out, 1e+16 as 10000000000000000.0.

    PostgreSQL's `jsonb` keeps the digits of a number, not its exponent: it would give an integer back.
    """
    return _LARGE_FLOAT.sub(_plain, text) if "e+" in text else text


def _plain(found: re.Match[str]) -> str:
    token = found[0]
    return token if token[0] == '"' else f"{Decimal(token):f}.0"


def fingerprint(text: str, recipe: str) -> bytes:
    """16 bytes that change when the text or how it becomes vectors (model and splitting: `recipe`) changes."""
    digest = hashlib.blake2b(recipe.encode(), digest_size=16)
    digest.update(b"\0")
    digest.update(text.encode())
    return digest.digest()


def document_fingerprint(sha256: str, file_type: str, recipe: str) -> bytes:
    """`fingerprint` of a document by its bytes, so that the same bytes need no text: they are read in the same way."""
    return fingerprint(f"{_READING}/{file_type}/{sha256}", recipe)


def payload_hash(recipe: str, payload: bytes | None, item_info: bytes | None) -> bytes:
    """16 bytes that change when what an item says changes, or how it becomes vectors: equal ones, equal documents.

    `payload`, `item_info`: their canonical JSON.
    """
    digest = hashlib.blake2b(recipe.encode(), digest_size=HASH_BYTES)
    for part in (payload, item_info):
        digest.update(b"\0" if part is None else b"\1%d\0" % len(part) + part)
    return digest.digest()


def payload_hashes(recipe: str, digests: bytes) -> bytes:
    """The payload hashes of items by their digests, 16 bytes each: all of a batch at once.

    Another recipe gives other hashes, since the recipe's own digest is laid over each of them.
    """
    over = np.frombuffer(hashlib.blake2b(recipe.encode(), digest_size=HASH_BYTES).digest(), np.uint64)
    return (np.frombuffer(digests, np.uint64).reshape(-1, 2) ^ over).tobytes()


def part_numbers(parts: Sequence[StoredPart], starts: Iterable[int]) -> list[int]:
    """In which part what starts there lies, counted from 1; 0: before the first one. `parts`: in their order."""
    beginnings = [part.start for part in parts]
    return [bisect_right(beginnings, start) for start in starts]


def parts_json(parts: Sequence[StoredPart]) -> str:
    return with_plain_floats(canonical_json([[part.start, part.metadata] for part in parts]))


def parts_from_json(stored: Sequence[tuple[int, dict[str, Any]]] | None) -> tuple[StoredPart, ...]:
    return tuple(StoredPart(start, metadata) for start, metadata in stored or ())
