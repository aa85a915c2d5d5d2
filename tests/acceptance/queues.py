"""A long queue, and workers that are never idle."""

from __future__ import annotations

import time

from tests.acceptance.items import short_items
from tests.acceptance.ledger_view import LedgerView
from tests.running_service import RunningService, wait_until

__all__ = ["work_through_a_queue"]


def work_through_a_queue(service: RunningService, view: LedgerView, *, seconds: float) -> None:
    """Ready work that has waited long is no sign of a deaf worker: it waits because every slot is at work."""
    service.deploy(delay_ms_per_text=0.2)
    until = time.monotonic() + seconds
    service.run(short_items(30_000, "queue"))
    wait_until(view.count, 30, "the first documents")
    before = {process.pid for process in service.workers()}
    number = 0
    while time.monotonic() < until:
        # The head of the queue is always old, and there is always more.
        if int(view.value("SELECT count(*) FROM batch WHERE state = 'ready'")) < 100:
            number += 1
            service.run(short_items(30_000, f"more{number}"))
        time.sleep(0.1)
    assert {process.pid for process in service.workers()} == before, service.log.read_text()[-2000:]
    assert "is killed" not in service.log.read_text()
    assert view.losses() == 0
