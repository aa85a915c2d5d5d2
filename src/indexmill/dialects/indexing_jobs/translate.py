"""Between front door 3's words and the engine's: requests to data sources and filters, records to what clients read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid5

from pydantic import BaseModel

from indexmill.dialects.indexing_jobs.requests import (
    ChunkingFields,
    DataSourceFields,
    FilterCondition,
    MetadataFilters,
)
from indexmill.domain.chunking import DEFAULT_LIMITS
from indexmill.domain.job import Job
from indexmill.domain.job_state import JobState, Reason
from indexmill.domain.knowledge_base import (
    Chunking,
    ChunkingAlgorithm,
    DataSource,
    DataSourceKind,
    FileCounts,
    IndexingJob,
    KnowledgeBase,
    NewDataSource,
    SourceRun,
    SourceRunStatus,
)
from indexmill.domain.metadata_filter import Condition, MetadataFilter, document_metadata
from indexmill.errors import InvalidRequest
from indexmill.http.answers import timestamp
from indexmill.models.embedding_model import Deployment
from indexmill.vectors.chunk_search import ChunkHit

__all__ = [
    "ECHOED_DETAILS",
    "JOB_WORDS",
    "KNOWLEDGE_BASE_USE",
    "SOURCE_STATUSES",
    "chosen_model",
    "chunk_view",
    "data_source_view",
    "details_of",
    "job_view",
    "knowledge_base_view",
    "metadata_filter",
    "model_uuid",
    "model_view",
    "new_source",
    "source_run_view",
    "updated_chunking",
]


@dataclass(frozen=True)
class JobWords:
    """What this door calls a job's state."""

    status: str
    phase: str

    @classmethod
    def of(cls, status: str, phase: str) -> JobWords:
        return cls(f"INDEX_JOB_STATUS_{status}", f"BATCH_JOB_PHASE_{phase}")


#: By state and reason; a state that is here without a reason has the same words for all. `receiving`: nobody sees it.
JOB_WORDS: Final[dict[tuple[JobState, Reason | None], JobWords]] = {
    (JobState.QUEUED, None): JobWords.of("PENDING", "PENDING"),
    (JobState.RUNNING, None): JobWords.of("IN_PROGRESS", "RUNNING"),
    (JobState.RETRYING, None): JobWords.of("IN_PROGRESS", "RUNNING"),
    (JobState.SUCCEEDED, Reason.COMPLETE): JobWords.of("COMPLETED", "SUCCEEDED"),
    (JobState.SUCCEEDED, Reason.NOTHING_CHANGED): JobWords.of("NO_CHANGES", "SUCCEEDED"),
    (JobState.SUCCEEDED, Reason.WITH_FAILURES): JobWords.of("PARTIAL", "SUCCEEDED"),
    (JobState.FAILED, Reason.BY_ITEMS): JobWords.of("FAILED", "FAILED"),
    (JobState.FAILED, Reason.SYSTEM): JobWords.of("FAILED", "ERROR"),
    (JobState.CANCELLED, None): JobWords.of("CANCELLED", "CANCELLED"),
    (JobState.REFUSED, None): JobWords.of("FAILED", "ERROR"),
}
SOURCE_STATUSES: Final[dict[SourceRunStatus, str]] = {
    SourceRunStatus.PENDING: "DATA_SOURCE_STATUS_UNKNOWN",
    SourceRunStatus.RUNNING: "DATA_SOURCE_STATUS_IN_PROGRESS",
    SourceRunStatus.UPDATED: "DATA_SOURCE_STATUS_UPDATED",
    SourceRunStatus.NOT_UPDATED: "DATA_SOURCE_STATUS_NOT_UPDATED",
    SourceRunStatus.PARTIALLY_UPDATED: "DATA_SOURCE_STATUS_PARTIALLY_UPDATED",
    SourceRunStatus.FAILED: "DATA_SOURCE_STATUS_FAILED",
    SourceRunStatus.CANCELLED: "DATA_SOURCE_STATUS_CANCELLED",
}
_ALGORITHM: Final = "CHUNKING_ALGORITHM_"
KNOWLEDGE_BASE_USE: Final = "MODEL_USECASE_KNOWLEDGEBASE"
#: A model's uuid is made from its id in this name space, here and everywhere.
_MODELS: Final = UUID("2f1d7c52-6f0e-4f7e-8a3b-5f6d1e0c9b7a")
#: Of a knowledge base's details: what is given back. The rest is kept.
ECHOED_DETAILS: Final = ("region", "tags", "project_id", "database_id", "reranking_config")
_SECRETS: Final = ("key_id", "secret_key", "refresh_token")
#: What is shown of a source, in this order.
_SHOWN: Final[dict[DataSourceKind, tuple[str, ...]]] = {
    DataSourceKind.SPACES: ("bucket_name", "item_path", "region"),
    DataSourceKind.AWS: ("bucket_name", "item_path", "region"),
    DataSourceKind.WEB_CRAWLER: ("base_url", "crawling_option", "embed_media", "exclude_tags"),
    DataSourceKind.FILE_UPLOAD: ("original_file_name", "size_in_bytes", "stored_object_key"),
    DataSourceKind.DROPBOX: ("folder",),
    DataSourceKind.GOOGLE_DRIVE: ("folder_id", "folder_name"),
}
_CHUNKING_OPTIONS: Final = ("max_chunk_size", "parent_chunk_size", "child_chunk_size", "semantic_threshold")


# Requests


def new_source(fields: DataSourceFields) -> NewDataSource:
    kind, given = next((kind, found) for kind in DataSourceKind if (found := fields.of_kind(kind)) is not None)
    settings = given.model_dump(mode="json", exclude_none=True)
    secrets: dict[str, str] = {name: settings.pop(name) for name in _SECRETS if name in settings}
    if kind is DataSourceKind.WEB_CRAWLER:
        if settings.get("crawling_option", "UNKNOWN") == "UNKNOWN":
            settings["crawling_option"] = "SCOPED"
        if not settings["exclude_tags"]:
            # As of every empty field: it is as if it were not there, and then crawls have a list of their own.
            del settings["exclude_tags"]
    return NewDataSource(kind, settings, secrets, updated_chunking(Chunking(), fields))


def updated_chunking(current: Chunking, fields: ChunkingFields) -> Chunking:
    """With what the request says; options that it does not name stay, unless the algorithm is another."""
    algorithm = current.algorithm
    if fields.chunking_algorithm not in (None, f"{_ALGORITHM}UNKNOWN"):
        algorithm = ChunkingAlgorithm(str(fields.chunking_algorithm).removeprefix(_ALGORITHM).lower())
    kept = current if algorithm is current.algorithm else Chunking(algorithm)
    given = fields.chunking_options.model_dump(exclude_none=True) if fields.chunking_options is not None else {}
    return replace(kept, **given)


def metadata_filter(filters: MetadataFilters | None) -> MetadataFilter | None:
    if filters is None:
        return None
    wanted = MetadataFilter(*(_conditions(each) for each in (filters.must, filters.must_not, filters.should)))
    return None if wanted.is_empty else wanted


def _conditions(given: Iterable[FilterCondition]) -> tuple[Condition, ...]:
    return tuple(Condition(each.field, each.operator, each.value) for each in given)


def model_uuid(model: str) -> str:
    return str(uuid5(_MODELS, model))


def chosen_model(reference: str | None, deployments: Iterable[Deployment]) -> str:
    """The id of the model that is named by its id or its uuid; without a name the only one that there is.

    Raises:
        InvalidRequest: there is no such model, or not one alone.
    """
    known = [each.id for each in deployments]
    if reference is None:
        if len(known) == 1:
            return known[0]
        fault = f"embedding_model_uuid: expected one of the {len(known)} deployed models, got none"
    elif reference in known:
        return reference
    else:
        fitting = [each for each in known if model_uuid(each) == reference.lower()]
        if fitting:
            return fitting[0]
        fault = f"embedding_model_uuid: expected a deployed model, got `{reference[:64]}`"
    raise InvalidRequest(f"{fault}; `GET /v2/gen-ai/models` lists them")


# Records


def job_view(indexing: IndexingJob) -> dict[str, Any]:
    job, counts = indexing.job, indexing.counts
    words = _words(job)
    view: dict[str, Any] = {
        "uuid": str(job.id),
        "knowledge_base_uuid": str(indexing.knowledge_base),
        "data_source_uuids": [str(run.source) for run in indexing.runs],
        "status": words.status,
        "phase": words.phase,
        "total_datasources": len(indexing.runs),
        "completed_datasources": sum(run.is_complete for run in indexing.runs),
        "tokens": counts.tokens,
        # 64-bit numbers as strings, for clients whose numbers are floats; some read the one, some the others.
        "total_tokens": str(counts.tokens),
        "total_items_indexed": str(counts.indexed),
        "total_items_failed": str(counts.failed),
        "total_items_skipped": str(counts.skipped),
        "is_report_available": indexing.has_report,
        "data_source_jobs": [source_run_view(run) for run in indexing.runs],
    }
    return view | _times(
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        updated_at=job.updated_at,
    )


def _words(job: Job) -> JobWords:
    own = JOB_WORDS.get((job.state, job.reason))
    return own if own is not None else JOB_WORDS[job.state, None]


def source_run_view(run: SourceRun) -> dict[str, Any]:
    view = {
        "data_source_uuid": str(run.source),
        "status": SOURCE_STATUSES[run.status],
        **_times(started_at=run.started_at, completed_at=run.completed_at),
        **_counters(run.files),
    }
    if run.error_code is not None:
        view["error_msg"] = run.error_code
    if run.error_sentence is not None:
        view["error_details"] = run.error_sentence
    return view


def _counters(files: FileCounts) -> dict[str, str]:
    counters = {
        "total_file_count": files.total,
        "indexed_file_count": files.indexed,
        "skipped_item_count": files.skipped,
        "failed_item_count": files.failed,
        "removed_item_count": files.removed,
        "indexed_item_count": files.chunks,
        "total_bytes": files.bytes_total,
        "total_bytes_indexed": files.bytes_indexed,
    }
    return {name: str(number) for name, number in counters.items()}


def data_source_view(source: DataSource) -> dict[str, Any]:
    shown: dict[str, Any] = {
        name: source.settings[name] for name in _SHOWN[source.kind] if source.settings.get(name) is not None
    }
    if "size_in_bytes" in shown:
        shown["size_in_bytes"] = str(shown["size_in_bytes"])
    if source.kind is DataSourceKind.WEB_CRAWLER:
        shown.setdefault("exclude_tags", [])
    view: dict[str, Any] = {"uuid": str(source.id), f"{source.kind}_data_source": shown}
    if source.kind is DataSourceKind.SPACES:
        # Older clients look here.
        view |= shown
    chunking = source.chunking
    options = {name: getattr(chunking, name) for name in _CHUNKING_OPTIONS}
    view["chunking_algorithm"] = f"{_ALGORITHM}{chunking.algorithm.upper()}"
    view["chunking_options"] = {name: value for name, value in options.items() if value is not None}
    if source.last_run is not None:
        view["last_datasource_indexing_job"] = source_run_view(source.last_run)
    return view | _times(created_at=source.created_at, updated_at=source.updated_at)


def knowledge_base_view(base: KnowledgeBase) -> dict[str, Any]:
    view: dict[str, Any] = {
        "uuid": str(base.id),
        "name": base.name,
        "embedding_model_uuid": model_uuid(base.model),
        "collection": base.collection,
        "is_public": False,
    }
    view |= {name: base.details[name] for name in ECHOED_DETAILS if base.details.get(name) is not None}
    if base.last_job is not None:
        view["last_indexing_job"] = job_view(base.last_job)
    return view | _times(created_at=base.created_at, updated_at=base.updated_at)


def model_view(model: Deployment) -> dict[str, Any]:
    view = {
        "uuid": model_uuid(model.id),
        "id": model.id,
        "name": model.id,
        "is_foundational": True,
        "upload_complete": True,
        "usecases": [KNOWLEDGE_BASE_USE],
        "kb_min_chunk_size": DEFAULT_LIMITS.smallest,
        "kb_max_chunk_size": DEFAULT_LIMITS.largest,
        "kb_default_chunk_size": DEFAULT_LIMITS.default,
    }
    return view | _times(created_at=model.created_at, updated_at=model.created_at)


def chunk_view(hit: ChunkHit) -> dict[str, Any]:
    metadata = document_metadata(hit.document.payload, hit.document.item_info)
    metadata |= {"score": hit.score, "chunk": hit.ordinal}
    if hit.page is not None:
        metadata["page"] = hit.page
    if hit.headings:
        metadata["headings"] = hit.headings
    return {"metadata": metadata, "text_content": hit.text}


def details_of(body: BaseModel) -> dict[str, Any]:
    """What the request says of a knowledge base beside its name, its model and its sources."""
    return body.model_dump(
        mode="json", exclude_unset=True, exclude_none=True, exclude={"name", "embedding_model_uuid", "datasources"}
    )


def _times(**moments: datetime | None) -> dict[str, str]:
    """Those that have come; the others are left out, never empty."""
    return {name: timestamp(moment) for name, moment in moments.items() if moment is not None}
