"""Upserts and deletes of the same 50 objects with kills in between, and the state they must end in."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.acceptance.items import item
from tests.acceptance.ledger_view import LedgerView
from tests.running_service import RunningService

__all__ = ["Operation", "run_schedule", "schedules"]

_OBJECTS = [f"object-{number}" for number in range(50)]


@dataclass(frozen=True)
class Operation:
    """One task over these objects; after it, perhaps, a worker is killed."""

    deletes: bool
    objects: tuple[str, ...]
    kill: bool


def schedules(operations: int) -> st.SearchStrategy[list[Operation]]:
    operation = st.builds(
        Operation,
        deletes=st.sampled_from([False, False, True]),
        objects=st.lists(st.sampled_from(_OBJECTS), min_size=1, max_size=30).map(tuple),
        kill=st.sampled_from([False, False, False, True]),
    )
    return st.lists(operation, min_size=operations // 2, max_size=operations)


def run_schedule(service: RunningService, schedule: list[Operation], *, model: str, seed: int) -> None:
    """Submit in order, let the workers execute as they come, compare with the last submitted of each object."""
    chance = random.Random(seed)
    service.deploy(model, delay_ms_per_text=chance.choice([0, 1, 5]))
    expected: dict[str, str] = {}
    names: list[tuple[str, str]] = []
    for number, operation in enumerate(schedule):
        name = f"{model}-{number}"
        if operation.deletes:
            service.delete(list(operation.objects), model, name)
            names.append((name, "deletion"))
            for object_id in operation.objects:
                expected.pop(object_id, None)
        else:
            # Few texts, so that many an upsert finds its document unchanged; the last of a task's doubles wins.
            items = [item(each, f"{each} {chance.randrange(3)}") for each in operation.objects]
            service.run(items, model, name)
            names.append((name, "upsertion"))
            expected |= {each["object_id"]: each["payload"]["text"] for each in items}
        if operation.kill:
            workers = service.workers()
            if workers:
                chance.choice(workers).kill()
    for name, kind in names:
        task = service.wait(name, timeout=60, kind=kind)
        assert task["status"] in ("done", "canceled"), task
    view = LedgerView(service.database_url)
    assert view.texts(model) == expected
    view.check()
