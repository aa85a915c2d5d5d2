"""Loading: stored bodies become items, items give their text; what the store cannot hold fails here, alone."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from indexmill.domain.bodies import UnreadableBody, decode_body, decode_head
from indexmill.domain.failure import FailureCode, Stage
from indexmill.domain.item_source import own_splitting
from indexmill.domain.outcome import open_positions
from indexmill.errors import ItemError
from indexmill.ledger.claims import ClaimedBatch
from indexmill.pipeline.window import Window, WorkItem

__all__ = ["check_storable", "load_bodies", "load_heads", "load_items", "load_texts"]


def load_heads(window: Window) -> set[UUID]:
    """Give the window what is compared of its batches. The jobs of which something cannot be read."""
    return {batch.job for batch in window.claim.batches if not _load_head(window, batch)}


def load_bodies(window: Window) -> set[UUID]:
    """Give the window what its batches hold; nothing of it is parsed. The jobs of which something cannot be read."""
    return {batch.job for batch in window.claim.batches if not _load_body(window, batch)}


def _load_head(window: Window, batch: ClaimedBatch) -> bool:
    try:
        head = window.heads[batch.key] = decode_head(batch.body)
    except UnreadableBody:
        return False
    return head.items == batch.items


def _load_body(window: Window, batch: ClaimedBatch) -> bool:
    try:
        window.contents[batch.key] = decode_body(batch.body)
    except UnreadableBody:
        return False
    return len(window.contents[batch.key]) == batch.items


def load_items(window: Window) -> None:
    """Fill the window with the open items of its batches, numbered."""
    for batch in window.claim.batches:
        contents = window.contents[batch.key]
        for position in open_positions(batch.outcomes, batch.first_position, batch.items, batch.set_aside):
            content = contents[position - batch.first_position]
            item = WorkItem(len(window.items), batch, position, content)
            item.splitting = own_splitting(batch.kind, content.item_info_json)
            check_id(item)
            window.items.append(item)


def load_texts(items: list[WorkItem], keys: tuple[str, ...], max_bytes: int) -> None:
    """Give every item its text; one that has none, or that the store cannot hold, fails with what was looked for."""
    for item in items:
        try:
            _load(item, keys, max_bytes)
        except ItemError as error:
            item.fail_by(error)


def check_storable(item: WorkItem) -> None:
    """The store holds no NUL. What came with an upload is not stored as it came: its text is read, its name cleaned.

    Raises:
        ItemError
    """
    _check_storable(item.content.payload_json, "payload")
    if not item.is_upload:
        _check_storable(item.content.item_info_json, "item_info")


def _load(item: WorkItem, keys: tuple[str, ...], max_bytes: int) -> None:
    check_storable(item)
    payload = item.content.payload
    item.text = _text(payload or {}, keys)
    if len(item.text) > max_bytes or len(item.text.encode()) > max_bytes:
        raise ItemError(
            Stage.EXTRACT,
            FailureCode.TOO_LARGE,
            f"The text has more than the allowed {max_bytes} bytes; split it or raise `worker.max_text_bytes`",
            retryable=False,
        )


def _text(payload: dict[str, Any], keys: tuple[str, ...]) -> str:
    wanted = " or ".join(f"`payload.{key}`" for key in keys)
    parts: list[str] = []
    for key in keys:
        value = payload.get(key)
        if value is not None and not isinstance(value, str):
            raise ItemError(
                Stage.LOAD,
                FailureCode.NO_CONTENT,
                f"`payload.{key}`: expected a string to embed, got {type(value).__name__} {_short(value)}",
                retryable=False,
            )
        if value:
            parts.append(value)
    text = "\n".join(parts)
    if not text.strip():
        raise ItemError(
            Stage.LOAD,
            FailureCode.NO_CONTENT,
            f"Expected text in {wanted} or a source in `item_info.source`, found neither",
            retryable=False,
        )
    return text


def check_id(item: WorkItem) -> None:
    """PostgreSQL's text holds no NUL; such an id fails before anything asks for it."""
    if "\0" in item.object_id:
        item.fail(
            Stage.WRITE, FailureCode.INVALID_TEXT, "`object_id` holds a NUL character; remove it", retryable=False
        )


def _check_storable(data: bytes | None, name: str) -> None:
    # The cheap test also finds an escaped backslash before "u0000"; only then is it worth a walk.
    if data is not None and b"\\u0000" in data and _holds_nul(json.loads(data)):
        raise ItemError(
            Stage.WRITE, FailureCode.INVALID_TEXT, f"`{name}` holds a NUL character; remove it", retryable=False
        )


def _holds_nul(value: object) -> bool:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str) and "\0" in each:
            return True
        if isinstance(each, dict):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, list):
            waiting += each
    return False


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
