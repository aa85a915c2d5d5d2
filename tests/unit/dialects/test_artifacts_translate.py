"""Between front door 2's words and the engine's: statuses, chosen documents, and the metadata that is kept."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from indexmill.dialects.artifacts.errors import document_problem
from indexmill.dialects.artifacts.translate import chosen_documents, stored_metadata, task_view
from indexmill.dialects.artifacts.wire import ContextFilter
from indexmill.domain.failure import FailureCode
from indexmill.domain.job import Job, JobKind
from indexmill.domain.job_state import JobState, Reason
from indexmill.domain.outcome import Counters
from indexmill.errors import InvalidRequest
from indexmill.http.app import create_app
from indexmill.http.service import Service
from indexmill.settings import ArtifactSettings
from tests.unit.http.fake_service import FakeService

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DOCUMENT = {"object": "ingest.document", "artifact": "a", "doc_metadata": {}}
RESPONSE = {"object": "list", "model": "private-gpt", "data": [DOCUMENT]}


def job(state: JobState, reason: Reason | None = None, kind: JobKind = JobKind.INGESTION) -> Job:
    return Job(
        id=UUID(int=1), external_id=None, tenant=1, kind=kind, state=state, reason=reason, detail="detail",
        collection="c", model="m", attempt=1, total_items=1, counters=Counters(), created_at=NOW, updated_at=NOW,
        started_at=None, finished_at=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("ended", "status", "result"),
    [
        (job(JobState.QUEUED), "PENDING", None),
        (job(JobState.RUNNING), "STARTED", None),
        (job(JobState.RETRYING), "RETRY", None),
        (job(JobState.SUCCEEDED, Reason.COMPLETE), "SUCCESS", RESPONSE),
        (job(JobState.SUCCEEDED, Reason.NOTHING_CHANGED), "SUCCESS", {**RESPONSE, "data": []}),
        (job(JobState.SUCCEEDED, Reason.COMPLETE, JobKind.DELETION), "SUCCESS", None),
        (job(JobState.FAILED, Reason.BY_ITEMS), "FAILURE", "why"),
        (job(JobState.REFUSED, Reason.WITHDRAWN), "FAILURE", "why"),
        (job(JobState.CANCELLED, Reason.BY_REQUEST), "REVOKED", None),
        (job(JobState.CANCELLED, Reason.SUPERSEDED), "REVOKED", None),
        (job(JobState.CANCELLED, Reason.SUPERSEDED, JobKind.DELETION), "SUCCESS", None),
    ],
)
def test_a_task_in_each_state(ended: Job, status: str, result: Any) -> None:
    task_id = "task_00000000-0000-0000-0000-000000000001"
    view = task_view(ended, [DOCUMENT], "why")
    assert view == {"task_id": task_id, "task_status": status, "task_result": result}
    assert list(view) == ["task_id", "task_status", "task_result"]


@pytest.mark.parametrize(
    ("wanted", "ids", "equal"),
    [
        ({}, None, []),
        ({"metadata_filter": [{"a": 1}, {"b": [2]}]}, None, [{"a": 1}, {"b": [2]}]),
        ({"metadata_filter": [{"key": "a", "operator": "==", "value": 1}]}, None, [{"a": 1}]),
        ({"metadata_filter": [{"key": "a", "value": None}]}, None, [{"a": None}]),
        ({"metadata_filter": [{"key": "a", "other": 1}]}, None, [{"key": "a", "other": 1}]),
        ({"metadata_filter": [{"key": 1, "value": 2}]}, None, [{"key": 1, "value": 2}]),
        ({"metadata_filter": [{"artifact_id": "x", "a": 1}]}, ["x"], [{"a": 1}]),
        ({"artifacts": ["x", "y"], "metadata_filter": [{"artifact_id": "y"}]}, ["y"], [{}]),
        ({"artifacts": ["x"], "metadata_filter": [{"artifact_id": "y"}]}, [], [{}]),
        ({"metadata_filter": [{"artifact_id": 5}]}, [], [{}]),
        ({"metadata_filter": [{"key": "collection", "operator": "==", "value": "c"}]}, None, [{}]),
        ({"metadata_filter": [{"collection": "other"}]}, [], [{}]),
    ],
)
def test_which_documents_a_filter_chooses(wanted: dict[str, Any], ids: Any, equal: Any) -> None:
    assert chosen_documents(ContextFilter(collection="c", **wanted)) == (ids, equal)


@pytest.mark.parametrize("operator", [">", "!=", "in", "contains", 5])
def test_a_condition_that_is_not_known_is_refused_and_not_looked_up_as_metadata(operator: Any) -> None:
    condition = {"key": "a", "operator": operator, "value": 1}
    with pytest.raises(InvalidRequest, match=r"metadata_filter\.1\.operator: expected `==`"):
        chosen_documents(ContextFilter(metadata_filter=[{}, condition]))
    with pytest.raises(InvalidRequest, match="hash"):
        chosen_documents(ContextFilter(metadata_filter=[{"hash": "0"}]))


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("no_content", 400),
        ("worker_lost", 400),
        ("source_forbidden", 403),
        ("too_large", 413),
        ("tries_exhausted", 503),
    ],
)
def test_what_a_failed_document_is_to_whoever_waits_for_it(code: str, status: int) -> None:
    problem = document_problem(FailureCode(code), "why")
    assert (problem.status, problem.message, "Retry-After" in problem.headers) == (status, "why", status == 503)


def test_metadata_is_kept_without_what_the_service_says_itself() -> None:
    given = {"artifact_id": "x", "collection": "y", "hash": "z", "lang": "en"}
    assert stored_metadata(given, None) == {"lang": "en"}
    assert stored_metadata(given, "a.pdf") == {"lang": "en", "file_name": "a.pdf"}
    assert stored_metadata({"file_name": "mine.pdf"}, "theirs.pdf") == {"file_name": "mine.pdf"}
    assert stored_metadata(None, None) == {}


def test_an_unknown_task_is_pending_where_the_setting_says_so() -> None:
    service = FakeService(artifacts=ArtifactSettings(unknown_task="pending"))
    with TestClient(create_app(cast("Service", service))) as client:
        answer = client.get("/v1/artifacts/delete/async/task_01abc")
    assert (answer.status_code, answer.json()) == (
        200, {"task_id": "task_01abc", "task_status": "PENDING", "task_result": None},
    )  # fmt: skip


def test_a_delete_that_takes_too_long_names_its_task() -> None:
    service = FakeService(artifacts=ArtifactSettings(model="embed-123", sync_timeout_seconds=0.02))
    with TestClient(create_app(cast("Service", service))) as client:
        answer = client.post("/v1/artifacts/delete", json={"collection": "embed-123", "artifact": "a"})
    assert answer.status_code == 504
    [waited_for] = service.engine.jobs
    assert f"task_{waited_for}" in answer.json()["detail"]
