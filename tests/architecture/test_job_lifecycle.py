"""The job's states are the same in the code, in SQL and in the diagram."""

from __future__ import annotations

import re

import pytest

from indexmill.domain.job_state import END_REASONS, TERMINAL_STATES, TRANSITIONS, BatchState, JobState
from tests.architecture.source_tree import PACKAGE, ROOT

DIAGRAM = (ROOT / "docs" / "job_lifecycle.md").read_text("utf-8")
SCHEMA = (PACKAGE / "ledger" / "schema.sql").read_text("utf-8")

ARROW = re.compile(r"^\s*(\w+|\[\*\])\s*-->\s*(\w+|\[\*\])\s*(?::\s*(\w+))?\s*$", re.MULTILINE)


def _arrows() -> set[tuple[str, str, str]]:
    """(from, to, label) of the first diagram."""
    diagram = re.search(r"```mermaid\nstateDiagram-v2\n(.*?)```", DIAGRAM, re.DOTALL)
    assert diagram is not None
    return {(origin, target, label) for origin, target, label in ARROW.findall(diagram.group(1))}


def _checked(table: str, column: str) -> set[str]:
    """The values that `CHECK (<column> IN (...))` allows in a table."""
    body = re.search(rf"CREATE TABLE (?:IF NOT EXISTS )?{table} \((.*?)\n\)", SCHEMA, re.DOTALL)
    assert body is not None
    listed = re.search(rf"\b{column}\b[^,]*?CHECK\s*\(\s*{column}\s+IN\s*\(([^)]*)\)", body.group(1), re.DOTALL)
    assert listed is not None
    return set(re.findall(r"'(\w+)'", listed.group(1)))


def test_the_diagram_draws_every_transition_with_its_name() -> None:
    steps = {(origin, each.target.value, each.name) for each in TRANSITIONS for origin in each.origins}
    assert {arrow for arrow in _arrows() if "[*]" not in arrow} == steps


def test_the_diagram_begins_with_receiving_and_ends_with_the_terminal_states() -> None:
    assert {target for origin, target, _ in _arrows() if origin == "[*]"} == {JobState.RECEIVING.value}
    assert {origin for origin, target, _ in _arrows() if target == "[*]"} == {state.value for state in TERMINAL_STATES}


def test_the_page_explains_every_state_and_reason() -> None:
    reasons = {reason for of_state in END_REASONS.values() for reason in of_state}
    words = {*JobState, *BatchState, *reasons}
    assert {word.value for word in words if f"`{word.value}`" not in DIAGRAM} == set()


def test_sql_allows_the_states_of_the_enums() -> None:
    assert _checked("job", "state") == {state.value for state in JobState}
    assert _checked("batch", "state") == {state.value for state in BatchState}


@pytest.mark.parametrize("state", sorted(END_REASONS))
def test_sql_allows_the_reasons_of_each_end(state: JobState) -> None:
    listed = re.search(rf"'{state.value}'\s+THEN\s+reason IS NOT NULL AND reason\s+IN\s*\(([^)]*)\)", SCHEMA)
    assert listed is not None
    assert set(re.findall(r"'(\w+)'", listed.group(1))) == {reason.value for reason in END_REASONS[state]}


def test_sql_knows_which_states_are_terminal() -> None:
    listed = re.search(r"state\s+IN\s*\(([^)]*)\)\)\s*=\s*\(finished_at IS NOT NULL\)", SCHEMA)
    assert listed is not None
    assert set(re.findall(r"'(\w+)'", listed.group(1))) == {state.value for state in TERMINAL_STATES}


def test_every_transition_leads_on() -> None:
    reached = {JobState.RECEIVING} | {each.target for each in TRANSITIONS}
    assert reached == set(JobState)
    assert {origin for each in TRANSITIONS for origin in each.origins} == set(JobState)
