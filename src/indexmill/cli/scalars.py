"""`key=value` on the command line: the value is JSON where it reads as JSON, else a string."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

__all__ = ["key_values"]


def key_values(ctx: click.Context, parameter: click.Parameter, given: Sequence[str]) -> dict[str, Any]:
    """For `click.option(callback=...)`: a mapping from repeated `key=value`."""
    pairs: dict[str, Any] = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"expected KEY=VALUE, got {each!r}", ctx, parameter)
        if key in pairs:
            raise click.BadParameter(f"expected each key once, got {key!r} twice", ctx, parameter)
        pairs[key] = _value(value)
    return pairs


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_not_json)
    except (ValueError, RecursionError):
        return text


def _not_json(constant: str) -> Any:
    raise ValueError(constant)
