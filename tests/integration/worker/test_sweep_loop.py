"""Who does a periodic duty: one process of all, or each where it looks after its own host; none waits for slow ones."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from indexmill.ledger.ledger import Ledger
from indexmill.worker.sweep_loop import SweepLoop
from indexmill.worker.sweeps import Sweep
from tests.running_service import wait_until

Start = Callable[..., SweepLoop]


@pytest.fixture
def start(ledger: Ledger) -> Iterator[Start]:
    loops: list[SweepLoop] = []

    def make(*sweeps: Sweep) -> SweepLoop:
        loop = SweepLoop(ledger.sweeps, list(sweeps))
        loops.append(loop)
        loop.start()
        return loop

    yield make
    for loop in loops:
        loop.stop()


def test_of_several_processes_one_does_it_but_each_looks_after_its_own_host(start: Start) -> None:
    shared: list[int] = []
    local: list[int] = []
    for process in range(3):
        start(
            Sweep("shared", 1000, partial(shared.append, process)),
            Sweep("local", 1000, partial(local.append, process), local=True),
        )
    wait_until(lambda: len(local) == 3, 60, "each process to do its own")
    assert sorted(local) == [0, 1, 2]
    assert len(shared) == 1


def test_a_slow_one_keeps_no_other_waiting(start: Start) -> None:
    done, release = threading.Event(), threading.Event()
    start(Sweep("slow", 1000, lambda: release.wait(60), local=True, slow=True), Sweep("quick", 1000, done.set))
    try:
        assert done.wait(60)
    finally:
        release.set()


def test_a_defect_in_one_ends_no_other(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()

    def fail() -> None:
        raise RuntimeError("a defect")

    start(Sweep("broken", 1000, fail), Sweep("sound", 1000, done.set))
    assert done.wait(60)
    assert "sweep broken failed" in caplog.text
