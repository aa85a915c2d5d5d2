"""Supervision, with real processes: restarted after an exit, killed when they do not stop, ready when they say so."""

from __future__ import annotations

import os
import subprocess
import sys

from indexmill.worker.child import Spawned
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

    wait_until(restarted, 20, "two ends")
    assert len(set(ended)) == 2
    stop_children([child], 5)


def test_a_child_is_ready_when_it_says_so_and_not_when_it_is_gone() -> None:
    code = "import os, sys, time; os.write(int(sys.argv[1]), b'r'); time.sleep(60)"
    child = Child("test", lambda: process_that(code))
    child.keep_alive()
    wait_until(lambda: child.is_ready, 20, "the child to be ready")
    child.kill("the test says so")
    assert not child.is_ready


def test_a_process_that_does_not_stop_is_killed_when_the_grace_is_over() -> None:
    code = (
        "import os, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "os.write(int(sys.argv[1]), b'r'); time.sleep(60)"
    )
    child = Child("test", lambda: process_that(code))
    child.keep_alive()
    wait_until(lambda: child.is_ready, 20, "the child to be ready")
    stop_children([child], 0.2)
    assert child.process is not None
    assert child.process.poll() == -9
