"""How results look: tables for people, JSON for programs; whatever came over the wire cannot steer the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click

__all__ = ["plain", "print_json", "print_record", "print_table"]

#: Wide enough that a pipe gets whole lines.
_PIPE_WIDTH: Final = 240


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """The rows, or on standard error the sentence `empty`."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    lines = [[Text(plain(cell)) for cell in row] for row in rows]
    if not lines:
        click.echo(empty, err=True)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in lines:
        table.add_row(*line)
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(table)


def print_record(fields: Iterable[tuple[str, Any]]) -> None:
    """One `name  value` line for each field that has a value."""
    present = [(name, value) for name, value in fields if value not in (None, "", {}, [])]
    width = max((len(name) for name, _ in present), default=0)
    for name, value in present:
        click.echo(f"{name:<{width}}  {plain(value)}")


def plain(value: Any) -> str:
    """One line without control characters: they could rewrite what the terminal shows."""
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(each if each.isprintable() else " " for each in text)
