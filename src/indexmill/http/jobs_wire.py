"""The native shape of a job, its events and its failed items, and the engine's records written in it."""

from __future__ import annotations

from dataclasses import asdict
from math import floor
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from indexmill.domain.failure import Failure, FailureCode, Stage
from indexmill.domain.job import Job, JobEvent, JobKind
from indexmill.domain.job_state import JobState, Reason
from indexmill.http.answers import timestamp

__all__ = [
    "DeletedView",
    "FailedItemPage",
    "JobDetailView",
    "JobPageView",
    "JobView",
    "event_view",
    "failed_item_view",
    "job_view",
]

_JOB_EXAMPLE: Final[dict[str, Any]] = {
    "id": "0198c0de-7a3b-7000-8000-5f0c3c1e9d11",
    "external_id": "upsert-001",
    "kind": "upsertion",
    "state": "succeeded",
    "reason": "complete",
    "detail": None,
    "collection": "embed-123",
    "model": "embed-123",
    "attempt": 1,
    "total_items": 1,
    "counters": {
        "indexed": 1,
        "unchanged": 0,
        "payload_updated": 0,
        "superseded": 0,
        "removed": 0,
        "absent": 0,
        "failed": 0,
        "cancelled": 0,
        "chunks": 1,
        "tokens": 3,
        "embedded": 1,
    },
    "progress": 1.0,
    "created_at": "2024-05-21T10:00:00Z",
    "updated_at": "2024-05-21T10:00:01Z",
    "started_at": "2024-05-21T10:00:00.250Z",
    "finished_at": "2024-05-21T10:00:01Z",
    "result": None,
    "submitted_by": "nightly import",
}


_EVENT_EXAMPLE: Final[dict[str, Any]] = {
    "number": 1,
    "at": "2024-05-21T10:00:00Z",
    "state": "queued",
    "reason": None,
    "detail": None,
}


class CountersView(BaseModel):
    """Items by what became of them; `chunks` and `tokens` of the indexed ones; `embedded` counts repeats too."""

    indexed: int
    unchanged: int
    payload_updated: int
    superseded: int
    removed: int
    absent: int
    failed: int
    cancelled: int
    chunks: int
    tokens: int
    embedded: int


class JobView(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": _JOB_EXAMPLE})

    id: str = Field(description="The service's own id of the job.")
    external_id: str | None = Field(description="The id that its caller gave it.")
    kind: JobKind = Field(description="What it does: which door it came in by.")
    state: JobState = Field(description="`queued`, `running` and `retrying` are unfinished; the others have ended.")
    reason: Reason | None = Field(description="Why it ended in this state; null while it is unfinished.")
    detail: str | None = Field(description="A sentence for people, where there is more to say.")
    collection: str
    model: str
    attempt: int = Field(description="Counts retries and reruns, from 1.")
    total_items: int
    counters: CountersView
    progress: float = Field(ge=0, le=1, description="Share of items that are decided.")
    created_at: str = Field(description="RFC 3339, UTC.")
    updated_at: str = Field(description="Of its last transition.")
    started_at: str | None
    finished_at: str | None
    result: dict[str, Any] | None = Field(
        default=None, description="What came of a job that changes a whole collection."
    )
    submitted_by: str | None = Field(
        default=None, description="The name of the API key, or the subject of the token, that it was submitted with."
    )


class EventView(BaseModel):
    """One transition of the job."""

    number: int = Field(description="Counts the job's transitions, from 1.")
    at: str
    state: JobState = Field(description="The state that it led to.")
    reason: Reason | None
    detail: str | None


class JobDetailView(JobView):
    model_config = ConfigDict(json_schema_extra={"example": _JOB_EXAMPLE | {"events": [_EVENT_EXAMPLE]}})

    events: list[EventView]


class JobPageView(BaseModel):
    """`next` is the `after` of the next page, null on the last one."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"jobs": [_JOB_EXAMPLE], "total": 1, "total_is_exact": True, "next": None}}
    )

    jobs: list[JobView]
    total: int = Field(description="How many match, counted to 10,000.")
    total_is_exact: bool = Field(description="False: there are more than `total`.")
    next: str | None = Field(description="The `after` of the next page; null on the last one.")


class FailedItemView(BaseModel):
    """Why one item could not be indexed; its previous vectors stay as they were."""

    position: int = Field(description="Its place in the request, from 0.")
    object_id: str
    stage: Stage = Field(description="What failed.")
    code: FailureCode = Field(description="For programs.")
    detail: str = Field(description="A sentence for people.")
    retryable: bool = Field(description="Whether the same item may succeed when tried again.")
    payload: dict[str, Any] | None = Field(description="As it was sent; null also where it is large.")
    item_info: dict[str, Any] | None = Field(description="As it was sent; null also where it is large.")


class FailedItemPage(BaseModel):
    """`next` is the `after` of the next page, null on the last one."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "failed_items": [
                    {
                        "position": 1,
                        "object_id": "doc-2",
                        "stage": "load",
                        "code": "no_content",
                        "detail": "Expected text in `payload.text` or a source in `item_info.source`, found neither",
                        "retryable": False,
                        "payload": {"title": "no text"},
                        "item_info": None,
                    }
                ],
                "next": None,
            }
        }
    )

    failed_items: list[FailedItemView]
    next: int | None = Field(description="The `after` of the next page; null on the last one.")


class DeletedView(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": {"deleted": 12}})

    deleted: int = Field(description="How many jobs.")


def job_view(job: Job) -> dict[str, Any]:
    return {
        "id": str(job.id),
        "external_id": job.external_id,
        "kind": job.kind,
        "state": job.state,
        "reason": job.reason,
        "detail": job.detail,
        "collection": job.collection,
        "model": job.model,
        "attempt": job.attempt,
        "total_items": job.total_items,
        "counters": asdict(job.counters),
        # Rounded down: 1 is said only when every item is decided.
        "progress": floor(job.progress * 10_000) / 10_000,
        "created_at": timestamp(job.created_at),
        "updated_at": timestamp(job.updated_at),
        "started_at": timestamp(job.started_at) if job.started_at is not None else None,
        "finished_at": timestamp(job.finished_at) if job.finished_at is not None else None,
        "result": job.result,
        "submitted_by": job.submitted_by,
    }


def event_view(event: JobEvent) -> dict[str, Any]:
    return {
        "number": event.number,
        "at": timestamp(event.at),
        "state": event.state,
        "reason": event.reason,
        "detail": event.detail,
    }


def failed_item_view(failure: Failure) -> dict[str, Any]:
    return {
        "position": failure.position,
        "object_id": failure.object_id,
        "stage": failure.stage,
        "code": failure.code,
        "detail": failure.sentence,
        "retryable": failure.retryable,
        "payload": failure.payload,
        "item_info": failure.item_info,
    }
