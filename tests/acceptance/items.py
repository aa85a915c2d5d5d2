"""Items for tasks."""

from __future__ import annotations

from typing import Any

__all__ = ["FILLER", "item", "long_items", "short_items"]

#: Fills an item up to about 1,100 bytes, so that a batch of 256 is more than a worker's first window takes.
FILLER = "lorem ipsum dolor sit amet " * 40


def item(object_id: str, text: str, **payload: Any) -> dict[str, Any]:
    return {"object_id": object_id, "payload": {"text": text, **payload}}


def short_items(count: int, prefix: str = "doc", *, version: str = "first") -> list[dict[str, Any]]:
    return [item(f"{prefix}-{number}", f"{prefix} {number} {version}") for number in range(count)]


def long_items(count: int, prefix: str = "doc", *, version: str = "first") -> list[dict[str, Any]]:
    """Distinct texts of about 1,100 bytes: a window is one batch of 256."""
    return [item(f"{prefix}-{number}", f"{prefix} {number} {version} {FILLER}") for number in range(count)]
