"""Real text files: the documentation of the standard library's functions, classes and methods."""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

__all__ = ["documentation_files"]


def documentation_files(count: int) -> dict[str, str]:
    """So many files by name, the same ones every time; their texts are all different."""
    return dict(islice(_files(), count))


def _files() -> Iterator[tuple[str, str]]:
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        module = path.relative_to(root).with_suffix("").as_posix()
        if {"site-packages", "dist-packages", "test", "tests"} & set(module.split("/")):
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except SyntaxError:
            continue
        seen: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
                name = f"{module}/{node.name}.{len(seen)}.txt"
                seen.add(name)
                yield name, f"{name}\n\n{text}\n"
