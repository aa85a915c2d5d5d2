"""SQL lives in `ledger/` and `vectors/`, one query a file, and every file is used."""

from __future__ import annotations

import ast
import re
from collections import defaultdict

import pytest

from tests.architecture.source_tree import PACKAGE, FunctionNode, Module, modules

SQL = re.compile(r"\bSELECT\s.+\sFROM\b|\bINSERT\s+INTO\b|\bUPDATE\s+\S+\s+SET\b|\bDELETE\s+FROM\b", re.DOTALL)
HOMES = ("ledger", "vectors")


def _strings(node: ast.AST) -> list[str]:
    """The string constants in `node`, docstrings excepted."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {id(each.body[0].value) for each in ast.walk(node) if isinstance(each, documented) and _opens(each)}  # type: ignore[attr-defined]
    constants = (each for each in ast.walk(node) if isinstance(each, ast.Constant) and id(each) not in docstrings)
    return [each.value for each in constants if isinstance(each.value, str)]


def _opens(node: ast.Module | ast.ClassDef | FunctionNode) -> bool:
    return ast.get_docstring(node) is not None


def _home_modules(home: str) -> list[Module]:
    return [module for module in modules() if module.name.startswith(f"{home}/")]


def test_no_sql_outside_its_homes() -> None:
    outside = [module for module in modules() if not module.name.startswith(HOMES)]
    found = {module.name: text for module in outside for text in _strings(module.tree) if SQL.search(text)}
    assert found == {}


def test_no_query_is_written_in_python() -> None:
    inside = [module for home in HOMES for module in _home_modules(home)]
    found = {module.name: text for module in inside for text in _strings(module.tree) if SQL.search(text)}
    assert found == {}


@pytest.mark.parametrize("home", HOMES)
def test_every_query_file_is_named_by_one_module(home: str) -> None:
    users: dict[str, set[str]] = defaultdict(set)
    for module in _home_modules(home):
        for text in _strings(module.tree):
            users[text].add(module.name)
    files = {path.stem for path in (PACKAGE / home / "queries").glob("*.sql")}
    assert {name for name in files if not users[name]} == set()


@pytest.mark.parametrize("home", HOMES)
def test_a_query_file_holds_one_statement(home: str) -> None:
    several = [path.name for path in (PACKAGE / home / "queries").glob("*.sql") if _statements(path.read_text()) != 1]
    assert several == []


def _statements(sql: str) -> int:
    """Statements by their closing semicolons, comments and quoted text apart; the last one may go without."""
    bare = re.sub(r"--[^\n]*|'[^']*'|\$(\w*)\$.*?\$\1\$", " ", sql, flags=re.DOTALL)
    return sum(1 for part in bare.split(";") if part.strip())
