"""What front door 3 gives, field by field; what is not known is left out. The documentation is made from these."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from indexmill.dialects.indexing_jobs.paging import Links, Meta
from indexmill.dialects.indexing_jobs.requests import EXAMPLE_UUID, Algorithm, CrawlingOption

__all__ = [
    "EXAMPLE_OBJECT_KEY",
    "DataSourceAnswer",
    "DataSourceDeleted",
    "DataSourceList",
    "IndexedDataSourceList",
    "IndexingJobAnswer",
    "IndexingJobList",
    "KnowledgeBaseAnswer",
    "KnowledgeBaseDeleted",
    "KnowledgeBaseList",
    "KnowledgeBaseModelList",
    "KnowledgeBaseRead",
    "PresignedUploads",
    "RetrievedChunks",
    "SignedUrl",
    "UploadedFile",
]

JobStatus = Literal[
    "INDEX_JOB_STATUS_UNKNOWN",
    "INDEX_JOB_STATUS_PARTIAL",
    "INDEX_JOB_STATUS_IN_PROGRESS",
    "INDEX_JOB_STATUS_COMPLETED",
    "INDEX_JOB_STATUS_FAILED",
    "INDEX_JOB_STATUS_NO_CHANGES",
    "INDEX_JOB_STATUS_PENDING",
    "INDEX_JOB_STATUS_CANCELLED",
]
JobPhase = Literal[
    "BATCH_JOB_PHASE_UNKNOWN",
    "BATCH_JOB_PHASE_PENDING",
    "BATCH_JOB_PHASE_RUNNING",
    "BATCH_JOB_PHASE_SUCCEEDED",
    "BATCH_JOB_PHASE_FAILED",
    "BATCH_JOB_PHASE_ERROR",
    "BATCH_JOB_PHASE_CANCELLED",
]
SourceStatus = Literal[
    "DATA_SOURCE_STATUS_UNKNOWN",
    "DATA_SOURCE_STATUS_IN_PROGRESS",
    "DATA_SOURCE_STATUS_UPDATED",
    "DATA_SOURCE_STATUS_PARTIALLY_UPDATED",
    "DATA_SOURCE_STATUS_NOT_UPDATED",
    "DATA_SOURCE_STATUS_FAILED",
    "DATA_SOURCE_STATUS_CANCELLED",
]

_SOURCE: Final = "7d3f6a1c-2a53-4bb5-9a0e-5f9e0a1c7b64"
_JOB: Final = "0190163d-8694-739b-aea5-966c26f8ad91"
_SOURCE_RUN_EXAMPLE: Final[dict[str, Any]] = {
    "data_source_uuid": _SOURCE,
    "status": "DATA_SOURCE_STATUS_UPDATED",
    "started_at": "2024-06-14T09:30:01Z",
    "completed_at": "2024-06-14T09:30:09Z",
    "total_file_count": "12",
    "indexed_file_count": "2",
    "skipped_item_count": "10",
    "failed_item_count": "0",
    "removed_item_count": "1",
    "indexed_item_count": "37",
    "total_bytes": "48211",
    "total_bytes_indexed": "9120",
}
_JOB_EXAMPLE: Final[dict[str, Any]] = {
    "uuid": _JOB,
    "knowledge_base_uuid": EXAMPLE_UUID,
    "data_source_uuids": [_SOURCE],
    "status": "INDEX_JOB_STATUS_COMPLETED",
    "phase": "BATCH_JOB_PHASE_SUCCEEDED",
    "total_datasources": 1,
    "completed_datasources": 1,
    "tokens": 4096,
    "total_tokens": "4096",
    "total_items_indexed": "2",
    "total_items_failed": "0",
    "total_items_skipped": "10",
    "is_report_available": True,
    "data_source_jobs": [_SOURCE_RUN_EXAMPLE],
    "created_at": "2024-06-14T09:30:00Z",
    "started_at": "2024-06-14T09:30:01Z",
    "finished_at": "2024-06-14T09:30:09Z",
    "updated_at": "2024-06-14T09:30:09Z",
}
_PAGE_EXAMPLE: Final[dict[str, Any]] = {"links": {"pages": {}}, "meta": {"page": 1, "pages": 1, "total": 1}}
_DATA_SOURCE_EXAMPLE: Final[dict[str, Any]] = {
    "uuid": _SOURCE,
    "spaces_data_source": {"bucket_name": "handbook", "item_path": "public/", "region": "nyc3"},
    "bucket_name": "handbook",
    "item_path": "public/",
    "region": "nyc3",
    "chunking_algorithm": "CHUNKING_ALGORITHM_SECTION_BASED",
    "chunking_options": {"max_chunk_size": 256},
    "last_datasource_indexing_job": _SOURCE_RUN_EXAMPLE,
    "created_at": "2024-06-14T09:30:00Z",
    "updated_at": "2024-06-14T09:30:00Z",
}
_KNOWLEDGE_BASE_EXAMPLE: Final[dict[str, Any]] = {
    "uuid": EXAMPLE_UUID,
    "name": "handbook",
    "embedding_model_uuid": "5b6a1f0e-5a52-5c0f-9d1b-0b8f5c1d2e3f",
    "collection": f"knowledge-base-{EXAMPLE_UUID}",
    "is_public": False,
    "tags": ["public"],
    "last_indexing_job": _JOB_EXAMPLE,
    "created_at": "2024-06-14T09:30:00Z",
    "updated_at": "2024-06-14T09:30:00Z",
}
_MODEL_EXAMPLE: Final[dict[str, Any]] = {
    "uuid": "b7914b08-fe9b-5882-bdcd-6d2d8784d6c1",
    "id": "embed-123",
    "name": "embed-123",
    "is_foundational": True,
    "upload_complete": True,
    "usecases": ["MODEL_USECASE_KNOWLEDGEBASE"],
    "kb_min_chunk_size": 10,
    "kb_max_chunk_size": 2048,
    "kb_default_chunk_size": 512,
    "created_at": "2024-06-14T09:30:00Z",
    "updated_at": "2024-06-14T09:30:00Z",
}
EXAMPLE_OBJECT_KEY: Final = "3f0c7a52e1c84b8f9d2f6a1b0c9d8e7f"
_UPLOAD_EXAMPLE: Final[dict[str, Any]] = {
    "object_key": EXAMPLE_OBJECT_KEY,
    "original_file_name": "report.pdf",
    "presigned_url": f"http://localhost:8080/v2/gen-ai/uploads/{EXAMPLE_OBJECT_KEY}?size=48211&expires=1718361000&signature=...",
    "expires_at": "2024-06-14T10:30:00Z",
}


def _example(example: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"example": example})


class IndexedDataSource(BaseModel):
    """What became of one data source in a job. Its numbers are strings, as 64-bit numbers are."""

    model_config = _example(_SOURCE_RUN_EXAMPLE)

    data_source_uuid: str
    status: SourceStatus
    started_at: str | None = None
    completed_at: str | None = None
    total_file_count: str = Field(description="Files in the source.")
    indexed_file_count: str = Field(description="Files that were embedded.")
    skipped_item_count: str = Field(description="Files that had not changed.")
    failed_item_count: str = Field(description="Files that failed; the report says why.")
    removed_item_count: str = Field(description="Files that are gone from the source.")
    indexed_item_count: str = Field(description="Chunks of the files that were embedded.")
    total_bytes: str
    total_bytes_indexed: str
    error_msg: str | None = Field(default=None, description="A code: which part failed.")
    error_details: str | None = Field(default=None, description="A sentence.")


class DoorIndexingJob(BaseModel):
    """A job. Clients wait for a `phase` that is an end: succeeded, failed, error or cancelled."""

    model_config = _example(_JOB_EXAMPLE)

    uuid: str
    knowledge_base_uuid: str
    data_source_uuids: list[str]
    status: JobStatus
    phase: JobPhase
    total_datasources: int
    completed_datasources: int
    tokens: int = Field(description="Tokens that were really embedded; 0 where nothing had changed.")
    total_tokens: str
    total_items_indexed: str = Field(description="Files.")
    total_items_failed: str
    total_items_skipped: str
    is_report_available: bool
    data_source_jobs: list[IndexedDataSource]
    created_at: str
    started_at: str | None = None
    finished_at: str | None = None
    updated_at: str


class IndexingJobAnswer(BaseModel):
    model_config = _example({"job": _JOB_EXAMPLE})

    job: DoorIndexingJob


class _Listed(BaseModel):
    links: Links
    meta: Meta


class IndexingJobList(_Listed):
    model_config = _example({"jobs": [_JOB_EXAMPLE], **_PAGE_EXAMPLE})

    jobs: list[DoorIndexingJob]


class IndexedDataSourceList(BaseModel):
    model_config = _example({"indexed_data_sources": [_SOURCE_RUN_EXAMPLE]})

    indexed_data_sources: list[IndexedDataSource]


class SignedUrl(BaseModel):
    model_config = _example({"signed_url": f"http://localhost:8080/v2/gen-ai/indexing_jobs/{_JOB}/report.csv?..."})

    signed_url: str


class ShownChunkingOptions(BaseModel):
    max_chunk_size: int | None = None
    parent_chunk_size: int | None = None
    child_chunk_size: int | None = None
    semantic_threshold: float | None = None


class ShownBucket(BaseModel):
    """Without keys."""

    bucket_name: str
    item_path: str | None = None
    region: str | None = None


class ShownWebCrawler(BaseModel):
    base_url: str
    crawling_option: CrawlingOption
    embed_media: bool
    exclude_tags: list[str]


class ShownFileUpload(BaseModel):
    original_file_name: str | None = None
    size_in_bytes: str | None = None
    stored_object_key: str


class ShownDropbox(BaseModel):
    folder: str | None = None


class ShownGoogleDrive(BaseModel):
    folder_id: str | None = None
    folder_name: str | None = None


class DoorDataSource(BaseModel):
    """One kind of source is set. A Spaces bucket's fields are beside it, too, for older clients."""

    model_config = _example(_DATA_SOURCE_EXAMPLE)

    uuid: str
    spaces_data_source: ShownBucket | None = None
    aws_data_source: ShownBucket | None = None
    web_crawler_data_source: ShownWebCrawler | None = None
    file_upload_data_source: ShownFileUpload | None = None
    dropbox_data_source: ShownDropbox | None = None
    google_drive_data_source: ShownGoogleDrive | None = None
    bucket_name: str | None = None
    item_path: str | None = None
    region: str | None = None
    chunking_algorithm: Algorithm
    chunking_options: ShownChunkingOptions
    last_datasource_indexing_job: IndexedDataSource | None = None
    created_at: str
    updated_at: str


class DataSourceAnswer(BaseModel):
    model_config = _example({"knowledge_base_data_source": _DATA_SOURCE_EXAMPLE})

    knowledge_base_data_source: DoorDataSource


class DataSourceList(_Listed):
    model_config = _example({"knowledge_base_data_sources": [_DATA_SOURCE_EXAMPLE], **_PAGE_EXAMPLE})

    knowledge_base_data_sources: list[DoorDataSource]


class DataSourceDeleted(BaseModel):
    model_config = _example({"data_source_uuid": _SOURCE, "knowledge_base_uuid": EXAMPLE_UUID})

    data_source_uuid: str
    knowledge_base_uuid: str


class ShownReranking(BaseModel):
    enabled: bool | None = None
    model: str | None = None


class DoorKnowledgeBase(BaseModel):
    model_config = _example(_KNOWLEDGE_BASE_EXAMPLE)

    uuid: str
    name: str
    embedding_model_uuid: str
    collection: str = Field(description="What `POST /search` and the other doors call it.")
    is_public: bool
    region: str | None = None
    tags: list[str] | None = None
    project_id: str | None = None
    database_id: str | None = None
    reranking_config: ShownReranking | None = None
    last_indexing_job: DoorIndexingJob | None = None
    created_at: str
    updated_at: str


class KnowledgeBaseAnswer(BaseModel):
    model_config = _example({"knowledge_base": _KNOWLEDGE_BASE_EXAMPLE})

    knowledge_base: DoorKnowledgeBase


class KnowledgeBaseRead(KnowledgeBaseAnswer):
    """There is no database to wait for."""

    model_config = _example({"knowledge_base": _KNOWLEDGE_BASE_EXAMPLE, "database_status": "ONLINE"})

    database_status: Literal["ONLINE"]


class KnowledgeBaseList(_Listed):
    model_config = _example({"knowledge_bases": [_KNOWLEDGE_BASE_EXAMPLE], **_PAGE_EXAMPLE})

    knowledge_bases: list[DoorKnowledgeBase]


class KnowledgeBaseDeleted(BaseModel):
    model_config = _example({"uuid": EXAMPLE_UUID})

    uuid: str


class KnowledgeBaseModel(BaseModel):
    """A deployed embedding model. Sizes in its tokens."""

    uuid: str = Field(description="Made from the `id`, always the same.")
    id: str
    name: str
    is_foundational: bool
    upload_complete: bool
    usecases: list[Literal["MODEL_USECASE_KNOWLEDGEBASE"]]
    kb_min_chunk_size: int
    kb_max_chunk_size: int
    kb_default_chunk_size: int
    created_at: str | None = None
    updated_at: str | None = None


class KnowledgeBaseModelList(_Listed):
    model_config = _example({"models": [_MODEL_EXAMPLE], **_PAGE_EXAMPLE})

    models: list[KnowledgeBaseModel]


class PresignedUpload(BaseModel):
    object_key: str
    original_file_name: str
    presigned_url: str = Field(description="`PUT` the bytes to it, as they are.")
    expires_at: str


class PresignedUploads(BaseModel):
    model_config = _example({"request_id": "9d6ab4c1-3f6b-4a9e-8f0f-0c6f6f8f2b11", "uploads": [_UPLOAD_EXAMPLE]})

    request_id: str
    uploads: list[PresignedUpload]


class UploadedFile(BaseModel):
    model_config = _example({"object_key": EXAMPLE_OBJECT_KEY, "size_in_bytes": "48211"})

    object_key: str
    size_in_bytes: str


class RetrievedChunk(BaseModel):
    """`metadata`: what is known of the document, `item_name` and `data_source_uuid` among it, and of the chunk."""

    metadata: dict[str, Any]
    text_content: str


class RetrievedChunks(BaseModel):
    model_config = _example(
        {
            "results": [
                {
                    "metadata": {
                        "item_name": "guide/jobs.md",
                        "data_source_uuid": _SOURCE,
                        "score": 0.82,
                        "chunk": 3,
                        "headings": ["Jobs", "Cancelling"],
                    },
                    "text_content": "A job is cancelled with ...",
                }
            ],
            "total_results": 1,
        }
    )

    results: list[RetrievedChunk]
    total_results: int
