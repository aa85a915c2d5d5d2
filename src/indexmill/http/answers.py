"""Ready-made answers: JSON bytes without a second validation, and timestamps as the wire has them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response

__all__ = ["json_answer", "timestamp"]


def json_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`content` holds only what JSON has; a number that is not finite becomes null."""
    body = to_json(content, inf_nan_mode="null")
    return Response(body, status, headers, media_type="application/json")


def timestamp(moment: datetime) -> str:
    """RFC 3339, UTC, with `Z`."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
