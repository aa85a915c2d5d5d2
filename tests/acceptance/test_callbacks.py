"""Callbacks of a running service: told within a second, and once although workers and the API are killed."""

from __future__ import annotations

import json
import time
from typing import Any

import psutil
import pytest

from indexmill.domain.job import Item, JobKind, Submission
from indexmill.engine import Engine
from tests.acceptance.fixtures import StartService
from tests.acceptance.ledger_view import LedgerView
from tests.rabbitmq_server import RabbitmqServer
from tests.running_service import wait_until

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timed]

CALLBACK = {"amqp": {"exchange": "main"}, "properties": {"ticket": 7}}


def called_back(server: RabbitmqServer) -> dict[str, str]:
    return {
        "INDEXMILL_CALLBACKS__AMQP_URL": server.url,
        "INDEXMILL_CALLBACKS__ALLOWED_EXCHANGES": json.dumps(["main"]),
    }


def submit(engine: Engine, count: int, prefix: str, model: str = "tiny") -> str:
    items = [Item(f"{prefix}-{number}", {"text": f"{prefix} {number}"}) for number in range(count)]
    return str(engine.submit(Submission(JobKind.UPSERTION, model, items, callback=CALLBACK)).job.id)


def test_the_end_of_a_short_job_is_told_within_a_second_or_so(
    start_service: StartService, rabbitmq_server: RabbitmqServer, engine: Engine
) -> None:
    rabbitmq_server.declare("main", "heard")
    start_service(**called_back(rabbitmq_server))
    submit(engine, 1, "warm")
    wait_until(lambda: rabbitmq_server.depth("heard") == 4, 60, "the first callbacks")
    delays = []
    for number in range(5):
        asked = time.monotonic()
        submit(engine, 1, f"quick{number}")
        wait_until(lambda n=number: rabbitmq_server.depth("heard") == 8 + 4 * n, 60, "its callbacks")
        delays.append(time.monotonic() - asked)
    # A wake sweep finds the job, which this process does not announce: up to a second of it is not the callback's.
    assert sorted(delays)[2] < 2.5, delays
    assert [json.loads(each.body)["callback_properties"] for each in rabbitmq_server.take_all("heard")] == [
        {"ticket": 7}
    ] * 24


@pytest.mark.chaos
def test_killed_workers_and_a_killed_api_leave_one_end_a_job(
    start_service: StartService, rabbitmq_server: RabbitmqServer, engine: Engine, view: LedgerView
) -> None:
    rabbitmq_server.declare("main", "heard")
    service = start_service(INDEXMILL_WORKER__LEASE_SECONDS="3", **called_back(rabbitmq_server))
    service.deploy("slow", delay_ms_per_text=1)
    jobs = [submit(engine, 1500, f"doc{number}", "slow") for number in range(3)]
    for _ in range(2):
        lease = wait_until(view.leases, 30, "a window")[0]
        psutil.Process(int(lease["worker"].rpartition("/")[2])).kill()
        time.sleep(1)
    rabbitmq_server.stop()
    [api] = [each for each in psutil.Process(_pid(service)).children() if "api_process" in " ".join(each.cmdline())]
    api.kill()
    wait_until(lambda: view.value("SELECT count(*) FROM job WHERE finished_at IS NOT NULL") == 3, 90, "the jobs to end")
    rabbitmq_server.start()
    unsent = "SELECT count(*) FROM callback_outbox WHERE settled_at IS NULL"
    wait_until(lambda: view.value(unsent) == 0, 40, "the outbox to be empty")
    arrived = [
        json.loads(each.body) | {"id": each.properties["message_id"]} for each in rabbitmq_server.take_all("heard")
    ]
    ends = [each["id"] for each in arrived if not each["type"].endswith("progress")]
    assert sorted(ends) == sorted(f"{job}.1.done" for job in jobs)
    view.check()


def _pid(service: Any) -> int:
    assert service.process is not None
    return int(service.process.pid)
