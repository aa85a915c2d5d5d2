"""The vendor's answers as strict models: which fields there are, of which JSON type, and the values of each list.

Facts of the published schemas, and `extra="forbid"` so that a field that nobody reads is noticed; ours are named by
each model that has some. The first version writes every field, the second one leaves out what it does not know.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr
from pydantic.alias_generators import to_camel

from tests.dialects.strict_json import Absent, Moment, Text, Time

Int64 = Annotated[StrictStr, Field(pattern=r"^(0|-?[1-9][0-9]*)$")]
Base64 = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_-]*$")]
JobId = Annotated[StrictStr, Field(pattern=r"^job_.+")]
Number = StrictInt | StrictFloat


class Vendor(BaseModel):
    model_config = ConfigDict(extra="forbid")


class First(Vendor):
    """Of the first version: camelCase on the wire, and nothing else."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class V1Problem(First):
    code: StrictInt
    message: StrictStr
    details: list[Any]


class Status(First):
    code: StrictStr
    status_detail: StrictStr


class V1Job(First):
    id: JobId
    type: Literal["JOB__UNKNOWN", "JOB__CORPUS_REBUILD_VECTOR_INDEX", "JOB__CORPUS_REPLACE_FILTER_ATTRS"]
    corpus_id: list[StrictInt]
    state: Literal[
        "JOB_STATE__UNKNOWN",
        "JOB_STATE__QUEUED",
        "JOB_STATE__STARTED",
        "JOB_STATE__COMPLETED",
        "JOB_STATE__FAILED",
        "JOB_STATE__TRANSIENT_FAILURE_RETRY_IMMINENT",
        "JOB_STATE__ABORTED",
    ]
    ts_create: Int64
    ts_start: Int64
    ts_complete: Int64
    user_handle: StrictStr
    # Ours.
    kind: StrictStr
    progress: Number
    items_total: Int64
    items_done: Int64
    items_failed: Int64
    detail: StrictStr


class V1Jobs(First):
    status: list[Status]
    job: list[V1Job]
    page_key: Base64


class Attribute(First):
    name: StrictStr
    description: StrictStr
    indexed: StrictBool
    type: Literal[
        "FILTER_ATTRIBUTE_TYPE__INTEGER",
        "FILTER_ATTRIBUTE_TYPE__INTEGER_LIST",
        "FILTER_ATTRIBUTE_TYPE__REAL",
        "FILTER_ATTRIBUTE_TYPE__REAL_LIST",
        "FILTER_ATTRIBUTE_TYPE__TEXT",
        "FILTER_ATTRIBUTE_TYPE__TEXT_LIST",
        "FILTER_ATTRIBUTE_TYPE__BOOLEAN",
    ]
    level: Literal["FILTER_ATTRIBUTE_LEVEL__DOCUMENT", "FILTER_ATTRIBUTE_LEVEL__DOCUMENT_PART"]


class V1Corpus(First):
    id: StrictInt
    name: StrictStr
    description: StrictStr
    dt_provision: Int64
    enabled: StrictBool
    swap_qenc: StrictBool
    swap_ienc: StrictBool
    textless: StrictBool
    encrypted: StrictBool
    encoder_id: Int64
    metadata_max_bytes: StrictInt
    custom_dimensions: list[Any]
    filter_attributes: list[Attribute]


class CreatedCorpus(First):
    corpus_id: StrictInt
    status: Status


class OnlyStatus(First):
    status: Status


class Size(First):
    epoch_secs: Int64
    size: Int64


class CorpusInfo(First):
    corpus: V1Corpus | None
    corpus_status: Status | None
    size: Size | None
    size_status: Status | None
    api_key: list[Any]
    api_key_status: Status | None
    custom_dimension: list[Any]
    custom_dimension_status: Status | None
    filter_attribute: list[Attribute]
    filter_attribute_status: Status | None


class ReadCorpora(First):
    corpora: list[CorpusInfo]


class V1Corpora(First):
    corpus: list[V1Corpus]
    page_key: Base64
    status: Status | None


class StartedJob(First):
    status: None
    job_id: JobId


class Quota(First):
    num_chars: Int64
    num_metadata_chars: Int64


class Indexed(First):
    status: Status
    quota_consumed: Quota


class Uploaded(Indexed):
    document: dict[str, Any] | None


class UploadAnswer(First):
    response: Uploaded


class Nothing(First):
    pass


class NameValue(First):
    name: StrictStr
    value: StrictStr


class V1Document(First):
    id: StrictStr
    metadata: list[NameValue]


class V1Documents(First):
    document: list[V1Document]
    next_page_key: Base64


class FoundCorpus(First):
    customer_id: StrictInt
    corpus_id: StrictInt
    semantics: Literal["DEFAULT", "QUERY", "RESPONSE"]
    metadata_filter: StrictStr
    lexical_interpolation_config: None


class V1Found(First):
    text: StrictStr
    score: Number
    metadata: list[NameValue]
    document_index: StrictInt
    corpus_key: FoundCorpus


class ResponseSet(First):
    response: list[V1Found]
    status: list[Status]
    document: list[V1Document]
    summary: list[Any]
    future_id: StrictInt


class QueryAnswer(First):
    response_set: list[ResponseSet]
    status: list[Status]
    metrics: None


class V2Problem(Vendor):
    messages: Annotated[list[StrictStr], Field(min_length=1)]
    request_id: Annotated[StrictStr, Field(min_length=1)]


class V2BadRequest(V2Problem):
    field_errors: dict[StrictStr, StrictStr]


class V2NotFound(V2Problem):
    id: StrictStr


#: Which model the error of a status has.
V2_PROBLEMS: dict[int, type[V2Problem]] = {400: V2BadRequest, 404: V2NotFound}


class V2Job(Vendor):
    id: JobId
    type: Literal["rebuild_vector_index", "replace_filter_attributes", "bulk_delete_documents", "unknown"]
    corpus_keys: list[StrictStr]
    state: Literal["unknown", "queued", "started", "completed", "failed", "failed_will_retry", "aborted"]
    created_at: Time
    started_at: Moment = None
    completed_at: Moment = None
    created_by_username: Text = None
    # Ours.
    kind: StrictStr
    progress: Number
    items_total: StrictInt
    items_done: StrictInt
    items_failed: StrictInt
    detail: Text = None


class Metadata(Vendor):
    page_key: Base64


class V2Jobs(Vendor):
    jobs: list[V2Job]
    metadata: Metadata


class V2Attribute(Vendor):
    name: StrictStr
    level: Literal["document", "part"]
    description: StrictStr
    indexed: StrictBool
    type: Literal["integer", "real_number", "text", "boolean", "list[integer]", "list[real_number]", "list[text]"]


class Limits(Vendor):
    used_docs: StrictInt
    used_parts: StrictInt


class V2Corpus(Vendor):
    id: Annotated[StrictStr, Field(pattern=r"^crp_[0-9]+$")]
    key: StrictStr
    name: StrictStr
    description: StrictStr
    enabled: StrictBool
    chat_history_corpus: StrictBool
    queries_are_answers: StrictBool
    documents_are_questions: StrictBool
    encoder_name: StrictStr
    save_history: StrictBool
    filter_attributes: list[V2Attribute]
    custom_dimensions: list[Any]
    limits: Limits | None = None
    created_at: Time


class V2Corpora(Vendor):
    corpora: list[V2Corpus]
    metadata: Metadata


class V2JobStarted(Vendor):
    job_id: JobId


class Part(Vendor):
    text: StrictStr
    metadata: dict[str, Any]


class Usage(Vendor):
    bytes_used: StrictInt
    metadata_bytes_used: StrictInt


class V2Document(Vendor):
    id: StrictStr
    metadata: dict[str, Any]
    parts: Annotated[list[Part] | None, Absent] = None
    storage_usage: Annotated[Usage | None, Absent] = None


class V2Documents(Vendor):
    documents: list[V2Document]
    metadata: Metadata


class V2Found(Vendor):
    text: StrictStr
    score: Number
    part_metadata: dict[str, Any]
    document_metadata: dict[str, Any]
    document_id: StrictStr
    corpus_key: StrictStr
    request_corpora_index: StrictInt


class V2Results(Vendor):
    search_results: list[V2Found]


class BulkStarted(Vendor):
    response_type: Literal["async"]
    job_id: JobId
    cutoff_timestamp: Time


class BulkDone(Vendor):
    response_type: Literal["success"]
    job_id: JobId
    cutoff_timestamp: Time
    deleted_count: StrictInt
    skipped_count: StrictInt
