"""A fleet's own doings, with real processes in its slots and a database that is away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from indexmill.errors import ServiceError
from indexmill.settings import Settings
from indexmill.worker.child import Spawned
from indexmill.worker.fleet import Fleet


def sleeping() -> Spawned:
    ours, theirs = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    os.close(theirs)
    return Spawned(process, ours)


class AwayLedger:
    """Every question to it takes its time-out, and fails."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.leases = SimpleNamespace(expire_of=self._fail)
        self.workload = SimpleNamespace(report=self._fail, leases_of=self._fail)

    def _fail(self, name: str, *_: object) -> None:
        self.asked.append(name)
        raise ServiceError("database: away")


def test_a_fleet_that_stops_waits_once_for_a_database_that_is_away(tmp_path: Path) -> None:
    ledger: Any = AwayLedger()
    fleet = Fleet(Settings(data_folder=tmp_path), "postgresql://", ledger, processes=3)
    for child in fleet.children:
        child.start = sleeping
    fleet.look_after()
    before = len(ledger.asked)
    assert before >= 2, "while it runs, it asks again and again"
    fleet.stop()
    assert [child.process.poll() for child in fleet.children if child.process] == [-15] * 3
    assert len(ledger.asked) == before + 1
