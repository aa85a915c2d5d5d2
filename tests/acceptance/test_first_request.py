"""The request that the API's documentation prints, unchanged submissions, and one id from many clients."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.acceptance.items import item, short_items
from tests.acceptance.ledger_view import LedgerView
from tests.running_service import RunningService, wait_until

pytestmark = pytest.mark.timed

RUN = "/internal/upsertion-tasks/run"


def test_the_printed_request_is_done_within_two_seconds_and_found(shared_service: RunningService) -> None:
    service = shared_service
    seconds = []
    # The first request of each model; any of them may meet a busy machine.
    for model, task_id in (("embed-123", "upsert-001"), ("embed-124", "upsert-002"), ("embed-125", "upsert-003")):
        service.deploy(model, provider="static")
        body = {
            "embedding_model_id": model,
            "task_id": task_id,
            "items": [{"object_id": "doc-1", "payload": {"text": "neural nets basics"}}],
        }
        started = time.monotonic()
        answer = service.http.post(RUN, json=body)
        assert answer.status_code == 200
        assert answer.json()["status"] == "pending"
        assert answer.json()["id"] == answer.json()["task_id"] == task_id
        task = service.wait(task_id)
        assert task["status"] == "done"
        seconds.append(time.monotonic() - started)
    assert min(seconds) < 2, seconds
    found = service.http.post("/search", json={"collection": "embed-123", "text": "neural networks", "limit": 3})
    hits = found.json()["hits"]
    assert hits[0]["document_id"] == "doc-1"
    assert hits[0]["text"] == "neural nets basics"
    assert hits[0]["payload"] == {"text": "neural nets basics"}


def test_an_unchanged_second_submission_embeds_nothing(shared_service: RunningService) -> None:
    service = shared_service
    items = short_items(5000, "same")
    service.run(items, task_id="same-1")
    first = service.wait("same-1", timeout=60)
    assert first["status"] == "done"
    before = embedded_total(service)
    service.run(items, task_id="same-2")
    second = service.wait("same-2", timeout=60)
    assert second["status"] == "done"
    assert second["skipped_items"] == 5000
    job = service.http.get("/jobs/same-2").json()
    assert job["counters"]["embedded"] == 0
    assert job["counters"]["unchanged"] == 5000
    assert job["reason"] == "nothing_changed"
    assert service.http.get("/jobs/same-1").json()["counters"]["embedded"] == 5000
    assert embedded_total(service) == before


def embedded_total(service: RunningService) -> float:
    found = re.search(r"^indexmill_embedded_total (\S+)$", service.http.get("/metrics").text, re.MULTILINE)
    assert found is not None
    return float(found[1])


def test_one_id_and_body_from_fifty_clients_is_one_job_and_another_body_a_conflict(
    shared_service: RunningService,
) -> None:
    service = shared_service
    body = {"embedding_model_id": "tiny", "task_id": "once", "items": short_items(300, "once")}
    answers = at_once(service, [body] * 50)
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["created_at"] for answer in answers}) == 1
    view = LedgerView(service.database_url)
    assert view.value("SELECT count(*) FROM job WHERE external_id = 'once'") == 1
    assert service.wait("once")["status"] == "done"
    other = service.http.post(RUN, json={**body, "items": [item("once-1", "something else")]})
    assert other.status_code == 409
    assert "once" in other.json()["detail"]
    assert view.texts()["once-1"] == "once 1 first"


def test_two_bodies_under_one_id_from_fifty_clients_are_one_job_and_conflicts(shared_service: RunningService) -> None:
    service = shared_service
    # Larger than one transaction takes, so that the upload is staged first.
    bodies = [
        {"embedding_model_id": "tiny", "task_id": "race", "items": short_items(9000, "race", version=version)}
        for version in ("one", "two")
    ]
    answers = at_once(service, bodies * 4)
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] * 4 + [409] * 4, statuses
    winners = {index % 2 for index, answer in enumerate(answers) if answer.status_code == 200}
    assert len(winners) == 1
    service.wait("race", timeout=60)
    view = LedgerView(service.database_url)
    assert view.value("SELECT count(*) FROM job WHERE external_id = 'race' OR state = 'receiving'") == 1
    kept = ("one", "two")[winners.pop()]
    assert view.texts()["race-7"] == f"race 7 {kept}"
    view.check()


def at_once(service: RunningService, bodies: list[dict[str, Any]]) -> list[httpx.Response]:
    """The answers to these requests, all sent at the same moment."""
    gate = threading.Barrier(len(bodies))

    def send(body: dict[str, Any]) -> httpx.Response:
        gate.wait(timeout=30)
        return httpx.post(f"{service.http.base_url}{RUN}", json=body, timeout=60)

    with ThreadPoolExecutor(len(bodies)) as clients:
        return list(clients.map(send, bodies))


def test_metrics_and_readiness_tell_what_runs(shared_service: RunningService) -> None:
    text = shared_service.http.get("/metrics").text
    assert "indexmill_ledger_up 1.0" in text
    wait_until(lambda: "indexmill_ready_batches 0.0" in shared_service.http.get("/metrics").text, 60, "an idle service")
    assert shared_service.http.get("/readyz").json()["ready"] is True
