"""The last submitted wins: whatever is executed when, by real workers that are killed."""

from __future__ import annotations

import itertools
import signal
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.acceptance.broken_build import broken_build
from tests.acceptance.embedding_log import EmbeddingLog
from tests.acceptance.fixtures import StartService
from tests.acceptance.items import item
from tests.acceptance.ledger_view import LedgerView
from tests.acceptance.schedules import Operation, run_schedule, schedules
from tests.running_service import RunningService, wait_until

_numbers = itertools.count(1)


def older_task_ends_after_a_newer_one(
    service: RunningService, view: LedgerView, log: EmbeddingLog, *, delete: bool
) -> None:
    """The older one's worker is stopped while it embeds, and resumed when the newer one is done."""
    service.deploy(log_path=str(log.path), delay_ms_per_text=500)
    service.run(
        [item("it", "older"), *(item(f"other-{number}", f"slow {number}") for number in range(3))], task_id="older"
    )
    wait_until(lambda: log.of(["older"]) == [1], 60, "the older task to be embedded")
    lease = view.leases()[0]
    worker = psutil.Process(int(lease["worker"].rpartition("/")[2]))
    worker.send_signal(signal.SIGSTOP)
    if delete:
        service.delete(["it"], task_id="newer")
        service.wait("newer", kind="deletion")
    else:
        service.run([item("it", "newer")], task_id="newer")
        service.wait("newer")
    newer = [row for row in view.dump() if row[0] == "it"]
    assert newer, "the newer task left no trace"
    worker.send_signal(signal.SIGCONT)
    assert service.wait("older")["status"] == "done"
    assert [row for row in view.dump() if row[0] == "it"] == newer, "an older task overwrote a newer one"
    assert service.http.get("/jobs/older").json()["counters"]["superseded"] == 1
    assert view.texts().get("it") == (None if delete else "newer")
    view.check()


@pytest.mark.parametrize(
    "delete", [pytest.param(False, id="upsert"), pytest.param(True, id="delete", marks=pytest.mark.chaos)]
)
def test_an_older_task_that_ends_after_a_newer_one_is_superseded(
    start_service: StartService, view: LedgerView, embedding_log: EmbeddingLog, delete: bool
) -> None:
    older_task_ends_after_a_newer_one(start_service(), view, embedding_log, delete=delete)


@pytest.mark.chaos
def test_a_build_without_versions_overwrites_what_is_newer(
    start_service: StartService, view: LedgerView, embedding_log: EmbeddingLog, tmp_path: Path
) -> None:
    rule = "WHERE (d.seq, d.position) <= (excluded.seq, excluded.position)\n      AND"
    broken = broken_build(tmp_path, {"vectors/queries/write_documents.sql": (rule, "WHERE")})
    with pytest.raises(AssertionError, match="overwrote a newer one"):
        older_task_ends_after_a_newer_one(start_service(**broken), view, embedding_log, delete=False)


@pytest.mark.chaos
def test_a_task_that_is_superseded_as_a_whole_is_canceled_and_says_by_which(
    start_service: StartService, view: LedgerView
) -> None:
    service = start_service()
    service.deploy()
    service.run([item("it", "older")], task_id="older")
    service.wait("older")
    service.http.put("/internal/upsertion-tasks/cancel", params={"task_id": "older"})
    service.deploy("failing", fail_on=["older"], only_while=str(service.data_folder / "failing"))
    (service.data_folder / "failing").touch()
    service.run([item("it", "older")], model="failing", task_id="fails")
    assert service.wait("fails")["status"] == "failed"
    service.run([item("it", "newer")], model="failing", task_id="wins")
    assert service.wait("wins")["status"] == "done"
    (service.data_folder / "failing").unlink()
    service.http.put("/internal/upsertion-tasks/restart", params={"task_id": "fails"})
    task = service.wait("fails")
    assert task["status"] == "canceled"
    assert "wins" in task["detail"]
    assert view.texts("failing") == {"it": "newer"}


@settings(
    max_examples=3,
    # An example takes seconds: shrinking one would take longer than reading it.
    phases=(Phase.explicit, Phase.generate),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(schedule=schedules(operations=12), seed=st.integers(0, 2**16))
def test_upserts_and_deletes_with_kills_end_as_the_last_submitted(
    shared_service: RunningService, schedule: list[Operation], seed: int
) -> None:
    run_schedule(shared_service, schedule, model=f"order-{next(_numbers)}", seed=seed)
