"""The job record: its name for the caller, its progress, and whether it has ended."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from indexmill.domain.job import Job, JobKind
from indexmill.domain.job_state import OPEN_STATES, TERMINAL_STATES, JobState
from indexmill.domain.outcome import Counters

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def job(
    state: JobState = JobState.RUNNING, total: int = 4, *, name: str | None = None, counters: Counters | None = None
) -> Job:
    return Job(
        UUID(int=7), name, 1, JobKind.UPSERTION, state, None, None, "c", "m", 1, total,
        counters or Counters(), NOW, NOW, None, None,
    )  # fmt: skip


def test_a_job_s_name_is_the_caller_s_else_ours() -> None:
    assert job(name="mine").name == "mine"
    assert job().name == str(UUID(int=7))


@pytest.mark.parametrize(
    ("counters", "progress"),
    [
        (Counters(), 0.0),
        (Counters(indexed=1), 0.25),
        (Counters(failed=2, superseded=1), 0.75),
        (Counters(unchanged=9), 1.0),
    ],
)
def test_progress_is_the_share_of_decided_items(counters: Counters, progress: float) -> None:
    assert job(counters=counters).progress == progress


@pytest.mark.parametrize("state", sorted(TERMINAL_STATES))
def test_an_ended_job_is_at_its_end_whatever_was_done(state: JobState) -> None:
    assert job(state).is_terminal
    assert job(state).progress == 1.0
    assert job(state, total=0).progress == 1.0


@pytest.mark.parametrize("state", sorted(OPEN_STATES))
def test_an_open_job_without_items_has_not_begun(state: JobState) -> None:
    assert not job(state).is_terminal
    assert job(state, total=0).progress == 0.0
