"""The native API of the ledger, with a fake engine: shapes, filters, pages, errors."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from indexmill.domain.job_state import JobState, Reason
from indexmill.domain.outcome import Counters
from tests.unit.http.fake_service import FakeEngine


def submit(client: TestClient, task_id: str | None = "a", items: int = 1, family: str = "upsertion") -> Any:
    body: dict[str, Any] = {"embedding_model_id": "embed-123", "task_id": task_id}
    ids = [f"doc-{n}" for n in range(items)]
    body |= {"items": [{"object_id": each} for each in ids]} if family == "upsertion" else {"object_ids": ids}
    answer = client.post(f"/internal/{family}-tasks/run", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_job_has_the_documented_fields(client: TestClient, engine: FakeEngine) -> None:
    submit(client)
    engine.end(engine.find("a"), JobState.SUCCEEDED, Reason.COMPLETE, counters=Counters(indexed=1, chunks=1, tokens=3))
    job = client.get("/jobs/a").json()
    assert job.pop("id") == str(engine.find("a").id)
    assert job == {
        "external_id": "a",
        "kind": "upsertion",
        "state": "succeeded",
        "reason": "complete",
        "detail": None,
        "collection": "embed-123",
        "model": "embed-123",
        "attempt": 1,
        "total_items": 1,
        "counters": {
            **dict.fromkeys(
                ["unchanged", "payload_updated", "superseded", "removed", "absent", "failed", "cancelled", "embedded"],
                0,
            ),
            "indexed": 1,
            "chunks": 1,
            "tokens": 3,
        },
        "progress": 1.0,
        "created_at": "2024-05-21T10:00:00Z",
        "updated_at": "2024-05-21T10:00:02.250000Z",
        "started_at": "2024-05-21T10:00:02.250000Z",
        "finished_at": "2024-05-21T10:00:02.250000Z",
        "result": None,
        "submitted_by": None,
        "events": [{"number": 1, "at": "2024-05-21T10:00:00Z", "state": "queued", "reason": None, "detail": None}],
    }


def test_a_job_is_found_by_either_id_in_any_doors_form(client: TestClient, engine: FakeEngine) -> None:
    submit(client, "with/slash and space")
    job = engine.find("with/slash and space")
    for reference in (
        str(job.id),
        f"task_{job.id}",
        f"job_{job.id}",
        "with/slash and space",
        "with%2Fslash%20and%20space",
    ):
        assert client.get(f"/jobs/{reference}").json()["id"] == str(job.id)
    assert client.post("/jobs/with%2Fslash%20and%20space/cancel").json()["state"] == "cancelled"


@pytest.mark.parametrize("path", ["/jobs/x", "/jobs/x/failed-items"])
def test_an_unknown_job_is_404_with_a_code(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json() == {"error": {"code": "job_not_found", "message": "Job with ID `x` not found"}}


def test_the_list_filters_and_pages(client: TestClient, engine: FakeEngine) -> None:
    for number in range(5):
        submit(client, f"t{number}")
    submit(client, "d", family="deletion")
    engine.end(engine.find("t0"), JobState.FAILED, Reason.BY_ITEMS)

    def ids(**query: Any) -> list[str]:
        return [job["external_id"] for job in client.get("/jobs", params=query).json()["jobs"]]

    assert ids() == ["d", "t4", "t3", "t2", "t1", "t0"]
    assert ids(state="failed") == ["t0"]
    assert ids(state=["failed", "queued"], kind="upsertion") == ["t4", "t3", "t2", "t1", "t0"]
    assert ids(kind="deletion") == ["d"]
    assert ids(collection="other") == ids(model="other") == []
    assert ids(created_from="2024-05-21T12:00:03+02:00", created_before="2024-05-21T10:00:05Z") == ["t4", "t3"]
    first = client.get("/jobs?limit=4").json()
    assert (first["total"], first["total_is_exact"]) == (6, True)
    second = client.get("/jobs", params={"limit": 4, "after": first["next"]}).json()
    assert [job["external_id"] for job in second["jobs"]] == ["t1", "t0"]
    assert second["next"] is None


@pytest.mark.parametrize(
    "query",
    [
        *("state=done", "kind=x", "limit=0", "limit=1001", "offset=-1", "after=a&offset=1"),
        *("created_from=yesterday", "created_from=2024-05-21T10:00:00", "collection=%00", "model="),
    ],
)
def test_a_wrong_filter_is_422_with_the_wrong_inputs(client: TestClient, query: str) -> None:
    answer = client.get(f"/jobs?{query}")
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid_request"
    assert answer.json()["error"]["inputs"]


def test_failed_items_come_in_pages(client: TestClient, engine: FakeEngine) -> None:
    submit(client, items=5)
    engine.fail_items(engine.find("a"), 5, payload={"text": "x"})
    first = client.get("/jobs/a/failed-items?limit=3").json()
    assert [each["position"] for each in first["failed_items"]] == [0, 1, 2]
    assert first["failed_items"][0] == {
        "position": 0,
        "object_id": "doc-0",
        "stage": "embed",
        "code": "model_rejected",
        "detail": "it did not work",
        "retryable": False,
        "payload": {"text": "x"},
        "item_info": None,
    }
    second = client.get(f"/jobs/a/failed-items?limit=3&after={first['next']}").json()
    assert [each["position"] for each in second["failed_items"]] == [3, 4]
    assert second["next"] is None


def test_a_page_of_failed_items_that_the_size_cut_says_where_to_go_on(client: TestClient, engine: FakeEngine) -> None:
    submit(client, items=5)
    engine.fail_items(engine.find("a"), 5)
    whole = engine.failed_items
    engine.failed_items = lambda job, **page: whole(job, **page)[:2]  # type: ignore[method-assign]  # as `max_bytes` does
    seen: list[int] = []
    after: int | None = -1
    while after is not None:
        page = client.get(f"/jobs/a/failed-items?after={after}").json()
        seen += [each["position"] for each in page["failed_items"]]
        after = page["next"]
    assert seen == [0, 1, 2, 3, 4]


def test_the_verbs_reach_the_engine(client: TestClient, engine: FakeEngine) -> None:
    submit(client)
    assert client.post("/jobs/a/cancel").json()["state"] == "cancelled"
    assert client.post("/jobs/a/retry").json()["attempt"] == 2
    engine.end(engine.find("a"), JobState.SUCCEEDED, Reason.COMPLETE)
    assert client.post("/jobs/a/rerun").json()["attempt"] == 3
    engine.end(engine.find("a"), JobState.SUCCEEDED, Reason.COMPLETE)
    client.post("/jobs/a/rerun?force=true")
    assert [call for call in engine.calls if call.startswith("rerun")] == ["rerun", "rerun forced"]
    assert client.post("/jobs/nobody/cancel").status_code == 404


def test_deleting_needs_a_condition_and_takes_only_ended_jobs(client: TestClient, engine: FakeEngine) -> None:
    submit(client, "open")
    submit(client, "ended", items=0)
    for query in ("", "?kind=upsertion", "?state=running", "?state=succeeded&state=queued"):
        assert client.delete(f"/jobs{query}").status_code == 422
    assert client.delete("/jobs?created_before=2030-01-01T00:00:00Z").json() == {"deleted": 1}
    assert [job.external_id for job in engine.jobs.values()] == ["open"]
