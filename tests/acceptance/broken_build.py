"""A copy of the product with one rule taken out, to show that the test of that rule can fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import indexmill

__all__ = ["broken_build"]


def broken_build(folder: Path, changes: dict[str, tuple[str, str]]) -> dict[str, str]:
    """The environment that runs it. `changes`: file below the package -> what to replace by what."""
    build = folder / "broken"
    source = Path(indexmill.__file__).parent
    shutil.copytree(source, build / "indexmill", ignore=shutil.ignore_patterns("__pycache__"))
    for name, (rule, without) in changes.items():
        file = build / "indexmill" / name
        text = file.read_text()
        assert rule in text, f"{name} no longer holds what this build takes out"
        file.write_text(text.replace(rule, without))
    return {"PYTHONPATH": str(build)}
