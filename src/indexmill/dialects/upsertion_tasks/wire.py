"""What front door 1 takes and gives, field by field, with the examples that its documentation shows."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, NotRequired

from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from indexmill.http.fields import Identifier, ObjectId

__all__ = [
    "CREATED_EXAMPLE",
    "DELETION_EXAMPLE",
    "TASK_EXAMPLE",
    "UPSERTION_EXAMPLE",
    "DataItem",
    "DeletionRequest",
    "DeletionTask",
    "FailedItem",
    "FailedObject",
    "FailureStage",
    "RunRequest",
    "Task",
    "TaskStatus",
    "UpsertionRequest",
]

UPSERTION_EXAMPLE: Final[dict[str, Any]] = {
    "embedding_model_id": "embed-123",
    "task_id": "upsert-001",
    "items": [{"object_id": "doc-1", "payload": {"text": "neural nets basics"}}],
}
DELETION_EXAMPLE: Final[dict[str, Any]] = {
    "embedding_model_id": "embed-123",
    "task_id": "delete-001",
    "object_ids": ["doc-1"],
}
TASK_EXAMPLE: Final[dict[str, Any]] = {
    "id": "upsert-001",
    "task_id": "upsert-001",
    "embedding_model_id": "embed-123",
    "status": "done",
    "created_at": "2024-05-21T10:00:00Z",
    "updated_at": "2024-05-21T10:00:00.412000Z",
    "started_at": "2024-05-21T10:00:00.037000Z",
    "finished_at": "2024-05-21T10:00:00.412000Z",
    "attempt": 1,
    "total_items": 2,
    "done_items": 1,
    "failed_count": 1,
    "skipped_items": 0,
    "progress": 1.0,
    "failed_items": [
        {
            "object_id": "doc-2",
            "payload": {"title": "no text"},
            "detail": "Expected text in `payload.text` or a source in `item_info.source`, found neither",
            "failure_stage": "on_downloading",
            "retryable": False,
        }
    ],
}


#: What `run` answers: nothing has been done yet.
CREATED_EXAMPLE: Final[dict[str, Any]] = {
    name: value for name, value in TASK_EXAMPLE.items() if name not in {"started_at", "finished_at"}
} | {
    "status": "pending",
    "updated_at": "2024-05-21T10:00:00Z",
    "total_items": 1,
    "done_items": 0,
    "failed_count": 0,
    "progress": 0.0,
    "failed_items": [],
}


class TaskStatus(StrEnum):
    """`refused`: the system would not take it to work; `detail` says why."""

    PENDING = "pending"
    PROCESSING = "processing"
    DONE = "done"
    CANCELED = "canceled"
    FAILED = "failed"
    REFUSED = "refused"


class FailureStage(StrEnum):
    ON_DOWNLOADING = "on_downloading"
    ON_SPLITTING = "on_splitting"
    ON_INFERENCE = "on_inference"
    ON_UPSERT = "on_upsert"
    OTHER = "other"


class DataItem(TypedDict):
    """One object to insert or update. A typed dict, because thousands of them come in one request."""

    object_id: ObjectId
    payload: NotRequired[
        Annotated[
            dict[str, Any] | None,
            Field(description="The text to embed, by default at the key `text`, and what search returns and filters."),
        ]
    ]
    item_info: NotRequired[
        Annotated[
            dict[str, Any] | None,
            Field(description="Stored with the object; with the key `source` it says where the content is instead."),
        ]
    ]


class RunRequest(BaseModel):
    """What every run request has; fields that nobody knows are ignored."""

    model_config = ConfigDict(extra="ignore")

    embedding_model_id: Identifier = Field(description="A deployed model, see `GET /models`.")
    task_id: Identifier | None = Field(
        default=None, description="Idempotency id: the same id with the same body is the same task."
    )
    id: Identifier | None = Field(default=None, description="Another name of `task_id`; give one of the two.")

    @model_validator(mode="after")
    def _one_id(self) -> RunRequest:
        if self.id is not None and self.task_id is not None and self.id != self.task_id:
            raise ValueError("`id` and `task_id` name the same thing: expected one of them, or both equal")
        return self

    @property
    def external_id(self) -> str | None:
        return self.task_id if self.task_id is not None else self.id


# `FailFast`: the first wrong item is enough; a million of them would be a million error records.


class UpsertionRequest(RunRequest):
    model_config = ConfigDict(json_schema_extra={"example": UPSERTION_EXAMPLE})

    items: Annotated[list[DataItem], FailFast()] = Field(
        description="The objects. An empty list is a task that is done at once. Of an id given twice the last one wins."
    )


class DeletionRequest(RunRequest):
    model_config = ConfigDict(json_schema_extra={"example": DELETION_EXAMPLE})

    object_ids: Annotated[list[ObjectId], FailFast()] = Field(
        description="The objects to remove; one that is not there is no error."
    )


class FailedItem(BaseModel):
    """Why one object could not be indexed; its previous vectors stay as they were."""

    object_id: str
    payload: dict[str, Any] | None = Field(default=None, description="As it was sent; left out where it is large.")
    item_info: dict[str, Any] | None = Field(default=None, description="As it was sent; left out where it is large.")
    detail: str = Field(description="One sentence, at most 1,500 characters.")
    failure_stage: FailureStage = Field(description="What failed; `other`: its worker was lost, or a limit.")
    retryable: bool = Field(description="Whether the same item may succeed when tried again.")


class FailedObject(BaseModel):
    """An object that could not be removed."""

    object_id: str
    detail: str = Field(description="One sentence.")


class Task(BaseModel):
    """A task. done_items + skipped_items + failed_count + cancelled ones = total_items once it has ended."""

    model_config = ConfigDict(json_schema_extra={"example": TASK_EXAMPLE})

    id: str
    task_id: str = Field(description="The same value as `id`.")
    embedding_model_id: str = Field(description="The model, and the collection that is named like it.")
    status: TaskStatus = Field(description="`done` also with failed items, if at least one other is as wanted.")
    detail: str | None = Field(
        default=None, description="Why it was refused, failed, canceled or waits; else left out."
    )
    created_at: str = Field(description="RFC 3339, UTC.")
    updated_at: str = Field(description="Of its last transition.")
    started_at: str | None = Field(default=None, description="When a worker first took it.")
    finished_at: str | None = Field(default=None, description="When it ended; of an unfinished one left out.")
    attempt: int = Field(description="Counts its restarts, from 1.")
    total_items: int = Field(description="Items of the request.")
    done_items: int = Field(description="Items that were written or removed, and deletions of what was not there.")
    failed_count: int = Field(description="The true number of failed items, also where `failed_items` is cut.")
    skipped_items: int = Field(description="Items that were unchanged, or superseded by a later task.")
    progress: float = Field(ge=0, le=1, description="Share of items that are decided.")
    failed_items: list[FailedItem] = Field(
        description="The first 1,000 (in a list: 10 a task), 4 MiB at most; all of them at `/jobs/{id}/failed-items`."
    )


class DeletionTask(Task):
    model_config = ConfigDict(
        json_schema_extra={
            "example": TASK_EXAMPLE
            | {
                "id": "delete-001",
                "task_id": "delete-001",
                "failed_count": 0,
                "total_items": 1,
                "failed_items": [],
                "removed_items": 1,
                "failed_item_ids": [],
            }
        }
    )

    removed_items: int = Field(description="Objects that were there and are removed.")
    failed_item_ids: list[FailedObject]
