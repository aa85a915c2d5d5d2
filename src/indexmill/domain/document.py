"""What a document's state is decided by: versions, fingerprints, canonical JSON."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

__all__ = ["Version", "canonical_json", "document_fingerprint", "fingerprint", "payload_hash"]


@dataclass(frozen=True, order=True, slots=True)
class Version:
    """Who wins: the job's sequence number, then the item's position in the job."""

    seq: int
    position: int


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
    digest = hashlib.blake2b(recipe.encode(), digest_size=16)
    for part in (payload, item_info):
        digest.update(b"\0" if part is None else b"\1%d\0" % len(part) + part)
    return digest.digest()
