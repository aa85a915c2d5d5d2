"""The commands that the pages print are there: targets of `make`, and what the extras install."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def printed(pattern: str) -> list[str]:
    """What the pattern's group finds in the pages."""
    return sorted({found for page in PAGES for found in re.findall(pattern, page.read_text(), re.MULTILINE)})


@pytest.mark.parametrize(("target", "command"), [("serve", "serve"), ("celery", "worker"), ("flower", "flower")])
def test_make_runs_what_it_says(target: str, command: str) -> None:
    found = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )
    assert f"bin/indexmill {command}" in found.stdout


def test_every_target_that_a_page_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = printed(r"(?:^|`)make ([a-z]+)")
    assert {"serve", "test", "celery", "flower"} <= set(named) <= targets


def test_every_extra_that_a_page_names_is_there_and_the_workers_has_brokers_and_flower() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {each for extra in printed(r"(?:--extra |indexmill\[)([a-z,]+)") for each in extra.split(",")}
    assert "worker" in named
    assert named <= set(extras)
    assert [re.split("[><]", each)[0] for each in extras["worker"]] == ["celery[redis]", "flower"]
