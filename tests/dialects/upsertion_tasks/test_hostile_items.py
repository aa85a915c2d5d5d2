"""Hostile items through the whole service: each is indexed or fails alone, and its neighbours are done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.dialects.hostile_bodies import ACCEPTED_ITEMS, REFUSED_BODIES, run_body
from tests.running_service import RunningService

RUN = "/internal/upsertion-tasks/run"
SECRETS = ("Traceback", 'File "', "site-packages", "/indexmill/", "psycopg", "SELECT ", "INSERT ", "root:x:0")


@pytest.mark.acceptance
def test_hostile_requests_harm_nobody(start_service: Callable[..., RunningService]) -> None:
    service = start_service()
    service.deploy("embed-123")

    # given: every hostile item as a task of its own, between two good neighbours
    tasks = {}
    for number, (name, item) in enumerate(ACCEPTED_ITEMS.items()):
        good = [f'{{"object_id": "{side}-{number}", "payload": {{"text": "good {side}"}}}}' for side in ("a", "b")]
        answer = service.http.post(RUN, content=run_body(f"[{good[0]}, {item}, {good[1]}]"))
        assert answer.status_code == 200, (name, answer.text)
        tasks[name] = answer.json()["id"]

    # when: bodies that no door accepts come in between
    for name, body in REFUSED_BODIES.items():
        answer = service.http.post(RUN, content=body)
        assert 400 <= answer.status_code < 500, (name, answer.text)

    # then: the neighbours are done, and what failed says why without showing our insides
    for name, task_id in tasks.items():
        task = service.wait(task_id, timeout=60)
        assert task["status"] == "done", (name, task)
        assert task["done_items"] + task["skipped_items"] + task["failed_count"] == 3, (name, task)
        assert task["failed_count"] <= 1, (name, task)
        for failed in task["failed_items"]:
            assert failed["object_id"][:2] not in ("a-", "b-"), name
            assert 0 < len(failed["detail"]) <= 1500, name
            assert not any(secret in failed["detail"] for secret in SECRETS), (name, failed["detail"])
    [collection] = [
        each for each in service.http.get("/collections").json()["collections"] if each["name"] == "embed-123"
    ]
    assert collection["documents"] >= 2 * len(tasks)
    assert service.http.get("/readyz").status_code == 200


@pytest.mark.acceptance
def test_an_object_that_comes_twice_in_a_task_is_accounted_for_twice_and_the_last_wins(
    start_service: Callable[..., RunningService],
) -> None:
    service = start_service()
    service.deploy("embed-123")
    items = [{"object_id": "a", "payload": {"text": text}} for text in ("first words", "last words")]
    task = service.wait(service.run(items, model="embed-123")["id"])
    assert (task["status"], task["total_items"]) == ("done", 2)
    assert task["done_items"] + task["skipped_items"] == 2
    [hit] = service.http.post("/search", json={"collection": "embed-123", "text": "words"}).json()["hits"]
    assert hit["text"] == "last words"
