"""Loads the queries: one `.sql` file each, found beside the code that runs them."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import LiteralString

__all__ = ["query_text"]


@cache
def query_text(package: str, name: str) -> LiteralString:
    """The text of `<package>/queries/<name>.sql`.

    Raises:
        FileNotFoundError: the package ships no such query.
    """
    # A file of our own package is as literal as a string in it: no value ever becomes part of it.
    return resources.files(package).joinpath("queries", f"{name}.sql").read_text("utf-8")
