"""The messages that front door 2 sends about its tasks: their types, their bodies, and failures as its error codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from indexmill.domain.callback import CallbackEvent, CallbackKind, CallbackMessage
from indexmill.domain.job import Job, JobKind

__all__ = ["callback_message", "error_code"]

_INGEST: Final = "pgpt.vector_index_task"
_DELETE: Final = "pgpt.delete_ingested_task"

#: Failure code -> the code in `zpgt.ingest.<code>.error`; what is not here could not be processed.
_ERROR_CODES: Final = {
    "too_large": "invalid_file_size",
    "malformed_file": "malformed_file",
    "invalid_text": "malformed_file",
    "unsupported_type": "invalid_file_extension",
    "mismatched_type": "mismatched_mime_type",
    "encrypted_file": "encrypted_file",
    "no_content": "no_valid_nodes",
    "too_many_chunks": "exceeds_max_nodes",
}
_OTHER: Final = "parsing_failure"
_REVOKED: Final = "revoked"


def callback_message(
    job: Job, event: CallbackEvent, ingest_response: Callable[[Job, CallbackEvent], dict[str, Any]]
) -> CallbackMessage | None:
    """The message of this event; `ingest_response` gives the documented result of an ingest that succeeded."""
    is_delete = job.kind is JobKind.DELETION
    if is_delete and event.kind is CallbackKind.PROGRESS:
        return None
    data: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    match event.kind:
        case CallbackKind.PROGRESS:
            data = {
                "percentage": event.data["percentage"],
                "warnings": None,
                "current_step": event.data["current_step"],
            }
        case CallbackKind.DONE:
            data = None if is_delete else ingest_response(job, event)
        case CallbackKind.ERROR:
            error = {"errors": _errors(event.data), "warnings": None}
    message_type = f"{_DELETE if is_delete else _INGEST}.{event.kind}"
    body = {"data": data, "type": message_type, "error": error, "callback_properties": event.properties}
    return CallbackMessage(message_type, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())


def error_code(failure: str) -> str:
    """The error code of this door for a failure code of ours."""
    return f"zpgt.ingest.{_ERROR_CODES.get(failure, _OTHER)}.error"


def _errors(end: dict[str, Any]) -> list[str]:
    """Each code once, in the order of the failed items."""
    if end["state"] == "cancelled":
        return [f"zpgt.ingest.{_REVOKED}.error"]
    return list(dict.fromkeys(error_code(each["code"]) for each in end["failures"])) or [error_code(_OTHER)]
