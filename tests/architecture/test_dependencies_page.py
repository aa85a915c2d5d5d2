"""docs/dependencies.md has a line for each dependency that is declared, and for no other."""

from __future__ import annotations

import re
import tomllib

from tests.architecture.source_tree import ROOT


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None, requirement
    return found[0].lower()


def test_every_dependency_has_its_line() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = declared["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted = {_name(each) for group in groups for each in group} - {project["name"]}
    page = (ROOT / "docs" / "dependencies.md").read_text().partition("## Programs")[0]
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    told = {_name(name) for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
    assert told == wanted
