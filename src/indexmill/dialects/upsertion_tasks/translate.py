"""Between front door 1's words and the engine's: requests to submissions, jobs to tasks, states to statuses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from math import floor
from typing import Any, Final

from pydantic_core import to_json

from indexmill.dialects.upsertion_tasks.wire import (
    DataItem,
    DeletionRequest,
    FailureStage,
    TaskStatus,
    UpsertionRequest,
)
from indexmill.domain.failure import Failure, Stage
from indexmill.domain.job import Item, Job, JobKind, Submission
from indexmill.domain.job_state import JobState
from indexmill.http.answers import timestamp

__all__ = [
    "FAILURE_BYTES",
    "FAILURE_STAGES",
    "FEW_ITEMS",
    "STATUSES",
    "FailureBudget",
    "deletion",
    "states_of",
    "task",
    "upsertion",
]

#: A request of more items than this is stored by itself: it would hold the others up.
FEW_ITEMS = 64

#: `receiving` is missing: nobody sees such a job.
STATUSES: Final[dict[JobState, TaskStatus]] = {
    JobState.QUEUED: TaskStatus.PENDING,
    JobState.RUNNING: TaskStatus.PROCESSING,
    JobState.RETRYING: TaskStatus.PROCESSING,
    JobState.SUCCEEDED: TaskStatus.DONE,
    JobState.FAILED: TaskStatus.FAILED,
    JobState.CANCELLED: TaskStatus.CANCELED,
    JobState.REFUSED: TaskStatus.REFUSED,
}
FAILURE_STAGES: Final[dict[Stage, FailureStage]] = {
    Stage.LOAD: FailureStage.ON_DOWNLOADING,
    Stage.EXTRACT: FailureStage.ON_DOWNLOADING,
    Stage.SPLIT: FailureStage.ON_SPLITTING,
    Stage.EMBED: FailureStage.ON_INFERENCE,
    Stage.WRITE: FailureStage.ON_UPSERT,
    Stage.ENGINE: FailureStage.OTHER,
}
#: What the failed items of one answer may take together.
FAILURE_BYTES: Final = 4 * 1024 * 1024
_DETAIL_LENGTH: Final = 1500


def states_of(status: TaskStatus) -> tuple[JobState, ...]:
    """The engine states that this door shows as `status`."""
    return tuple(state for state, shown in STATUSES.items() if shown is status)


def upsertion(request: UpsertionRequest, items: Collection[DataItem]) -> Submission:
    wanted = (Item(each["object_id"], each.get("payload"), each.get("item_info")) for each in items)
    return Submission(JobKind.UPSERTION, request.embedding_model_id, _at_once(wanted, items), request.external_id)


def deletion(request: DeletionRequest, items: Collection[str]) -> Submission:
    wanted = (Item(object_id) for object_id in items)
    return Submission(JobKind.DELETION, request.embedding_model_id, _at_once(wanted, items), request.external_id)


def _at_once(items: Iterator[Item], wire: Collection[object]) -> Iterable[Item]:
    """A list where the items are few and small enough to be stored with other requests; else one after the other."""
    return list(items) if isinstance(wire, list) and len(wire) <= FEW_ITEMS else items


class FailureBudget:
    """The bytes that failed items may still take in one answer; the first that does not fit ends the listing."""

    def __init__(self, size: int = FAILURE_BYTES) -> None:
        self._left = size

    def fitting(self, failures: Sequence[Failure], copies: int = 1) -> list[dict[str, Any]]:
        """As many as fit, where the answer holds each of them `copies` times."""
        shown = []
        for failure in failures:
            item = _failed_item(failure)
            self._left -= (len(to_json(item)) + 1) * copies
            if self._left < 0:
                break
            shown.append(item)
        return shown


def _failed_item(failure: Failure) -> dict[str, Any]:
    item: dict[str, Any] = {"object_id": failure.object_id}
    if failure.payload is not None:
        item["payload"] = failure.payload
    if failure.item_info is not None:
        item["item_info"] = failure.item_info
    item["detail"] = failure.sentence[:_DETAIL_LENGTH]
    item["failure_stage"] = FAILURE_STAGES[failure.stage]
    item["retryable"] = failure.retryable
    return item


def task(job: Job, failures: Sequence[Failure], budget: FailureBudget) -> dict[str, Any]:
    """The task as the wire has it; what is not set is left out."""
    counters = job.counters
    shown: dict[str, Any] = {
        "id": job.name,
        "task_id": job.name,
        "embedding_model_id": job.model,
        "status": STATUSES[job.state],
        "created_at": timestamp(job.created_at),
        "updated_at": timestamp(job.updated_at),
    }
    if job.detail is not None:
        shown["detail"] = job.detail
    if job.started_at is not None:
        shown["started_at"] = timestamp(job.started_at)
    if job.finished_at is not None:
        shown["finished_at"] = timestamp(job.finished_at)
    shown["attempt"] = job.attempt
    shown["total_items"] = job.total_items
    shown["done_items"] = counters.indexed + counters.payload_updated + counters.removed + counters.absent
    shown["failed_count"] = counters.failed
    shown["skipped_items"] = counters.unchanged + counters.superseded
    # Rounded down: 1 is said only when every item is decided.
    shown["progress"] = floor(job.progress * 10_000) / 10_000
    deletes = job.kind is JobKind.DELETION
    shown["failed_items"] = budget.fitting(failures, copies=2 if deletes else 1)
    if deletes:
        shown["removed_items"] = counters.removed
        shown["failed_item_ids"] = [
            {"object_id": item["object_id"], "detail": item["detail"]} for item in shown["failed_items"]
        ]
    return shown
