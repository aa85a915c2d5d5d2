"""JSON text as values: what the standard allows and nothing more, so that what was read can be written again."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json, to_json

__all__ = ["check_finite", "parse_json"]


def parse_json(text: bytes | bytearray) -> Any:
    """The JSON value: no NaN, Infinity or lone surrogate, under 200 levels deep, integers of at most 4,300 digits.

    Raises:
        ValueError: it is no such text.
    """
    value = from_json(text, allow_inf_nan=False)
    check_finite(value)
    return value


def check_finite(value: Any) -> None:
    """1e999 is JSON, and is infinite once read: looked for in the words that a value with one is written with.

    Raises:
        ValueError: there is one.
    """
    if b"Infinity" in to_json(value, inf_nan_mode="constants") and _has_infinity(value):
        raise ValueError("a number is too large for a 64-bit float")


def _has_infinity(value: Any) -> bool:
    if isinstance(value, float):
        return value in (float("inf"), float("-inf"))
    if isinstance(value, dict):
        return any(_has_infinity(each) for each in value.values())
    return isinstance(value, list) and any(_has_infinity(each) for each in value)
