"""A child process and the death of its supervisor."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.running_service import wait_until

SUPERVISOR = """
import sys, time
from pathlib import Path
from indexmill.settings import Settings
from indexmill.worker.child import spawn
spawned = spawn("tests.unit.worker.stubborn_child", Settings(data_folder=Path(sys.argv[1])), "postgresql://", "s", 1)
while not spawned.is_ready:
    time.sleep(0.02)
print(spawned.process.pid, flush=True)
time.sleep(60)
"""


def test_an_orphan_that_does_not_stop_ends_itself_and_says_where_it_stood(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        supervisor = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, str(tmp_path)], stdout=subprocess.PIPE, stderr=stderr
        )
    assert supervisor.stdout is not None
    with supervisor.stdout as told:
        child = psutil.Process(int(told.readline()))
    try:
        time.sleep(0.3)
        assert child.is_running(), "it is no orphan yet"
    finally:
        supervisor.kill()
        supervisor.wait(timeout=10)
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 60, "the orphan to end itself")
    said = log.read_text()
    assert "did not stop within 0.2 s" in said
    assert "stubborn_child.py" in said
