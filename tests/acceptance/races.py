"""Cancel against commit, many times: exactly one of the two wins, and the documents tell the same."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor

from tests.acceptance.items import item
from tests.acceptance.ledger_view import LedgerView
from tests.running_service import RunningService

__all__ = ["race_cancel"]


def race_cancel(service: RunningService, view: LedgerView, *, times: int) -> None:
    """One-item tasks, each cancelled at about the moment at which it is done."""
    service.wait(service.run([item("warm", "up")])["id"])

    def once(number: int) -> tuple[int, str]:
        task_id = service.run([item(f"raced-{number}", f"text {number}")], task_id=f"raced-{number}")["id"]
        # Between the submission and the moment when an idle service is done with it.
        time.sleep(random.Random(number).uniform(0, 0.15))
        answer = service.http.put("/internal/upsertion-tasks/cancel", params={"task_id": task_id})
        assert answer.status_code == 200, answer.text
        status = answer.json()["status"]
        assert status in ("canceled", "done"), status
        return number, status

    with ThreadPoolExecutor(4) as clients:
        answered = dict(clients.map(once, range(times)))
    service.wait(service.run([item("after", "the race")])["id"])
    texts = view.texts()
    for number, status in answered.items():
        assert service.info(f"raced-{number}")["status"] == status, "a terminal state changed"
        assert (f"raced-{number}" in texts) == (status == "done")
    assert set(answered.values()) == {"canceled", "done"}, "the race was never close"
    view.check()
