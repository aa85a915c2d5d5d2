"""Sizes and names: small files, short functions, little nesting, and a listing that reads as the architecture."""

from __future__ import annotations

from statistics import median

from tests.architecture.source_tree import PACKAGE, functions, modules

FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "misc", "base"}


def test_files_are_small() -> None:
    sizes = {module.name: module.lines for module in modules()}
    assert {name: lines for name, lines in sizes.items() if lines > 500} == {}
    assert median(sizes.values()) <= 150


def test_no_function_is_longer_than_80_lines() -> None:
    assert [f"{each}: {each.lines}" for each in functions() if each.lines > 80] == []


def test_at_most_2_percent_of_the_functions_are_longer_than_50_lines() -> None:
    found = list(functions())
    long = [f"{each}: {each.lines}" for each in found if each.lines > 50]
    assert len(long) <= 0.02 * len(found), long


def test_at_least_95_percent_of_the_functions_nest_two_levels_at_most() -> None:
    found = list(functions())
    deep = [f"{each}: {each.nesting}" for each in found if each.nesting > 2]
    assert len(deep) <= 0.05 * len(found), deep


def test_folders_are_at_most_two_deep() -> None:
    assert [module.name for module in modules() if module.name.count("/") > 2] == []


def test_every_module_says_what_it_owns() -> None:
    assert [module.name for module in modules() if not module.docstring] == []


def test_a_module_s_first_paragraph_is_one_to_three_lines() -> None:
    paragraphs = {module.name: (module.docstring or "").split("\n\n")[0] for module in modules()}
    assert {name: text for name, text in paragraphs.items() if len(text.splitlines()) > 3} == {}


def test_no_file_has_a_name_that_says_nothing() -> None:
    paths = [path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".sql"} or path.is_dir()]
    assert [path.name for path in paths if path.stem in FORBIDDEN_NAMES] == []
