"""What the architecture tests read: the package's modules, parsed, and measures of their functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

__all__ = ["PACKAGE", "ROOT", "Function", "Module", "functions", "modules"]

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "indexmill"

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_LEVELS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)


@dataclass(frozen=True)
class Module:
    path: Path

    @property
    def name(self) -> str:
        """The path below the package."""
        return self.path.relative_to(PACKAGE).as_posix()

    @cached_property
    def source(self) -> str:
        return self.path.read_text("utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @property
    def docstring(self) -> str | None:
        return ast.get_docstring(self.tree)

    @property
    def lines(self) -> int:
        return len(self.source.splitlines())


@dataclass(frozen=True)
class Function:
    module: Module
    node: FunctionNode

    def __str__(self) -> str:
        return f"{self.module.name}:{self.node.lineno} {self.node.name}"

    @property
    def body(self) -> list[ast.stmt]:
        """The statements without the docstring."""
        body = self.node.body
        return body[1:] if ast.get_docstring(self.node) is not None else body

    @property
    def lines(self) -> int:
        return (self.body[-1].end_lineno or 0) - self.body[0].lineno + 1 if self.body else 0

    @property
    def nesting(self) -> int:
        return max((_depth(each) for each in self.body), default=0)


@cache
def modules() -> tuple[Module, ...]:
    """Each is parsed once, however many tests look at it."""
    return tuple(Module(path) for path in sorted(PACKAGE.rglob("*.py")))


def functions() -> Iterator[Function]:
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, FunctionNode):
                yield Function(module, node)


def _depth(node: ast.AST) -> int:
    """Levels of if, for, while, with, try and match; `elif` is the level of its `if`; inner functions count apart."""
    if isinstance(node, FunctionNode | ast.ClassDef | ast.Lambda):
        return 0
    inner = max((_depth(each) for each in _inside(node)), default=0)
    chained = _elif(node)
    if chained is not None:
        inner = max(inner, _depth(chained) - 1)
    return inner + isinstance(node, _LEVELS)


def _inside(node: ast.AST) -> list[ast.AST]:
    chained = _elif(node)
    return [each for each in ast.iter_child_nodes(node) if each is not chained]


def _elif(node: ast.AST) -> ast.If | None:
    if isinstance(node, ast.If) and len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
        return node.orelse[0]
    return None
