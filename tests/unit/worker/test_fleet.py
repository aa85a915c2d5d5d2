"""A fleet's own doings, with real processes in its slots and a database that is away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from indexmill.errors import ServiceError
from indexmill.settings import Settings
from indexmill.worker import fleet as fleet_module
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


class OutageLedger:
    """Away at first; then it is back, with a lease past its deadline that `pid` holds."""

    def __init__(self) -> None:
        self.is_away = True
        self.pid = 0
        self.leases = SimpleNamespace(expire_of=self._nothing)
        self.workload = SimpleNamespace(
            report=self._nothing,
            leases_of=self._leases,
            recently_committed=lambda *_: [],
            ready=lambda: SimpleNamespace(waited=60.0),
        )

    def _nothing(self, *_: object) -> None:
        pass

    def _leases(self, name: str) -> list[Any]:
        if self.is_away:
            raise ServiceError("database: away")
        return [SimpleNamespace(worker=f"{name}/{self.pid}", past_deadline=True)]


def test_after_an_outage_a_window_past_its_deadline_is_left_the_time_to_find_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_module, "_LOOK_SECONDS", -1.0)
    ledger: Any = OutageLedger()
    fleet = Fleet(Settings(data_folder=tmp_path), "postgresql://", ledger, processes=1)
    child = fleet.children[0]
    child.start = sleeping
    try:
        fleet.look_after()
        first = child.process
        assert child.pid is not None
        assert first is not None
        ledger.pid = child.pid
        ledger.is_away = False
        monkeypatch.setattr(fleet_module, "_START_PATIENCE", 0.0)
        for _ in range(10):
            fleet.look_after()
        assert first.poll() is None, "it waits for its connection, it does not hang"
        pid, ledger.pid = ledger.pid, 0
        for _ in range(10):
            fleet.look_after()
        assert first.poll() is None, "its wake may not have been sent yet, it is not deaf"
        ledger.pid = pid
        monkeypatch.setattr(fleet_module, "_AFTER_OUTAGE_SECONDS", 0.0)
        fleet.look_after()
        assert first.poll() == -9, "long after the outage it hangs"
    finally:
        fleet.stop()
