"""Between front door 2's words and the engine's: inputs to items, jobs to tasks, documents to their metadata."""

from __future__ import annotations

from typing import Any, Final

from indexmill.domain.job import Job, JobKind
from indexmill.domain.job_state import JobState, Reason

__all__ = ["STATUSES", "document_view", "ingest_response", "is_success", "task_reference", "task_view"]

_MODEL: Final = "private-gpt"
#: `receiving` is missing: nobody sees such a job.
STATUSES: Final[dict[JobState, str]] = {
    JobState.QUEUED: "PENDING",
    JobState.RUNNING: "STARTED",
    JobState.RETRYING: "RETRY",
    JobState.SUCCEEDED: "SUCCESS",
    JobState.FAILED: "FAILURE",
    JobState.CANCELLED: "REVOKED",
    JobState.REFUSED: "FAILURE",
}
#: What a job that ended without a sentence of its own says.
_NO_SENTENCE: Final = "The task failed; `GET /jobs/{id}` says more"


def is_success(job: Job) -> bool:
    """Also a delete that a later ingest of the document overtook: what it was to remove is gone."""
    overtaken = job.kind is JobKind.DELETION and job.reason is Reason.SUPERSEDED
    return job.state is JobState.SUCCEEDED or overtaken


def task_reference(job: Job) -> str:
    return f"task_{job.id}"


def document_view(
    artifact: str, collection: str, metadata: dict[str, Any] | None, info: dict[str, Any] | None
) -> dict[str, Any]:
    """The user's metadata, under what the service knows: a document cannot say that it belongs elsewhere."""
    known = info or {}
    system: dict[str, Any] = {"artifact_id": artifact, "collection": collection}
    name = known.get("file_name") or (metadata or {}).get("file_name")
    system["file_name"] = name if isinstance(name, str) else artifact
    if isinstance(known.get("hash"), str):
        system["hash"] = known["hash"]
    return {
        "object": "ingest.document",
        "artifact": artifact,
        "doc_metadata": {**(metadata or {}), **system},
    }


def ingest_response(documents: list[dict[str, Any]]) -> dict[str, Any]:
    return {"object": "list", "model": _MODEL, "data": documents}


def task_view(job: Job, documents: list[dict[str, Any]], sentence: str | None) -> dict[str, Any]:
    """`documents`: what a succeeded ingest has indexed; `sentence`: why a failed one failed."""
    status = "SUCCESS" if is_success(job) else STATUSES[job.state]
    result: Any = None
    if status == "FAILURE":
        result = sentence or job.detail or _NO_SENTENCE
    elif status == "SUCCESS" and job.kind is not JobKind.DELETION:
        result = ingest_response([] if job.reason is Reason.NOTHING_CHANGED else documents)
    return {"task_id": task_reference(job), "task_status": status, "task_result": result}
