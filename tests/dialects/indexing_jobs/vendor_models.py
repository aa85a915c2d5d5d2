"""The vendor's answers as strict models: which fields there are, of which JSON type, and the values of each list.

Facts of the published schema, and the two generations of clients that read it; `extra="forbid"` so that a field that
nobody reads is noticed. Every field may be left out, none may be null: the schema has no null.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

from tests.dialects.strict_json import Absent, Moment, Text

Uint64 = Annotated[StrictStr, Field(pattern=r"^(0|[1-9][0-9]*)$")]
Integer = Annotated[StrictInt | None, Absent]
Flag = Annotated[StrictBool | None, Absent]
Counter = Annotated[Uint64 | None, Absent]

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
Algorithm = Literal[
    "CHUNKING_ALGORITHM_UNKNOWN",
    "CHUNKING_ALGORITHM_SECTION_BASED",
    "CHUNKING_ALGORITHM_HIERARCHICAL",
    "CHUNKING_ALGORITHM_SEMANTIC",
    "CHUNKING_ALGORITHM_FIXED_LENGTH",
]
Crawling = Literal["UNKNOWN", "SCOPED", "PATH", "DOMAIN", "SUBDOMAINS", "SITEMAP"]
DatabaseStatus = Literal[
    "CREATING",
    "ONLINE",
    "POWEROFF",
    "REBUILDING",
    "REBALANCING",
    "DECOMMISSIONED",
    "FORKING",
    "MIGRATING",
    "RESIZING",
    "RESTORING",
    "POWERING_ON",
    "UNHEALTHY",
    "UPGRADING",
]
UseCase = Literal[
    "MODEL_USECASE_UNKNOWN",
    "MODEL_USECASE_AGENT",
    "MODEL_USECASE_FINETUNED",
    "MODEL_USECASE_KNOWLEDGEBASE",
    "MODEL_USECASE_GUARDRAIL",
    "MODEL_USECASE_REASONING",
    "MODEL_USECASE_SERVERLESS",
    "MODEL_USECASE_EVALUATION_JUDGE",
    "MODEL_USECASE_CODING",
    "MODEL_USECASE_AUDIO",
    "MODEL_USECASE_RERANKING",
    "MODEL_USECASE_TEXT",
]


class Vendor(BaseModel):
    model_config = ConfigDict(extra="forbid")


class IndexedDataSource(Vendor):
    data_source_uuid: Text = None
    status: Annotated[SourceStatus | None, Absent] = None
    started_at: Moment = None
    completed_at: Moment = None
    error_msg: Text = None
    error_details: Text = None
    total_file_count: Counter = None
    indexed_file_count: Counter = None
    indexed_item_count: Counter = None
    skipped_item_count: Counter = None
    failed_item_count: Counter = None
    removed_item_count: Counter = None
    total_bytes: Counter = None
    total_bytes_indexed: Counter = None


class IndexingJob(Vendor):
    """`total_items_*` are of the older generation, the published schema has them no more."""

    uuid: Text = None
    knowledge_base_uuid: Text = None
    data_source_uuids: Annotated[list[StrictStr] | None, Absent] = None
    status: Annotated[JobStatus | None, Absent] = None
    phase: Annotated[JobPhase | None, Absent] = None
    total_datasources: Integer = None
    completed_datasources: Integer = None
    tokens: Integer = None
    total_tokens: Counter = None
    total_items_indexed: Counter = None
    total_items_failed: Counter = None
    total_items_skipped: Counter = None
    is_report_available: Flag = None
    data_source_jobs: Annotated[list[IndexedDataSource] | None, Absent] = None
    created_at: Moment = None
    started_at: Moment = None
    finished_at: Moment = None
    updated_at: Moment = None


class Pages(Vendor):
    """`prev` is not in the schema; clients of the vendor's other resources read it."""

    first: Text = None
    previous: Text = None
    prev: Text = None
    next: Text = None
    last: Text = None


class Links(Vendor):
    pages: Annotated[Pages | None, Absent] = None


class Meta(Vendor):
    page: Integer = None
    pages: Integer = None
    total: Integer = None


class Listed(Vendor):
    links: Annotated[Links | None, Absent] = None
    meta: Annotated[Meta | None, Absent] = None


class ChunkingOptions(Vendor):
    max_chunk_size: Integer = None
    parent_chunk_size: Integer = None
    child_chunk_size: Integer = None
    semantic_threshold: Annotated[StrictFloat | StrictInt | None, Absent] = None


class Bucket(Vendor):
    bucket_name: Text = None
    item_path: Text = None
    region: Text = None


class WebCrawler(Vendor):
    base_url: Text = None
    crawling_option: Annotated[Crawling | None, Absent] = None
    embed_media: Flag = None
    exclude_tags: Annotated[list[StrictStr] | None, Absent] = None


class FileUpload(Vendor):
    original_file_name: Text = None
    size_in_bytes: Counter = None
    stored_object_key: Text = None


class Dropbox(Vendor):
    folder: Text = None


class GoogleDrive(Vendor):
    folder_id: Text = None
    folder_name: Text = None


class DataSource(Vendor):
    uuid: Text = None
    spaces_data_source: Annotated[Bucket | None, Absent] = None
    aws_data_source: Annotated[Bucket | None, Absent] = None
    web_crawler_data_source: Annotated[WebCrawler | None, Absent] = None
    file_upload_data_source: Annotated[FileUpload | None, Absent] = None
    dropbox_data_source: Annotated[Dropbox | None, Absent] = None
    google_drive_data_source: Annotated[GoogleDrive | None, Absent] = None
    bucket_name: Text = None
    item_path: Text = None
    region: Text = None
    chunking_algorithm: Annotated[Algorithm | None, Absent] = None
    chunking_options: Annotated[ChunkingOptions | None, Absent] = None
    last_datasource_indexing_job: Annotated[IndexedDataSource | None, Absent] = None
    created_at: Moment = None
    updated_at: Moment = None


class Reranking(Vendor):
    enabled: Flag = None
    model: Text = None


class KnowledgeBase(Vendor):
    """`collection` is ours."""

    uuid: Text = None
    name: Text = None
    embedding_model_uuid: Text = None
    collection: Text = None
    is_public: Flag = None
    region: Text = None
    tags: Annotated[list[StrictStr] | None, Absent] = None
    project_id: Text = None
    database_id: Text = None
    user_id: Counter = None
    reranking_config: Annotated[Reranking | None, Absent] = None
    last_indexing_job: Annotated[IndexingJob | None, Absent] = None
    added_to_agent_at: Moment = None
    created_at: Moment = None
    updated_at: Moment = None


class Model(Vendor):
    """What the published and the older answers have together, as far as it is about embedding."""

    uuid: Text = None
    id: Text = None
    name: Text = None
    is_foundational: Flag = None
    upload_complete: Flag = None
    usecases: Annotated[list[UseCase] | None, Absent] = None
    kb_min_chunk_size: Integer = None
    kb_max_chunk_size: Integer = None
    kb_default_chunk_size: Integer = None
    created_at: Moment = None
    updated_at: Moment = None


class Upload(Vendor):
    object_key: Text = None
    original_file_name: Text = None
    presigned_url: Text = None
    expires_at: Moment = None


class JobAnswer(Vendor):
    job: IndexingJob


class JobList(Listed):
    jobs: list[IndexingJob]


class IndexedDataSources(Vendor):
    indexed_data_sources: list[IndexedDataSource]


class SignedUrl(Vendor):
    signed_url: StrictStr


class KnowledgeBaseAnswer(Vendor):
    knowledge_base: KnowledgeBase


class KnowledgeBaseRead(KnowledgeBaseAnswer):
    database_status: DatabaseStatus


class KnowledgeBaseList(Listed):
    knowledge_bases: list[KnowledgeBase]


class KnowledgeBaseDeleted(Vendor):
    uuid: StrictStr


class DataSourceAnswer(Vendor):
    knowledge_base_data_source: DataSource


class DataSourceList(Listed):
    knowledge_base_data_sources: list[DataSource]


class DataSourceDeleted(Vendor):
    data_source_uuid: StrictStr
    knowledge_base_uuid: StrictStr


class ModelList(Listed):
    models: list[Model]


class Uploads(Vendor):
    request_id: StrictStr
    uploads: list[Upload]


class Retrieved(Vendor):
    class Result(Vendor):
        metadata: dict[str, Any]
        text_content: StrictStr

    results: list[Result]
    total_results: StrictInt


class Problem(Vendor):
    id: Literal[
        "bad_request",
        "unauthorized",
        "forbidden",
        "not_found",
        "method_not_allowed",
        "payload_too_large",
        "request_timeout",
        "too_many_requests",
        "server_error",
        "service_unavailable",
    ]
    message: Annotated[StrictStr, Field(min_length=1)]
    request_id: Annotated[StrictStr, Field(min_length=1)]
