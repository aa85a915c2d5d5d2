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
from tests.acceptance.embedding_log import EmbeddingLog
from tests.acceptance.fixtures import StartService
from tests.acceptance.ledger_view import LedgerView
from tests.acceptance.processes import kill_all
from tests.artifact_client import ArtifactClient
from tests.rabbitmq_server import RabbitmqServer
from tests.redis_server import RedisServer
from tests.running_service import RunningService, wait_until

pytestmark = pytest.mark.rabbitmq

_LEASE, _SWEEP = 3.0, 1.0
_CALLBACK = {"amqp": {"exchange": "main", "routing_key_done": "it.is.done"}, "properties": {"ticket": 7}}


@dataclass
class Fleet:
    """A service, and whoever starts its workers: itself with the local broker, else `indexmill worker`."""

    service: RunningService
    starter: RunningService

    @property
    def hang(self) -> Path:
        """While it is there, whoever embeds a text with this word in it does not come to an end."""
        return self.service.data_folder / "HANG"

    @property
    def log(self) -> EmbeddingLog:
        return EmbeddingLog(self.service.data_folder / "embedded.log")

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
            wait_until(service.is_ready, 100, "service and worker to be ready")
        made = Fleet(service, starter)
        service.deploy(
            "slow", delay_ms_per_text=20, hang_on=["HANG"], only_while=str(made.hang), log_path=str(made.log.path)
        )
        yield made


def heard(server: RabbitmqServer, ends: int) -> list[dict[str, Any]]:
    """The callbacks, when so many ends have come, and nothing more for a moment."""
    messages: list[dict[str, Any]] = []

    def enough() -> bool:
        messages.extend(
            {**json.loads(each.body), "key": each.delivery_info["routing_key"]} for each in server.take_all("heard")
        )
        return sum(not each["type"].endswith("progress") for each in messages) >= ends

    wait_until(enough, 60, "the callbacks", pause=0.2)
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
    killed_while_it_embeds(fleet, rabbitmq_server, view)


def killed_while_it_embeds(fleet: Fleet, server: RabbitmqServer, view: LedgerView) -> None:
    """The worker that has the document is killed with all that it has started."""
    client = ArtifactClient(fleet.service)
    text = "neural nets and words that HANG"
    fleet.hang.touch()
    task = client.ingest(client.text("a", text), callback=_CALLBACK)
    wait_until(lambda: fleet.log.of([text]) != [0], 60, "the document to be embedded")
    family = fleet.everything_below()
    for each in family:
        each.suspend()
    fleet.hang.unlink()
    kill_all(family)
    check_done_once(fleet, server, task, view)
    # Once more at least: a machine that is too busy to renew the lease loses it too.
    assert fleet.log.of([text]) > [1], "nobody had to do again what the killed one had begun"
    assert view.losses() >= 1


def check_done_once(fleet: Fleet, server: RabbitmqServer, task: str, view: LedgerView) -> None:
    """The document is there, it is one, and its end is told once."""
    client = ArtifactClient(fleet.service)
    status = client.wait(task, timeout=90)
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
    client = ArtifactClient(fleet.service)
    body = client.file("a", sample_files.pdf(tmp_path / "long.pdf", pages))
    task = client.ingest(body, callback=_CALLBACK)
    wait_until(view.leases, 60, "a window", pause=0.002)
    time.sleep(after)
    kill_all(fleet.everything_below())
    check_done_once(fleet, rabbitmq_server, task, view)
    assert view.losses() >= 1, "its window had ended before its worker was killed"


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
        wait_until(lambda: view.value(_WAITING), 60, "the commit", pause=0.01)
        assert client.ids() == [], "committed already"
        kill_all(fleet.everything_below())
        gate.execute("SELECT pg_advisory_unlock(4711)")
    check_done_once(fleet, server, task, view)
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
