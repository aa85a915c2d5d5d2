"""Writes the tree of modules into `docs/architecture.md`: `python -m tests.architecture.list_modules`."""

from __future__ import annotations

import re

from tests.architecture.source_tree import ROOT, Module, modules

__all__ = ["PAGE", "TREE", "module_tree"]

PAGE = ROOT / "docs" / "architecture.md"
#: The code block that the tree is in.
TREE = re.compile(r"(?<=```text\nsrc/indexmill/\n).*?(?=```)", re.DOTALL)
_COLUMN = 30


def module_tree() -> str:
    """A line a module: its name and the first paragraph of its docstring; a folder's line is its `__init__.py`'s."""
    found = modules()
    top = [module for module in found if "/" not in module.name]
    nested = [module for module in found if "/" in module.name]
    return "".join(_line(module) for module in top) + "".join(_line(module) for module in nested)


def _line(module: Module) -> str:
    *folders, name = module.name.split("/")
    if folders and name == "__init__.py":
        label = f"{'  ' * (len(folders) - 1)}  {folders[-1]}/"
        # A blank line before each folder of the first level.
        return ("\n" if len(folders) == 1 else "") + _described(label, module)
    return _described(f"  {'  ' * len(folders)}{name}", module)


def _described(label: str, module: Module) -> str:
    sentence = " ".join((module.docstring or "").split("\n\n")[0].split())
    return f"{label:<{_COLUMN}}{'' if len(label) < _COLUMN else '  '}{sentence}\n"


def main() -> None:
    """Put the tree into the page."""
    page = PAGE.read_text("utf-8")
    PAGE.write_text(TREE.sub(lambda _: module_tree(), page, count=1), "utf-8")


if __name__ == "__main__":
    main()
