"""Metadata as both versions give it: a JSON object, in a string or as it is, that can be stored."""

from __future__ import annotations

from typing import Any

from indexmill.errors import InvalidRequest
from indexmill.http.json_values import parse_json

__all__ = ["metadata_of", "of_section", "storable"]


def metadata_of(text: str, place: str) -> dict[str, Any]:
    """The object that the JSON in `text` is; empty where there is none, or null, as clients write what nobody said.

    Raises:
        InvalidRequest: it is no such JSON, or cannot be stored.
    """
    if not text.strip():
        return {}
    try:
        value = parse_json(text.encode())
    except ValueError as error:
        raise InvalidRequest(f"{place}: expected JSON in a string: {error}") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRequest(f"{place}: expected a JSON object in a string, got {type(value).__name__}")
    return storable(value, place)


def storable(metadata: dict[str, Any], place: str) -> dict[str, Any]:
    """The same.

    Raises:
        InvalidRequest: PostgreSQL cannot hold it.
    """
    if _has_nul(metadata):
        raise InvalidRequest(f"{place}: expected text without NUL characters")
    return metadata


def of_section(number: int | None, metadata: dict[str, Any]) -> dict[str, Any]:
    """The metadata of a section's parts: its id, as `section`, and what is said of it."""
    return metadata if number is None else {"section": number, **metadata}


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(name) or _has_nul(each) for name, each in value.items())
    return isinstance(value, list) and any(_has_nul(each) for each in value)
