"""Splitting: which stretches of a document's text become chunks. Today a document is one chunk."""

from __future__ import annotations

from indexmill.pipeline.window import WorkItem

__all__ = ["split_items"]


def split_items(items: list[WorkItem]) -> None:
    """Give every item the spans of its chunks, in characters of its text."""
    for item in items:
        item.spans = ((0, len(item.text or "")),)
