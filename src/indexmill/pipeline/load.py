"""Loading: stored bodies become items, items give their text, and what the store cannot hold fails here, alone."""

from __future__ import annotations

from typing import Any

from indexmill.domain.bodies import decode_body
from indexmill.domain.document import canonical_json, payload_hash
from indexmill.domain.outcome import FailureCode, ItemStatus, Stage, decode_outcomes
from indexmill.errors import ItemError
from indexmill.models.embedding_model import text_keys
from indexmill.pipeline.window import Window, WorkItem

__all__ = ["load_items", "load_texts"]

#: Items with these outcomes run (again); the others are decided.
_OPEN = (ItemStatus.OPEN, ItemStatus.FAILED, ItemStatus.CANCELLED)


def load_items(window: Window) -> None:
    """Fill the window with the open items of its batches, numbered."""
    for batch in window.claim.batches:
        statuses = decode_outcomes(batch.outcomes, batch.items)["status"].tolist()
        set_aside = set(batch.set_aside)
        for index, item in enumerate(decode_body(batch.body)):
            position = batch.first_position + index
            if statuses[index] in _OPEN and position not in set_aside:
                number = len(window.items)
                window.items.append(WorkItem(number, batch, position, item.object_id, item.payload, item.item_info))


def load_texts(window: Window, max_bytes: int) -> None:
    """Give every item its text, payload JSON and hash; an item that has none of it fails with what was looked for."""
    keys: dict[int, tuple[str, ...]] = {
        number: text_keys(collection.deployment.settings) for number, collection in window.collections.items()
    }
    for item in window.items:
        try:
            _load(item, keys[item.batch.collection], max_bytes)
        except ItemError as error:
            item.fail_by(error)


def _load(item: WorkItem, keys: tuple[str, ...], max_bytes: int) -> None:
    _check_id(item.object_id)
    item.payload_json = _storable_json(item.payload, "payload")
    item.item_info_json = _storable_json(item.item_info, "item_info")
    item.payload_hash = payload_hash(item.payload, item.item_info)
    item.text = _text(item, keys)
    if len(item.text) > max_bytes or len(item.text.encode()) > max_bytes:
        raise ItemError(
            Stage.EXTRACT,
            FailureCode.TOO_LARGE,
            f"The text has more than the allowed {max_bytes} bytes; split it or raise `worker.max_text_bytes`",
            retryable=False,
        )


def _text(item: WorkItem, keys: tuple[str, ...]) -> str:
    if item.item_info is not None and "source" in item.item_info:
        raise ItemError(
            Stage.LOAD,
            FailureCode.SOURCE_UNAVAILABLE,
            f"`item_info.source` names the source {_short(item.item_info['source'])}, but this service reads no "
            "sources yet; send the text in the payload",
            retryable=False,
        )
    wanted = " or ".join(f"`payload.{key}`" for key in keys)
    parts: list[str] = []
    for key in keys:
        value = (item.payload or {}).get(key)
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


def _check_id(object_id: str) -> None:
    if "\0" in object_id:
        raise ItemError(
            Stage.WRITE, FailureCode.INVALID_TEXT, "`object_id` holds a NUL character; remove it", retryable=False
        )


def _storable_json(value: dict[str, Any] | None, name: str) -> str | None:
    if value is None:
        return None
    text = canonical_json(value)
    # The cheap test also finds an escaped backslash before "u0000"; only then is it worth a walk.
    if "\\u0000" in text and _holds_nul(value):
        raise ItemError(
            Stage.WRITE, FailureCode.INVALID_TEXT, f"`{name}` holds a NUL character; remove it", retryable=False
        )
    return text


def _holds_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(key) or _holds_nul(each) for key, each in value.items())
    return isinstance(value, list) and any(_holds_nul(each) for each in value)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
