"""What a document's state is decided by: versions, fingerprints, canonical JSON."""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

__all__ = [
    "StoredPart",
    "Version",
    "canonical_json",
    "document_fingerprint",
    "fingerprint",
    "part_numbers",
    "parts_from_json",
    "parts_json",
    "payload_hash",
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
    digest = _begun(recipe).copy()
    for part in (payload, item_info):
        digest.update(b"\0" if part is None else b"\1%d\0" % len(part) + part)
    return digest.digest()


@lru_cache(maxsize=64)
def _begun(recipe: str) -> hashlib.blake2b:
    """To be copied: beginning a digest costs as much as the digest of a short item."""
    return hashlib.blake2b(recipe.encode(), digest_size=16)


def part_numbers(parts: Sequence[StoredPart], starts: Iterable[int]) -> list[int]:
    """In which part what starts there lies, counted from 1; 0: before the first one. `parts`: in their order."""
    beginnings = [part.start for part in parts]
    return [bisect_right(beginnings, start) for start in starts]


def parts_json(parts: Sequence[StoredPart]) -> str:
    return with_plain_floats(canonical_json([[part.start, part.metadata] for part in parts]))


def parts_from_json(stored: Sequence[tuple[int, dict[str, Any]]] | None) -> tuple[StoredPart, ...]:
    return tuple(StoredPart(start, metadata) for start, metadata in stored or ())
