"""Supervision, with real processes: restarted after an exit, killed when they do not stop, ready when they say so."""

from __future__ import annotations

import errno
import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from indexmill.settings import Settings
from indexmill.worker import watch
from indexmill.worker.child import Spawned, spawn
from indexmill.worker.watch import Child, stop_children
from tests.running_service import wait_until


def process_that(code: str) -> Spawned:
    ours, theirs = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", code, str(theirs)], pass_fds=[theirs])
    os.close(theirs)
    return Spawned(process, ours)


def test_a_process_that_ends_is_started_again_and_its_end_is_told() -> None:
    ended: list[int] = []
    child = Child("test", lambda: process_that("pass"), ended.append)

    def restarted() -> bool:
        child.keep_alive()
        return len(ended) >= 2

    wait_until(restarted, 60, "two ends")
    assert len(set(ended)) == 2
    stop_children([child], 5)


def test_a_child_is_ready_when_it_says_so_and_not_when_it_is_gone() -> None:
    code = "import os, sys, time; os.write(int(sys.argv[1]), b'r'); time.sleep(60)"
    child = Child("test", lambda: process_that(code))
    child.keep_alive()
    wait_until(lambda: child.is_ready, 60, "the child to be ready")
    child.kill("the test says so")
    assert not child.is_ready


def test_a_process_that_does_not_stop_is_killed_when_the_grace_is_over() -> None:
    code = (
        "import os, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "os.write(int(sys.argv[1]), b'r'); time.sleep(60)"
    )
    child = Child("test", lambda: process_that(code))
    child.keep_alive()
    wait_until(lambda: child.is_ready, 60, "the child to be ready")
    stop_children([child], 0.2)
    assert child.process is not None
    assert child.process.poll() == -9


# A system that has nothing to spare


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The supervisor's clock."""
    seconds = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: seconds[0])
    return seconds


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE])
def test_a_process_that_cannot_be_started_is_tried_again_ever_more_rarely(
    now: list[float], number: int, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[float] = []

    def fail() -> Spawned:
        tried.append(now[0])
        raise OSError(number, os.strerror(number))

    child = Child("test", fail)
    for _ in range(300):
        child.keep_alive()
        now[0] += 0.1
    pauses = [round(after - before, 1) for before, after in itertools.pairwise(tried)]
    assert pauses[:4] == [0.2, 0.4, 0.8, 1.6]
    assert max(pauses) <= 5.1
    assert len(caplog.records) == len(tried) <= 12
    assert os.strerror(number) in caplog.records[0].getMessage()
    assert not child.is_ready


def test_a_process_is_started_when_the_system_has_one_to_spare_again(now: list[float]) -> None:
    failing = [OSError(errno.EAGAIN, "busy")] * 3

    def start() -> Spawned:
        if failing:
            raise failing.pop()
        return process_that("import time; time.sleep(60)")

    child = Child("test", start)
    for _ in range(60):
        child.keep_alive()
        now[0] += 0.1
    assert child.process is not None
    assert child.process.poll() is None
    child.kill("the test is over")


@pytest.mark.parametrize("error", [OSError(errno.EAGAIN, "busy"), KeyboardInterrupt()])
def test_a_failed_start_leaves_no_descriptor_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: BaseException
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("subprocess.Popen", fail)
    before = psutil.Process().num_fds()
    for _ in range(3):
        with pytest.raises(type(error)):
            spawn("indexmill.nothing", Settings(data_folder=tmp_path), "postgresql://", "test", 1)
    assert psutil.Process().num_fds() == before


def test_a_process_that_even_sigkill_does_not_end_leaves_its_supervisor_alive(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[int] = []
    child = Child("test", lambda: process_that("import time; time.sleep(60)"), ended.append)
    child.keep_alive()
    assert child.process is not None
    # As one that hangs in the kernel: the signal changes nothing.
    monkeypatch.setattr(watch, "_KILL_SECONDS", 0.05)
    monkeypatch.setattr(child.process, "kill", lambda: None)
    child.kill("the test says so")
    assert "is still there" in caplog.text
    child.keep_alive()
    assert ended == []
    monkeypatch.undo()
    child.kill("the test is over")
