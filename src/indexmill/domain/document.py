"""What a document's state is decided by: versions, fingerprints, canonical JSON."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

__all__ = ["Version", "canonical_json", "fingerprint", "payload_hash"]


@dataclass(frozen=True, order=True, slots=True)
class Version:
    """Who wins: the job's sequence number, then the item's position in the job."""

    seq: int
    position: int


def canonical_json(value: object) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(text: str, recipe: str) -> bytes:
    """16 bytes that change when the text or how it becomes vectors (model and splitting: `recipe`) changes."""
    digest = hashlib.blake2b(recipe.encode(), digest_size=16)
    digest.update(b"\0")
    digest.update(text.encode())
    return digest.digest()


def payload_hash(payload: dict[str, Any] | None, item_info: dict[str, Any] | None) -> bytes:
    """16 bytes that change when what is stored beside the vectors changes."""
    return hashlib.blake2b(canonical_json([payload, item_info]).encode(), digest_size=16).digest()
