"""The pulse: beats while a window runs, tells it when nobody waits for it, and outlives every failure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from indexmill.errors import ServiceError
from indexmill.worker.pulse import Pulse
from tests.running_service import wait_until


class FakeLeases:
    """How many batches hold the token, or the error that a renewal meets."""

    def __init__(self) -> None:
        self.answer: int | Exception = 1
        self.renewed: list[UUID] = []

    def renew(self, token: UUID) -> int:
        self.renewed.append(token)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def leases() -> FakeLeases:
    return FakeLeases()


@pytest.fixture
def pulse(leases: FakeLeases) -> Iterator[Pulse]:
    any_leases: Any = leases
    started = Pulse(any_leases, 0.005)
    started.start()
    yield started
    started.stop()


def test_it_beats_for_the_window_that_runs_and_for_no_other(pulse: Pulse, leases: FakeLeases) -> None:
    token = uuid4()
    pulse.hold(token)
    wait_until(lambda: len(leases.renewed) >= 3, 60, "three beats")
    pulse.hold(None)
    assert set(leases.renewed) == {token}


def test_a_window_that_holds_nothing_any_more_is_told(pulse: Pulse, leases: FakeLeases) -> None:
    pulse.hold(uuid4())
    assert pulse.is_held()
    leases.answer = 0
    wait_until(lambda: not pulse.is_held(), 60, "the window to be told")
    leases.answer = 1
    pulse.hold(uuid4())
    assert pulse.is_held(), "the next window starts as one that holds its lease"


@pytest.mark.parametrize(
    "error", [psycopg.OperationalError("lost"), ServiceError("away"), MemoryError(), RuntimeError("no new thread")]
)
def test_a_failed_renewal_ends_neither_the_window_nor_the_pulse(
    pulse: Pulse, leases: FakeLeases, error: Exception
) -> None:
    pulse.hold(uuid4())
    leases.answer = error
    wait_until(lambda: len(leases.renewed) >= 3, 60, "renewals that fail")
    assert pulse.is_held()
    leases.answer = 0
    wait_until(lambda: not pulse.is_held(), 60, "the pulse to go on")
