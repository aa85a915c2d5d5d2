"""Workers killed in the middle of a document, on every broker: done soon afterwards, once, and told once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests import sample_files
from tests.acceptance.fixtures import StartService
from tests.acceptance.ledger_view import LedgerView
from tests.acceptance.processes import kill_all
from tests.artifact_client import ArtifactClient
from tests.rabbitmq_server import RabbitmqServer
from tests.redis_server import RedisServer
from tests.running_service import RunningService, wait_until

_LEASE = 3.0
_SWEEP = 1.0
_SHORT = {"INDEXMILL_WORKER__LEASE_SECONDS": "3", "INDEXMILL_WORKER__RENEW_SECONDS": "1"}


@pytest.fixture(
    params=["local", pytest.param("redis", marks=pytest.mark.chaos), pytest.param("rabbitmq", marks=pytest.mark.chaos)]
)
def client(request: pytest.FixtureRequest, start_service: StartService) -> Iterator[ArtifactClient]:
    """A service on this broker, whose documents are embedded slowly."""
    with ExitStack() as stack:
        environment = {**_SHORT, "INDEXMILL_CELERY__BROKER_MODE": request.param, "INDEXMILL_ARTIFACTS__MODEL": "slow"}
        if request.param == "redis":
            environment["INDEXMILL_CELERY__BROKER_URL"] = stack.enter_context(RedisServer()).url
        if request.param == "rabbitmq":
            environment["INDEXMILL_CELERY__BROKER_URL"] = stack.enter_context(RabbitmqServer()).url
        service = start_service(**environment)
        service.deploy("slow", delay_ms_per_text=20)
        yield ArtifactClient(service)


def everything_below(service: RunningService) -> list[psutil.Process]:
    """The workers and what they have started."""
    return [each for worker in service.workers() for each in (worker, *worker.children(recursive=True))]


def killed_in_the_middle(client: ArtifactClient, body: dict[str, object], view: LedgerView) -> None:
    """The worker that has the document is killed with all that it has started."""
    task = client.ingest(body)
    wait_until(view.leases, 20, "a window", pause=0.002)
    time.sleep(0.15)
    kill_all(everything_below(client.service))
    killed = time.monotonic()
    status = client.wait(task, timeout=60)
    assert status["task_status"] == "SUCCESS", status
    # Lease, one sweep, a worker's start, and the work itself.
    assert time.monotonic() - killed < _LEASE + _SWEEP + 20
    assert client.ids() == ["a"]
    view.check()


def test_a_worker_killed_while_it_embeds(client: ArtifactClient, view: LedgerView) -> None:
    killed_in_the_middle(client, client.text("a", "neural nets and words. " * 2000), view)


def test_a_worker_killed_while_it_extracts(client: ArtifactClient, view: LedgerView, tmp_path: Path) -> None:
    pages = [f"page {number} about neural nets. " * 60 for number in range(60)]
    killed_in_the_middle(client, client.file("a", sample_files.pdf(tmp_path / "long.pdf", pages)), view)
