"""Front door 2 on every broker: the whole round trip with callbacks, and workers killed in the middle of a document."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from tests import sample_files
from tests.acceptance.fixtures import StartService
from tests.acceptance.ledger_view import LedgerView
from tests.acceptance.processes import kill_all
from tests.artifact_client import ArtifactClient
from tests.rabbitmq_server import RabbitmqServer
from tests.redis_server import RedisServer
from tests.running_service import RunningService, wait_until

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(200)]

_LEASE, _SWEEP = 3.0, 1.0
_CALLBACK = {"amqp": {"exchange": "main", "routing_key_done": "it.is.done"}, "properties": {"ticket": 7}}


@dataclass
class Fleet:
    """A service, and whoever starts its workers: itself with the local broker, else `indexmill worker`."""

    service: RunningService
    starter: RunningService

    def everything_below(self) -> list[psutil.Process]:
        """The workers and what they have started."""
        return [each for worker in self.starter.workers() for each in (worker, *worker.children(recursive=True))]


@pytest.fixture(scope="module")
def shared_rabbitmq() -> Iterator[RabbitmqServer]:
    """One for all of these tests: it starts slowly, and nobody stops it here."""
    with RabbitmqServer() as server:
        yield server


@pytest.fixture
def rabbitmq_server(shared_rabbitmq: RabbitmqServer) -> RabbitmqServer:
    """Nothing has been heard yet."""
    shared_rabbitmq.declare("main", "heard")
    shared_rabbitmq.take_all("heard")
    return shared_rabbitmq


@pytest.fixture(params=["local", "redis", "rabbitmq"])
def fleet(
    request: pytest.FixtureRequest,
    start_service: StartService,
    start_worker: StartService,
    rabbitmq_server: RabbitmqServer,
) -> Iterator[Fleet]:
    """On this broker; documents are embedded slowly, and callbacks are heard."""
    environment = {
        "INDEXMILL_WORKER__LEASE_SECONDS": str(_LEASE),
        "INDEXMILL_WORKER__RENEW_SECONDS": "1",
        "INDEXMILL_WORKER__SWEEP_SECONDS": str(_SWEEP),
        "INDEXMILL_ARTIFACTS__MODEL": "slow",
        "INDEXMILL_CELERY__BROKER_MODE": request.param,
        "INDEXMILL_CALLBACKS__AMQP_URL": rabbitmq_server.url,
        "INDEXMILL_CALLBACKS__ALLOWED_EXCHANGES": json.dumps(["main"]),
    }
    with ExitStack() as stack:
        if request.param == "local":
            service = starter = start_service(**environment)
        else:
            server = rabbitmq_server if request.param == "rabbitmq" else stack.enter_context(RedisServer())
            environment["INDEXMILL_CELERY__BROKER_URL"] = server.url
            service = start_service(until_ready=False, **environment)
            # On the same host: uploads lie in the data folder.
            starter = start_worker(**environment, INDEXMILL_DATA_FOLDER=str(service.data_folder))
            wait_until(service.is_ready, 60, "service and worker to be ready")
        service.deploy("slow", delay_ms_per_text=20)
        yield Fleet(service, starter)


def heard(server: RabbitmqServer, ends: int) -> list[dict[str, Any]]:
    """The callbacks, when so many ends have come, and nothing more for a moment."""
    messages: list[dict[str, Any]] = []

    def enough() -> bool:
        messages.extend(
            {**json.loads(each.body), "key": each.delivery_info["routing_key"]} for each in server.take_all("heard")
        )
        return sum(not each["type"].endswith("progress") for each in messages) >= ends

    wait_until(enough, 20, "the callbacks", pause=0.2)
    time.sleep(1.5)
    enough()
    return messages


def test_the_whole_round_trip_and_a_worker_killed_while_it_embeds(
    fleet: Fleet, rabbitmq_server: RabbitmqServer, view: LedgerView, tmp_path: Path
) -> None:
    client = ArtifactClient(fleet.service)
    path = sample_files.pdf(tmp_path / "report.pdf", ["neural nets basics", "gardening with roses"])
    task = client.ingest(client.file("report", path), callback=_CALLBACK)
    status = client.wait(task, timeout=60)
    assert status["task_status"] == "SUCCESS"
    assert "roses" in client.content("report")
    # The model of this test makes vectors that mean nothing; the document's own text is as near as can be.
    assert client.search(client.content("report"), limit=1)[0]["document"]["artifact"] == "report"
    broken = client.ingest(client.uri("broken", "missing.pdf"), callback=_CALLBACK)
    assert client.wait(broken)["task_status"] == "FAILURE"
    client.wait(client.delete("report", callback=_CALLBACK), kind="delete")
    assert client.ids() == []
    messages = heard(rabbitmq_server, ends=3)
    assert [list(each)[:4] for each in messages] == [["data", "type", "error", "callback_properties"]] * len(messages)
    assert all(each["callback_properties"] == {"ticket": 7} for each in messages)
    by_type: dict[str, list[dict[str, Any]]] = {}
    for each in messages:
        by_type.setdefault(each["type"], []).append(each)
    (done,) = by_type["pgpt.vector_index_task.done"]
    assert (done["data"], done["error"], done["key"]) == (status["task_result"], None, "it.is.done")
    (error,) = by_type["pgpt.vector_index_task.error"]
    assert error["error"] == {"errors": ["zpgt.ingest.parsing_failure.error"], "warnings": None}
    (deleted,) = by_type["pgpt.delete_ingested_task.done"]
    assert (deleted["data"], deleted["key"]) == (None, "it.is.done")
    steps = [each["data"]["current_step"] for each in by_type["pgpt.vector_index_task.progress"]]
    assert {"Validation", "Parse", "Storage"} <= set(steps)
    killed_in_the_middle(fleet, rabbitmq_server, client.text("a", "neural nets and words. " * 12_000), view, after=0.3)


def killed_in_the_middle(
    fleet: Fleet, server: RabbitmqServer, body: dict[str, Any], view: LedgerView, after: float
) -> None:
    """The worker that has the document is killed with all that it has started."""
    client = ArtifactClient(fleet.service)
    task = client.ingest(body, callback=_CALLBACK)
    wait_until(view.leases, 20, "a window", pause=0.002)
    time.sleep(after)
    kill_all(fleet.everything_below())
    check_done_once(fleet, server, task, view)


def check_done_once(fleet: Fleet, server: RabbitmqServer, task: str, view: LedgerView, timeout: float = 90) -> None:
    """The document is there, it is one, and its end is told once."""
    client = ArtifactClient(fleet.service)
    status = client.wait(task, timeout=timeout)
    assert status["task_status"] == "SUCCESS", status
    assert client.ids() == ["a"]
    ends = [each["type"] for each in heard(server, ends=1) if not each["type"].endswith("progress")]
    assert ends == ["pgpt.vector_index_task.done"]
    view.check()


@pytest.mark.chaos
@pytest.mark.parametrize("after", [0.0, 0.05, 0.4])
def test_a_worker_killed_while_it_extracts(
    fleet: Fleet, rabbitmq_server: RabbitmqServer, view: LedgerView, tmp_path: Path, after: float
) -> None:
    pages = [f"page {number} about neural nets. " * 60 for number in range(60)]
    body = ArtifactClient(fleet.service).file("a", sample_files.pdf(tmp_path / "long.pdf", pages))
    killed_in_the_middle(fleet, rabbitmq_server, body, view, after)


#: Makes the ends of batches wait for the lock of whoever watches: at once, all writes of the window being done, or
#: when the server has been told to COMMIT.
_GATE = """
CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN SET LOCAL lock_timeout = 0; PERFORM pg_advisory_xact_lock_shared(4711); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER gate AFTER UPDATE ON batch {when} FOR EACH ROW WHEN (NEW.state = 'done')
    EXECUTE FUNCTION gate();
"""
_WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'advisory'
"""


def killed_in_its_commit(fleet: Fleet, server: RabbitmqServer, view: LedgerView, when: str) -> None:
    client = ArtifactClient(fleet.service)
    with psycopg.connect(view.url, autocommit=True) as gate:
        gate.execute(_GATE.format(when=when))
        gate.execute("SELECT pg_advisory_lock(4711)")
        task = client.ingest(client.text("a", "neural nets and words"), callback=_CALLBACK)
        wait_until(lambda: view.value(_WAITING), 20, "the commit", pause=0.01)
        assert client.ids() == [], "committed already"
        kill_all(fleet.everything_below())
        gate.execute("SELECT pg_advisory_unlock(4711)")
    # What starts again, and the callback's own turn, take a few seconds of this machine.
    check_done_once(fleet, server, task, view, timeout=_LEASE + _SWEEP + 10)
    # The document's rows, whoever wrote them.
    assert view.value("SELECT count(*) FROM document WHERE id = 'a' AND deleted_at IS NULL") == 1
    assert view.value("SELECT max(claims) FROM batch") == (1 if when == _IN_COMMIT else 2)


_IN_COMMIT = "DEFERRABLE INITIALLY DEFERRED"


@pytest.mark.parametrize(
    "fleet", ["local", *(pytest.param(each, marks=pytest.mark.chaos) for each in ("redis", "rabbitmq"))], indirect=True
)
@pytest.mark.parametrize(
    "when", [pytest.param("", id="written"), pytest.param(_IN_COMMIT, id="committing", marks=pytest.mark.chaos)]
)
def test_a_worker_killed_in_its_commit(
    fleet: Fleet, rabbitmq_server: RabbitmqServer, view: LedgerView, when: str
) -> None:
    """All is written and nothing committed: it is done again. Or the server has the COMMIT: it is done, and told."""
    killed_in_its_commit(fleet, rabbitmq_server, view, when)
