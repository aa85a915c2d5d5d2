"""Callbacks: what a caller may ask for, and the events of a job that it is then told of."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, TypeAlias
from uuid import UUID

from indexmill.domain.job import Job
from indexmill.errors import Forbidden, InvalidRequest

__all__ = ["CallbackEvent", "CallbackKind", "CallbackMessage", "Compose", "checked_callback"]

#: AMQP's limit of a name.
_MAX_NAME_BYTES: Final = 255
_MAX_PROPERTIES_BYTES: Final = 16 * 1024
_ROUTING_KEYS: Final = ("routing_key_done", "routing_key_progress", "routing_key_error")


class CallbackKind(StrEnum):
    #: The job has come so far.
    PROGRESS = "progress"
    #: The job succeeded.
    DONE = "done"
    #: The job ended otherwise.
    ERROR = "error"


@dataclass(frozen=True)
class CallbackEvent:
    """One message to be sent. `data`: step and percentage, or state, reason, detail and first failures of the end.

    `refused_seconds`: how long the broker has been refusing it.
    """

    id: int
    job: UUID
    attempt: int
    kind: CallbackKind
    exchange: str
    routing_key: str | None
    data: dict[str, Any]
    properties: dict[str, Any]
    created_at: datetime
    tries: int
    refused_seconds: float

    @property
    def message_id(self) -> str:
        """The same at every try, so that a receiver can tell a message that came twice."""
        step = f".{self.data['current_step']}" if self.kind is CallbackKind.PROGRESS else ""
        return f"{self.job}.{self.attempt}.{self.kind}{step}"


@dataclass(frozen=True)
class CallbackMessage:
    """What a front door makes of an event. `type` is the routing key where the caller named none."""

    type: str
    body: bytes


#: Makes the message of an event; None where the job's front door has none for it.
Compose: TypeAlias = Callable[[Job, CallbackEvent], CallbackMessage | None]


def checked_callback(value: object, allowed: Collection[str]) -> dict[str, Any]:
    """The `callback` of a request as a submission takes it; what it has beside the documented form is left out.

    `allowed`: the setting `callbacks.allowed_exchanges`.

    Raises:
        InvalidRequest: it does not have the documented form.
        Forbidden: the setting does not name its exchange.
    """
    if not isinstance(value, dict) or not isinstance(value.get("amqp"), dict):
        raise InvalidRequest('callback: expected {"amqp": {"exchange": ...}, "properties": {...}}')
    amqp = value["amqp"]
    checked = {"exchange": _name("callback.amqp.exchange", amqp.get("exchange"))}
    for field in _ROUTING_KEYS:
        if amqp.get(field) is not None:
            checked[field] = _name(f"callback.amqp.{field}", amqp[field])
    properties = _properties(value.get("properties"))
    if checked["exchange"] not in allowed:
        raise Forbidden(
            f"callback.amqp.exchange: expected one that the setting callbacks.allowed_exchanges names, "
            f"got {checked['exchange']!r}; ask the operator to add it"
        )
    return {"amqp": checked, "properties": properties}


def _name(where: str, value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value or not _fits(value):
        raise InvalidRequest(f"{where}: expected a text of 1 to {_MAX_NAME_BYTES} bytes, got {str(value)[:100]!r}")
    return value


def _fits(value: str) -> bool:
    try:
        return len(value.encode()) <= _MAX_NAME_BYTES
    except UnicodeEncodeError:
        return False


def _properties(value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRequest("callback.properties: expected an object")
    try:
        size = len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
    except (TypeError, ValueError) as error:
        # A number that is none, half a surrogate pair, or what is no JSON at all.
        raise InvalidRequest("callback.properties: expected an object of JSON values") from error
    if size > _MAX_PROPERTIES_BYTES:
        raise InvalidRequest(f"callback.properties: expected at most {_MAX_PROPERTIES_BYTES} bytes of JSON, got {size}")
    if "\\u0000" in json.dumps(value).replace("\\\\", ""):
        raise InvalidRequest("callback.properties: expected texts without NUL characters")
    return value
