"""`make test` leaves no test out: each folder is in one of its runs, and timed tests are where it looks for them."""

from __future__ import annotations

import re

from tests.architecture.source_tree import ROOT

_TESTS = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py"))


def test_every_folder_of_tests_is_run() -> None:
    suites = re.search(r"^SUITES := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert suites is not None
    assert {str(path.parents[-3]) for path in _TESTS} == {*suites[1].split(), "tests/conformance"}


def test_only_acceptance_tests_measure_time() -> None:
    timed = {path.parts[1] for path in _TESTS if re.search(r"\bmark\.timed\b", (ROOT / path).read_text())}
    assert timed == {"acceptance"}
