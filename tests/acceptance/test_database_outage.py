"""The database dies while a task runs: nothing is lost, and the service goes on by itself."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexmill.ledger.embedded_postgres import EmbeddedPostgres
from tests.acceptance.outages import Outage, outage_during_a_task, stop_during_an_outage, terminate_backends

pytestmark = pytest.mark.timed


@pytest.fixture
def outage(tmp_path: Path) -> Iterator[Outage]:
    with tempfile.TemporaryDirectory(prefix="indexmill-outage-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedPostgres(Path(folder) / "data", start_timeout=120)
        try:
            with Outage(server, server.start(), tmp_path) as made:
                yield made
        finally:
            server.stop()


@pytest.mark.chaos
def test_a_database_killed_for_some_seconds_loses_nothing(outage: Outage) -> None:
    outage_during_a_task(outage, seconds=5, items=3000)


@pytest.mark.chaos
def test_sessions_terminated_all_the_time_lose_nothing(outage: Outage) -> None:
    terminate_backends(outage, items=3000, times=20)


@pytest.mark.chaos
def test_a_service_without_its_database_can_be_stopped(outage: Outage) -> None:
    stop_during_an_outage(outage)
