"""Front door 1, row by row of its contract, with a fake engine: paths, ids, statuses, lists, errors."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from indexmill.dialects.upsertion_tasks.translate import FAILURE_BYTES, FAILURE_STAGES, STATUSES, states_of
from indexmill.dialects.upsertion_tasks.wire import FailureStage, TaskStatus
from indexmill.domain.failure import Stage
from indexmill.domain.job_state import JobState, Reason
from indexmill.domain.outcome import Counters
from indexmill.errors import BodiesExpired, ServiceError, TransientError
from tests.unit.http.fake_service import FakeEngine

PREFIXES = ("/internal", "/api/v1/internal")
RUN = "/internal/upsertion-tasks/run"
SEED: dict[str, Any] = {
    "embedding_model_id": "embed-123",
    "task_id": "upsert-001",
    "items": [{"object_id": "doc-1", "payload": {"text": "neural nets basics"}}],
}


def run(client: TestClient, **changes: Any) -> Any:
    return client.post(RUN, json={**SEED, **changes})


def info(client: TestClient, task_id: str = "upsert-001") -> Any:
    answer = client.get("/internal/upsertion-tasks/info", params={"task_id": task_id})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_documented_request_gives_the_documented_answer(client: TestClient, prefix: str) -> None:
    answer = client.post(f"{prefix}/upsertion-tasks/run", json=SEED)
    assert answer.status_code == 200
    assert answer.json() == {
        "id": "upsert-001",
        "task_id": "upsert-001",
        "embedding_model_id": "embed-123",
        "status": "pending",
        "created_at": "2024-05-21T10:00:00Z",
        "updated_at": "2024-05-21T10:00:00Z",
        "attempt": 1,
        "total_items": 1,
        "done_items": 0,
        "failed_count": 0,
        "skipped_items": 0,
        "progress": 0.0,
        "failed_items": [],
    }


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("family", ["upsertion", "deletion"])
def test_all_five_operations_are_served_under_both_prefixes(client: TestClient, prefix: str, family: str) -> None:
    path = f"{prefix}/{family}-tasks"
    items: dict[str, Any] = {"items": []} if family == "upsertion" else {"object_ids": []}
    assert (
        client.post(f"{path}/run", json={"embedding_model_id": "embed-123", "task_id": "t", **items}).status_code == 200
    )
    assert client.get(f"{path}/info?task_id=t").json()["status"] == "done"
    assert [each["id"] for each in client.get(f"{path}/list").json()] == ["t"]
    assert client.put(f"{path}/restart?task_id=t").status_code == 200
    assert client.put(f"{path}/cancel?task_id=t").status_code == 200


@pytest.mark.parametrize("key", ["id", "task_id"])
def test_either_name_of_the_id_is_taken(client: TestClient, key: str) -> None:
    body = {"embedding_model_id": "embed-123", "items": [], key: "mine"}
    answer = client.post(RUN, json=body).json()
    assert (answer["id"], answer["task_id"]) == ("mine", "mine")


def test_both_names_with_the_same_value_are_taken_and_with_different_ones_refused(client: TestClient) -> None:
    assert run(client, id="upsert-001").status_code == 200
    refused = run(client, id="other")
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body"]


def test_without_an_id_the_task_gets_ours(client: TestClient) -> None:
    answer = run(client, task_id=None).json()
    assert info(client, answer["id"])["id"] == answer["id"]


@pytest.mark.parametrize(
    "task_id", ["a", "x" * 255, "a b/c?d#e&f=g%2F", "naïve-日本-🚀", "'; DROP TABLE job; --", "..", "1e5"]
)
def test_any_printable_id_works_in_every_operation(client: TestClient, task_id: str) -> None:
    assert run(client, task_id=task_id).status_code == 200
    for verb, operation in [("GET", "info"), ("PUT", "cancel"), ("PUT", "restart")]:
        answer = client.request(verb, f"/internal/upsertion-tasks/{operation}", params={"task_id": task_id})
        assert (answer.status_code, answer.json()["id"]) == (200, task_id)


@pytest.mark.parametrize("task_id", ["", "x" * 256, "a\x00b", "a\nb", "a\x7fb", "a\u2028b", 7, ["a"], {"a": 1}, True])
def test_any_other_id_is_refused(client: TestClient, task_id: Any) -> None:
    answer = run(client, task_id=task_id)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "task_id"]
    if isinstance(task_id, str):
        assert client.get("/internal/upsertion-tasks/info", params={"task_id": task_id}).status_code == 422


@pytest.mark.parametrize("object_id", ["", "x" * 513, "a\x00b", 1, None, 1.5, ["a"]])
def test_a_wrong_object_id_is_refused_and_named(client: TestClient, object_id: Any) -> None:
    items = [{"object_id": "fine"}, {"object_id": object_id}]
    answer = run(client, items=items)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "items", 1, "object_id"]


@pytest.mark.parametrize("object_id", ["x" * 512, "'\"; DROP TABLE document", "日本", " ", "a\nb"])
def test_an_object_id_of_up_to_512_characters_reaches_the_engine_as_it_is(
    client: TestClient, engine: FakeEngine, object_id: str
) -> None:
    run(client, items=[{"object_id": object_id}])
    assert [item.object_id for items in engine.items.values() for item in items] == [object_id]


@pytest.mark.parametrize(
    "changes",
    [
        {"items": None},
        {"items": {}},
        {"items": "a"},
        {"items": [1]},
        {"items": [{}]},
        {"items": [{"object_id": "a", "payload": []}]},
        {"items": [{"object_id": "a", "payload": "text"}]},
        {"items": [{"object_id": "a", "item_info": 3}]},
        {"embedding_model_id": None},
        {"embedding_model_id": ""},
        {"embedding_model_id": 5},
    ],
    ids=str,
)
def test_a_wrong_type_is_refused_with_fastapis_list(client: TestClient, changes: dict[str, Any]) -> None:
    answer = run(client, **changes)
    assert answer.status_code == 422
    detail = answer.json()["detail"]
    assert detail
    assert all(set(each) == {"type", "loc", "msg", "input"} and each["loc"][0] == "body" for each in detail)


def test_a_missing_field_is_refused(client: TestClient) -> None:
    answer = client.post(RUN, json={"task_id": "a"})
    assert {tuple(each["loc"]) for each in answer.json()["detail"]} == {
        ("body", "embedding_model_id"),
        ("body", "items"),
    }


def test_fields_that_nobody_knows_are_ignored(client: TestClient) -> None:
    assert run(client, metadata={"a": 1}, items=[{"object_id": "a", "extra": 1}]).status_code == 200


def test_payload_and_item_info_reach_the_engine_with_their_nulls(client: TestClient, engine: FakeEngine) -> None:
    item = {"object_id": "a", "payload": {"text": None, "deep": {"x": [None]}}, "item_info": {"source": None}}
    run(client, items=[item, {"object_id": "b"}])
    [[first, second]] = engine.items.values()
    assert (first.payload, first.item_info) == (item["payload"], item["item_info"])
    assert (second.payload, second.item_info) == (None, None)


def test_no_items_is_a_task_that_is_done_at_once(client: TestClient) -> None:
    answer = run(client, items=[]).json()
    assert (answer["status"], answer["progress"], answer["total_items"]) == ("done", 1.0, 0)


def test_an_unknown_model_is_404_and_names_the_known_ones(client: TestClient, engine: FakeEngine) -> None:
    answer = run(client, embedding_model_id="nope")
    assert answer.status_code == 404
    assert answer.json() == {"detail": "Embedding model `nope` is not deployed; deployed models: `embed-123`"}
    assert not engine.jobs


def test_the_same_request_again_answers_the_existing_task_and_another_one_409(client: TestClient) -> None:
    assert run(client).json() == run(client).json()
    conflict = run(client, items=[])
    assert conflict.status_code == 409
    assert "`upsert-001` already exists" in conflict.json()["detail"]


@pytest.mark.parametrize(
    ("state", "reason", "status"),
    [
        (JobState.QUEUED, None, "pending"),
        (JobState.RUNNING, None, "processing"),
        (JobState.RETRYING, None, "processing"),
        (JobState.SUCCEEDED, Reason.COMPLETE, "done"),
        (JobState.SUCCEEDED, Reason.NOTHING_CHANGED, "done"),
        (JobState.SUCCEEDED, Reason.WITH_FAILURES, "done"),
        (JobState.FAILED, Reason.BY_ITEMS, "failed"),
        (JobState.FAILED, Reason.SYSTEM, "failed"),
        (JobState.CANCELLED, Reason.BY_REQUEST, "canceled"),
        (JobState.CANCELLED, Reason.SUPERSEDED, "canceled"),
        (JobState.REFUSED, Reason.WITHDRAWN, "refused"),
    ],
)
def test_each_state_is_shown_as_the_contract_says(
    client: TestClient, engine: FakeEngine, state: JobState, reason: Reason | None, status: str
) -> None:
    run(client)
    engine.end(engine.find("upsert-001"), state, reason)
    assert info(client)["status"] == status
    listed = client.get("/internal/upsertion-tasks/list", params={"status": status}).json()
    assert [each["id"] for each in listed] == ["upsert-001"]


def test_every_state_but_receiving_has_a_status_and_every_status_a_state() -> None:
    assert set(STATUSES) == set(JobState) - {JobState.RECEIVING}
    assert all(states_of(status) for status in TaskStatus)


def test_every_stage_has_a_failure_stage_and_every_failure_stage_a_stage() -> None:
    assert set(FAILURE_STAGES) == set(Stage)
    assert set(FAILURE_STAGES.values()) == set(FailureStage)


@pytest.mark.parametrize(
    ("stage", "shown"),
    [
        (Stage.LOAD, "on_downloading"),
        (Stage.EXTRACT, "on_downloading"),
        (Stage.SPLIT, "on_splitting"),
        (Stage.EMBED, "on_inference"),
        (Stage.WRITE, "on_upsert"),
        (Stage.ENGINE, "other"),
    ],
)
def test_a_failed_item_is_shown_with_its_stage(
    client: TestClient, engine: FakeEngine, stage: Stage, shown: str
) -> None:
    run(client, items=[{"object_id": f"doc-{n}"} for n in range(3)])
    engine.fail_items(engine.find("upsert-001"), 1, stage=stage, payload={"text": None, "nul": "\x00"}, retryable=True)
    answer = info(client)
    assert (answer["status"], answer["failed_count"], answer["done_items"]) == ("done", 1, 2)
    assert answer["failed_items"] == [
        {
            "object_id": "doc-0",
            "payload": {"text": None, "nul": "\x00"},
            "detail": "it did not work",
            "failure_stage": shown,
            "retryable": True,
        }
    ]


def test_failed_items_are_cut_at_a_thousand_on_info_and_at_ten_in_a_list(
    client: TestClient, engine: FakeEngine
) -> None:
    run(client, items=[{"object_id": f"doc-{n}"} for n in range(1500)])
    engine.fail_items(engine.find("upsert-001"), 1500)
    answer = info(client)
    assert (len(answer["failed_items"]), answer["failed_count"], answer["status"]) == (1000, 1500, "failed")
    [listed] = client.get("/internal/upsertion-tasks/list").json()
    assert (len(listed["failed_items"]), listed["failed_count"]) == (10, 1500)


def test_failed_items_are_cut_at_4_mib_on_info_and_over_a_whole_list(client: TestClient, engine: FakeEngine) -> None:
    for task in range(60):
        run(client, task_id=f"t{task}", items=[{"object_id": f"doc-{n}"} for n in range(1000)])
        engine.fail_items(engine.find(f"t{task}"), 1000, payload={"text": "x" * 8000})
    for path in ("info?task_id=t0", "list"):
        size = len(client.get(f"/internal/upsertion-tasks/{path}").content)
        assert 0.9 * FAILURE_BYTES < size < 1.05 * FAILURE_BYTES


def test_the_counters_of_a_task_add_up(client: TestClient, engine: FakeEngine) -> None:
    run(client, items=[{"object_id": f"doc-{n}"} for n in range(21)])
    counters = Counters(indexed=1, unchanged=2, payload_updated=3, superseded=4, failed=5, cancelled=0, absent=0)
    engine.end(engine.find("upsert-001"), JobState.RUNNING, counters=counters, finished_at=None)
    answer = info(client)
    assert (answer["done_items"], answer["skipped_items"], answer["failed_count"]) == (4, 6, 5)
    assert answer["progress"] == 0.7142  # 15 of 21, rounded down
    assert answer["started_at"] == "2024-05-21T10:00:02.250000Z"
    assert "finished_at" not in answer


def test_a_deletion_names_its_failed_ids_and_counts_what_it_removed(client: TestClient, engine: FakeEngine) -> None:
    body = {"embedding_model_id": "embed-123", "task_id": "d", "object_ids": ["a", "b", "c"]}
    assert client.post("/internal/deletion-tasks/run", json=body).status_code == 200
    job = engine.fail_items(engine.find("d"), 1)
    engine.end(job, job.state, job.reason, counters=Counters(removed=1, absent=1, failed=1))
    answer = client.get("/internal/deletion-tasks/info?task_id=d").json()
    assert answer["failed_item_ids"] == [{"object_id": "doc-0", "detail": "it did not work"}]
    assert (answer["removed_items"], answer["done_items"], answer["failed_count"]) == (1, 2, 1)


def test_the_families_do_not_see_each_others_tasks(client: TestClient) -> None:
    run(client)
    assert client.get("/internal/deletion-tasks/info?task_id=upsert-001").status_code == 404
    assert client.get("/internal/deletion-tasks/list").json() == []


@pytest.mark.parametrize(("verb", "operation"), [("GET", "info"), ("PUT", "cancel"), ("PUT", "restart")])
def test_an_unknown_task_is_404_and_a_missing_id_422(client: TestClient, verb: str, operation: str) -> None:
    path = f"/internal/upsertion-tasks/{operation}"
    answer = client.request(verb, path, params={"task_id": "X"})
    assert (answer.status_code, answer.json()) == (404, {"detail": "Task with ID `X` not found"})
    missing = client.request(verb, path)
    assert (missing.status_code, missing.json()["detail"][0]["loc"]) == (422, ["query", "task_id"])


def test_cancel_and_restart_reach_the_engine(client: TestClient, engine: FakeEngine) -> None:
    run(client)
    assert client.put("/internal/upsertion-tasks/cancel?task_id=upsert-001").json()["status"] == "canceled"
    assert client.put("/internal/upsertion-tasks/restart?task_id=upsert-001").json()["attempt"] == 2
    client.put("/internal/upsertion-tasks/restart?task_id=upsert-001&force=true")
    assert [call for call in engine.calls if call.startswith("restart")] == ["restart", "restart forced"]


def test_a_restart_whose_items_are_no_longer_kept_is_409(client: TestClient, engine: FakeEngine) -> None:
    run(client)
    engine.raises = lambda: BodiesExpired("the items were kept for 7 days")
    answer = client.put("/internal/upsertion-tasks/restart?task_id=upsert-001")
    assert (answer.status_code, answer.json()) == (409, {"detail": "the items were kept for 7 days"})


@pytest.mark.parametrize("error", [ServiceError, TransientError])
def test_a_database_that_is_down_is_503_without_its_address(
    client: TestClient, engine: FakeEngine, error: type[Exception]
) -> None:
    engine.raises = lambda: error("connection to 10.0.0.5 failed: /var/lib/indexmill")
    for answer in (run(client), client.get("/internal/upsertion-tasks/list")):
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert "10.0.0.5" not in answer.text


def test_a_defect_is_500_in_the_doors_shape_without_a_traceback(client: TestClient, engine: FakeEngine) -> None:
    engine.raises = lambda: RuntimeError("secret path /var/lib")
    answer = run(client)
    assert answer.status_code == 500
    assert list(answer.json()) == ["detail"]
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
