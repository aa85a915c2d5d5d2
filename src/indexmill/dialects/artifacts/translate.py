"""Between front door 2's words and the engine's: inputs to items, jobs to tasks, documents to their metadata."""

from __future__ import annotations

from typing import Any, Final

from indexmill.dialects.artifacts.wire import ContextFilter
from indexmill.domain.job import Job, JobKind
from indexmill.domain.job_state import JobState, Reason
from indexmill.errors import InvalidRequest

__all__ = [
    "STATUSES",
    "chosen_documents",
    "document_view",
    "ingest_response",
    "is_success",
    "stored_metadata",
    "task_reference",
    "task_view",
]

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
#: What the service alone says of a document.
_OWN_KEYS: Final = frozenset({"artifact_id", "collection", "hash"})
_CONDITION: Final = frozenset({"key", "operator", "value"})
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


def stored_metadata(metadata: dict[str, Any] | None, file_name: object) -> dict[str, Any]:
    """What is kept and filtered by: without what would be hidden by the service's own, and with the file's name."""
    kept = {name: value for name, value in (metadata or {}).items() if name not in _OWN_KEYS}
    return kept if file_name is None else {"file_name": file_name, **kept}


def chosen_documents(wanted: ContextFilter) -> tuple[list[str] | None, list[dict[str, Any]]]:
    """The ids, None for all, and the values that the documents' metadata must hold.

    Raises:
        InvalidRequest: a condition that is not known.
    """
    ids, equal = wanted.artifacts, []
    for number, condition in enumerate(wanted.metadata_filter or ()):
        fields = dict(_fields(condition, f"context_filter.metadata_filter.{number}"))
        if "artifact_id" in fields:
            artifact = fields.pop("artifact_id")
            ids = [artifact] if isinstance(artifact, str) and (ids is None or artifact in ids) else []
        if fields.pop("collection", wanted.collection) != wanted.collection:
            ids = []
        equal.append(fields)
    return ids, equal


def _fields(condition: dict[str, Any], where: str) -> dict[str, Any]:
    """As names and values; callers may also send them as the original's clients do, `{"key", "operator", "value"}`."""
    if not ({"key", "value"} <= condition.keys() <= _CONDITION and isinstance(condition["key"], str)):
        fields = condition
    elif condition.get("operator") in ("==", None):
        fields = {condition["key"]: condition["value"]}
    else:
        raise InvalidRequest(f"{where}.operator: expected `==`, got {str(condition['operator'])[:40]!r}")
    if "hash" in fields:
        raise InvalidRequest(
            f"{where}: documents are not found by their `hash`; list them, or filter by other metadata"
        )
    return fields


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
