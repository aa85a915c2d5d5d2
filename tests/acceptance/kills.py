"""A task whose workers are killed again and again, and what must hold afterwards."""

from __future__ import annotations

from collections.abc import Callable

from tests.acceptance.embedding_log import EmbeddingLog
from tests.acceptance.items import long_items
from tests.acceptance.ledger_view import LedgerView
from tests.acceptance.processes import kill_all
from tests.running_service import RunningService, wait_until

__all__ = ["WINDOW", "run_with_kills"]

#: Items of a window of `long_items`: one batch.
WINDOW = 256


def run_with_kills(
    service: RunningService,
    view: LedgerView,
    log: EmbeddingLog,
    *,
    items: int,
    kills: int,
    between: Callable[[], None] = lambda: None,
) -> None:
    """Index so many items while every worker process is killed so many times, evenly over the task."""
    service.deploy(log_path=str(log.path), delay_ms_per_text=1)
    task_id = service.run(long_items(items), task_id="killed")["id"]
    killed = 0
    for number in range(1, kills + 1):
        decided = items * number // (kills + 1)
        wait_until(lambda wanted=decided: view.count() >= wanted, 120, f"{decided} documents")
        workers = service.workers()
        # The worst moment: in the middle of a window of each.
        wait_until(lambda held=workers: len(view.leases()) >= len(held), 60, "every worker to hold a window")
        kill_all(workers)
        killed += len(workers)
        between()
    task = service.wait(task_id, timeout=180)
    assert task["status"] == "done"
    assert task["done_items"] == items
    assert view.count() == items
    assert len(view.dump()) == items
    assert view.texts() == {each["object_id"]: each["payload"]["text"] for each in long_items(items)}
    counts = log.of([each["payload"]["text"] for each in long_items(items)])
    assert min(counts) >= 1
    assert max(counts) <= 1 + kills
    assert log.repeated() <= killed * WINDOW, f"{log.repeated()} embedded again after {killed} processes were killed"
    view.check()
    assert not view.leases()
