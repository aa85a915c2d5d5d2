"""A document that is given in parts: one text, where each part begins in it, and what its metadata say."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from indexmill.domain.document import StoredPart, canonical_json

__all__ = ["PartedText", "parted_text", "parts_value", "spans_of_parts"]

_BETWEEN = "\n\n"


@dataclass(frozen=True)
class PartedText:
    """`text`: all parts one after the other. `whole_parts`: a part is a chunk, however long it is.

    `sha256`: of what is embedded; `digest`: of all that was given.
    """

    text: str
    parts: tuple[StoredPart, ...]
    whole_parts: bool
    sha256: str
    digest: str

    def spans_of_parts(self) -> list[tuple[int, int]]:
        """Where each part begins and ends."""
        return spans_of_parts(self.parts, len(self.text))


def spans_of_parts(parts: Sequence[StoredPart], length: int) -> list[tuple[int, int]]:
    """Where each of these parts of a text of this length begins and ends."""
    ends = [part.start - len(_BETWEEN) for part in parts[1:]] + [length]
    return [(part.start, end) for part, end in zip(parts, ends, strict=True)]


def parts_value(parts: Sequence[tuple[str, dict[str, Any]]], *, whole_parts: bool, digest: str) -> dict[str, Any]:
    """As an item's `item_info` keeps it: text and metadata of each part."""
    return {"parts": [[text, metadata] for text, metadata in parts], "whole_parts": whole_parts, "digest": digest}


def parted_text(value: dict[str, Any]) -> PartedText:
    """What `parts_value` made. A part without text is none."""
    texts: list[str] = []
    parts: list[StoredPart] = []
    start = 0
    for text, metadata in value["parts"]:
        if not text.strip():
            continue
        parts.append(StoredPart(start, metadata))
        texts.append(text)
        start += len(text) + len(_BETWEEN)
    whole_parts = bool(value["whole_parts"])
    said = canonical_json([texts, whole_parts]).encode("utf-8", "replace")
    return PartedText(
        _BETWEEN.join(texts), tuple(parts), whole_parts, hashlib.sha256(said).hexdigest(), value["digest"]
    )
