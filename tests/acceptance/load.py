"""One-item tasks from several clients."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.acceptance.items import item
from tests.acceptance.ledger_view import LedgerView
from tests.running_service import RunningService, wait_until

__all__ = ["submit_one_item_tasks"]


def submit_one_item_tasks(service: RunningService, view: LedgerView, *, tasks: int, clients: int) -> float:
    """Submit and wait for all; the seconds it took."""
    started = time.monotonic()

    def client(number: int) -> None:
        with httpx.Client(base_url=str(service.http.base_url), timeout=60) as http:
            for task in range(number, tasks, clients):
                body = {
                    "embedding_model_id": "tiny",
                    "task_id": f"one-{task}",
                    "items": [item(f"one-{task}", f"one {task}")],
                }
                answer = http.post("/internal/upsertion-tasks/run", json=body)
                assert answer.status_code == 200, answer.text

    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    open_jobs = "SELECT count(*) FROM job WHERE external_id LIKE 'one-%%' AND finished_at IS NULL"
    wait_until(lambda: view.value(open_jobs, _=0) == 0, 120, "all tasks to end")
    seconds = time.monotonic() - started
    done = "SELECT count(*) FROM job WHERE external_id LIKE 'one-%%' AND state = 'succeeded'"
    assert view.value(done, _=0) == tasks
    texts = view.texts()
    assert all(texts[f"one-{task}"] == f"one {task}" for task in range(tasks))
    view.check()
    return seconds
