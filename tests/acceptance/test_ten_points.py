"""What the original gets wrong: the ten points at the end of the wire's contract, on a running service."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest

from tests.acceptance.fixtures import StartService
from tests.acceptance.items import item, long_items, short_items
from tests.acceptance.ledger_view import LedgerView
from tests.acceptance.processes import kill_all
from tests.running_service import RunningService, wait_until

PREFIXES = ["/internal/upsertion-tasks", "/api/v1/internal/upsertion-tasks"]


def search(service: RunningService, model: str, text: str, **more: Any) -> list[str]:
    answer = service.http.post("/search", json={"collection": model, "text": text, **more})
    assert answer.status_code == 200, answer.text
    return [hit["document_id"] for hit in answer.json()["hits"]]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("key", ["task_id", "id"])
def test_1_and_2_a_payload_is_embedded_under_any_task_id_and_prefix(
    shared_service: RunningService, prefix: str, key: str
) -> None:
    service = shared_service
    name = f"upsert-001 {key} {len(prefix)}"
    body = {"embedding_model_id": "tiny", key: name, "items": [item(f"first-{name}", f"words of {name}")]}
    answer = service.http.post(f"{prefix}/run", json=body)
    assert answer.status_code == 200, answer.text
    assert service.wait(name)["status"] == "done"
    listed = service.http.get(f"{prefix}/list", params={"status": "done", "limit": 1000})
    assert name in {task["task_id"] for task in listed.json()}
    assert search(service, "tiny", f"words of {name}", limit=1) == [f"first-{name}"]


def test_3_a_cancel_works_in_every_state_and_sticks(shared_service: RunningService) -> None:
    service = shared_service
    service.deploy("unhurried", delay_ms_per_text=2)
    service.run(long_items(3000, "running"), model="unhurried", task_id="running")
    service.run(short_items(5, "queued"), model="unhurried", task_id="queued")
    service.run(short_items(5, "finished"), task_id="finished")
    service.wait("finished")
    wait_until(lambda: service.info("running")["status"] == "processing", 60, "the task to run")
    expected = {"running": {"canceled"}, "queued": {"canceled", "done"}, "finished": {"done"}}
    for _ in range(2):
        for name, statuses in expected.items():
            answer = service.http.put(f"{PREFIXES[0]}/cancel", params={"task_id": name})
            assert answer.status_code == 200, answer.text
            assert answer.json()["status"] in statuses
    # The workers come by: a task after the cancelled ones is done.
    service.wait(service.run(short_items(5, "later"), model="unhurried")["id"])
    assert service.info("running")["status"] == "canceled"
    LedgerView(service.database_url).check()


def test_4_bad_items_leave_the_others_alone(shared_service: RunningService) -> None:
    service = shared_service
    service.deploy("picky", fail_on=["REFUSED"])
    items = short_items(16, "good")
    items[2] = item("nul", "a\0b")
    items[4] = {"object_id": "n" * 512, "payload": {"text": "long id"}}
    items[6] = {"object_id": "unreadable", "item_info": {"source": "file", "path": "/nowhere"}}
    items[8] = {"object_id": "wrong", "payload": {"text": 7}}
    items[10] = item("refused", "this is REFUSED")
    items[12] = item("good-0", "the second one of this id")
    service.run(items, model="picky", task_id="mixed")
    task = service.wait("mixed")
    assert task["status"] == "done"
    assert {each["object_id"] for each in task["failed_items"]} == {"nul", "unreadable", "wrong", "refused"}
    assert task["total_items"] == 16
    counters = service.http.get("/jobs/mixed").json()["counters"]
    # The first of the two equal ids may have been written before the second was looked at.
    assert (counters["indexed"] + counters["superseded"], counters["failed"]) == (12, 4)
    texts = LedgerView(service.database_url).texts("picky")
    assert texts["good-0"] == "the second one of this id"
    assert texts["n" * 512] == "long id"
    assert len(texts) == 11
    for failure in task["failed_items"]:
        assert "Traceback" not in failure["detail"]
        assert "/nowhere" not in failure["detail"]


def test_4_an_id_that_is_too_long_is_refused_before_anything_is_stored(shared_service: RunningService) -> None:
    body = {"embedding_model_id": "tiny", "task_id": "too-long", "items": [item("x" * 513, "text")]}
    assert shared_service.http.post(f"{PREFIXES[0]}/run", json=body).status_code == 422
    assert shared_service.http.get(f"{PREFIXES[0]}/info", params={"task_id": "too-long"}).status_code == 404


def test_5_a_killed_worker_s_task_goes_on_from_its_last_batch(start_service: StartService, view: LedgerView) -> None:
    service = start_service()
    service.deploy(delay_ms_per_text=1)
    service.run(long_items(1500), task_id="resumed")
    wait_until(lambda: view.count() >= 512, 30, "two batches")
    wait_until(view.leases, 60, "a window")
    kept = view.count()
    kill_all(service.workers())
    assert view.count() >= kept
    assert service.wait("resumed", timeout=40)["status"] == "done"
    counters = service.http.get("/jobs/resumed").json()["counters"]
    assert counters["indexed"] == 1500
    assert counters["unchanged"] == 0
    view.check()


def test_7_an_item_that_fails_keeps_its_previous_vectors(shared_service: RunningService) -> None:
    service = shared_service
    service.deploy("keeping", fail_on=["REFUSED"])
    view = LedgerView(service.database_url)
    service.wait(service.run([item("kept", "good words"), item("other", "x")], model="keeping")["id"])
    before = [row for row in view.dump("keeping") if row[0] == "kept"]
    service.run([item("kept", "now REFUSED"), item("other", "y")], model="keeping", task_id="fails")
    assert service.wait("fails")["status"] == "done"
    assert [row for row in view.dump("keeping") if row[0] == "kept"] == before
    assert search(service, "keeping", "good words", limit=1) == ["kept"]
    assert view.texts("keeping")["other"] == "y"


@pytest.mark.parametrize(
    "model",
    [
        "with-dashes",
        str(uuid.UUID(int=7)),
        "v1.2.dots",
        "модель-模型-🚀",
        "with space/and slash?&#%",
        "quote'\";--",
        "%s%(a)s{b}",
    ],
)
def test_8_and_9_any_model_id_works_and_none_is_sql(shared_service: RunningService, model: str) -> None:
    service = shared_service
    service.deploy(model)
    name = f"task of {model}"
    value = f"{model}'; DROP TABLE job; --%s"
    service.run([item(f"of {model}", "some words", field=value)], model=model, task_id=name)
    assert service.wait(name)["status"] == "done"
    assert search(service, model, "some words", filter={"field": value}) == [f"of {model}"]
    assert search(service, model, "some words", filter={"field": "' OR true --"}) == []
    assert search(service, model, "some words", filter={"' OR 1=1 --": "x"}) == []
    assert model in {each["name"] for each in service.http.get("/collections").json()["collections"]}
    service.delete([f"of {model}"], model, name)
    assert service.wait(name, kind="deletion")["status"] == "done"
    assert search(service, model, "some words") == []


def test_10_a_filter_loses_no_match_to_the_limit(shared_service: RunningService) -> None:
    service = shared_service
    service.deploy("filtered")
    items = [item(f"f-{number}", f"words {number}", rare=number % 100 == 7) for number in range(1000)]
    service.wait(service.run(items, model="filtered")["id"])
    vector = np.ones(8).tolist()
    body = {"collection": "filtered", "vector": vector, "limit": 10, "filter": {"rare": True}}
    hits = service.http.post("/search", json=body).json()["hits"]
    assert {hit["document_id"] for hit in hits} == {f"f-{number}" for number in range(7, 1000, 100)}
    scores = [hit["score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)
