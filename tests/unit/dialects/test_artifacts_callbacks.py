"""The messages of front door 2, byte for byte: order of the keys, types, error codes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from indexmill.dialects.artifacts.callbacks import callback_message, error_code
from indexmill.domain.callback import CallbackEvent, CallbackKind
from indexmill.domain.job import Job, JobKind
from indexmill.domain.job_state import JobState
from indexmill.domain.outcome import Counters, FailureCode

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ID = UUID(int=1)
RESPONSE = {"object": "list", "model": "private-gpt", "data": []}


def job(kind: JobKind = JobKind.UPSERTION) -> Job:
    return Job(
        id=ID, external_id="task_1", tenant=1, kind=kind, state=JobState.SUCCEEDED, reason=None, detail=None,
        collection="c", model="m", attempt=1, total_items=1, counters=Counters(), created_at=NOW, updated_at=NOW,
        started_at=None, finished_at=NOW,
    )  # fmt: skip


def event(kind: CallbackKind, **data: Any) -> CallbackEvent:
    return CallbackEvent(
        id=1, job=ID, attempt=1, kind=kind, exchange="main", routing_key=None, data=data, properties={"k": "ü"},
        created_at=NOW, tries=1, refused_seconds=0,
    )  # fmt: skip


def body(kind: CallbackKind, job_kind: JobKind = JobKind.UPSERTION, **data: Any) -> str:
    message = callback_message(job(job_kind), event(kind, **data), lambda *_: RESPONSE)
    assert message is not None
    return message.body.decode()


def test_the_bodies_are_the_documented_ones() -> None:
    assert body(CallbackKind.PROGRESS, current_step="Parse", percentage=30) == (
        '{"data":{"percentage":30,"warnings":null,"current_step":"Parse"},"type":"pgpt.vector_index_task.progress",'
        '"error":null,"callback_properties":{"k":"ü"}}'
    )
    assert body(CallbackKind.DONE) == (
        '{"data":{"object":"list","model":"private-gpt","data":[]},"type":"pgpt.vector_index_task.done",'
        '"error":null,"callback_properties":{"k":"ü"}}'
    )
    failures = [{"stage": "extract", "code": "encrypted_file"}] * 2
    assert body(CallbackKind.ERROR, state="failed", failures=failures) == (
        '{"data":null,"type":"pgpt.vector_index_task.error",'
        '"error":{"errors":["zpgt.ingest.encrypted_file.error"],"warnings":null},"callback_properties":{"k":"ü"}}'
    )


def test_a_deletion_tells_its_end_only() -> None:
    assert body(CallbackKind.DONE, JobKind.DELETION) == (
        '{"data":null,"type":"pgpt.delete_ingested_task.done","error":null,"callback_properties":{"k":"ü"}}'
    )
    assert "pgpt.delete_ingested_task.error" in body(CallbackKind.ERROR, JobKind.DELETION, state="failed", failures=[])
    progress = event(CallbackKind.PROGRESS, current_step="Validation", percentage=0)
    assert callback_message(job(JobKind.DELETION), progress, lambda *_: RESPONSE) is None


@pytest.mark.parametrize(("state", "code"), [("cancelled", "revoked"), ("refused", "parsing_failure")])
def test_an_end_without_failed_items_has_a_code_too(state: str, code: str) -> None:
    assert f'["zpgt.ingest.{code}.error"]' in body(CallbackKind.ERROR, state=state, failures=[])


def test_every_failure_of_ours_has_one_of_the_documented_codes() -> None:
    documented = {
        "invalid_file_size", "malformed_file", "invalid_file_extension", "mismatched_mime_type", "encrypted_file",
        "parsing_failure", "no_valid_nodes", "exceeds_max_nodes",
    }  # fmt: skip
    for code in FailureCode:
        assert error_code(code).split(".")[2] in documented
    assert error_code("too_large") == "zpgt.ingest.invalid_file_size.error"
