"""What the second version of this API takes and gives, field by field."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from indexmill.domain.filter_attributes import MAX_ATTRIBUTES
from indexmill.http.fields import ObjectId, StorableText

__all__ = [
    "MAX_CORPORA",
    "MAX_FILTER",
    "AttributeView",
    "BulkDeleted",
    "CorporaSearch",
    "CorpusLimits",
    "CorpusList",
    "CorpusPart",
    "CorpusSearch",
    "CorpusView",
    "CreateCorpusBody",
    "CreateDocumentBody",
    "DocumentList",
    "DocumentView",
    "FailedDocumentList",
    "FailedDocumentView",
    "JobList",
    "JobStarted",
    "JobView",
    "ListMetadata",
    "PartView",
    "QueryBody",
    "QueryCorporaBody",
    "ReplaceAttributesBody",
    "SearchAnswer",
    "SearchResult",
    "SectionBody",
    "SizeView",
    "StorageUsage",
    "UpdateCorpusBody",
    "UpdateDocumentBody",
]

MAX_CORPORA: Final = 100
MAX_FILTER: Final = 8000
_MAX_PARTS: Final = 10_000
_JOB: Final = "job_0192f0e4-7a3b-7000-8000-5f0c3c1e9d11"
_ATTRIBUTE: Final[dict[str, Any]] = {
    "name": "year",
    "level": "document",
    "type": "integer",
    "description": "",
    "indexed": True,
}

Key = Annotated[str, StringConstraints(min_length=1, max_length=50, pattern=r"^[a-zA-Z0-9_=-]+$")]
Name = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00]*$")]
Description = Annotated[str, StringConstraints(max_length=4096, pattern=r"^[^\x00]*$")]
Filter = Annotated[str, StringConstraints(max_length=MAX_FILTER, pattern=r"^[^\x00]*$")]
Query = Annotated[StorableText, Field(min_length=1, max_length=5000)]
Metadata = dict[str, Any]


class AttributeView(BaseModel):
    """A field of metadata that filters may name: `doc.<name>`, `part.<name>`."""

    name: Annotated[str, StringConstraints(max_length=1024)]
    level: Literal["document", "part"]
    type: Literal["integer", "real_number", "text", "boolean", "list[integer]", "list[real_number]", "list[text]"]
    description: Annotated[str, StringConstraints(max_length=1024, pattern=r"^[^\x00]*$")] | None = None
    indexed: bool | None = None


Attributes = Annotated[list[AttributeView], Field(max_length=MAX_ATTRIBUTES + 1)]


class JobView(BaseModel):
    """`kind` and what follows is more than the original says: which of all doors' jobs it is, and how far."""

    id: str
    type: str
    corpus_keys: list[str]
    state: str
    created_at: str
    started_at: str | None = None
    completed_at: str | None = None
    created_by_username: str | None = None
    kind: str
    progress: float
    items_total: int
    items_done: int
    items_failed: int
    detail: str | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": _JOB,
                "type": "replace_filter_attributes",
                "corpus_keys": ["handbook"],
                "state": "completed",
                "created_at": "2024-04-27T01:29:31Z",
                "started_at": "2024-04-27T01:30:00Z",
                "completed_at": "2024-04-27T01:30:00Z",
                "kind": "replace_filter_attributes",
                "progress": 1.0,
                "items_total": 3,
                "items_done": 3,
                "items_failed": 0,
            }
        }
    )


class ListMetadata(BaseModel):
    """`page_key` of the next page; empty on the last one."""

    page_key: str


class JobList(BaseModel):
    jobs: list[JobView]
    metadata: ListMetadata


class FailedDocumentView(BaseModel):
    id: str
    stage: str
    code: str
    message: str
    retryable: bool


class FailedDocumentList(BaseModel):
    failed_documents: list[FailedDocumentView]
    metadata: ListMetadata


class JobStarted(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": {"job_id": _JOB}})

    job_id: str


class CreateCorpusBody(BaseModel):
    """Without a key one is made of the name."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"key": "handbook", "name": "Handbook", "filter_attributes": [_ATTRIBUTE]}}
    )

    key: Key | None = None
    name: Name | None = None
    description: Description | None = None
    save_history: bool | None = None
    queries_are_answers: bool | None = None
    documents_are_questions: bool | None = None
    encoder_id: Name | None = Field(default=None, description="Taken and not used: a setting says the model.")
    encoder_name: Name | None = None
    filter_attributes: Attributes | None = None

    @model_validator(mode="after")
    def _named(self) -> CreateCorpusBody:
        if not self.key and not self.name:
            raise ValueError("expected a `key`, or a `name` to make one of")
        return self


class UpdateCorpusBody(BaseModel):
    """What is not said stays as it is."""

    model_config = ConfigDict(json_schema_extra={"example": {"description": "All that is known"}})

    enabled: bool | None = Field(default=None, description="Kept and given back; it changes nothing else.")
    name: Name | None = None
    description: Description | None = None
    save_history: bool | None = None


class CorpusLimits(BaseModel):
    used_docs: int
    used_parts: int


class CorpusView(BaseModel):
    id: str
    key: str
    name: str
    description: str
    enabled: bool = True
    chat_history_corpus: bool = False
    queries_are_answers: bool = False
    documents_are_questions: bool = False
    encoder_name: str
    save_history: bool = False
    filter_attributes: list[AttributeView]
    custom_dimensions: list[dict[str, Any]] = []
    limits: CorpusLimits | None = Field(default=None, description="Not counted where corpora are listed.")
    created_at: str


class CorpusList(BaseModel):
    corpora: list[CorpusView]
    metadata: ListMetadata


class ReplaceAttributesBody(BaseModel):
    """The whole new list."""

    model_config = ConfigDict(json_schema_extra={"example": {"filter_attributes": [_ATTRIBUTE]}})

    filter_attributes: Attributes


class SizeView(BaseModel):
    used_docs: int
    used_parts: int
    used_characters: int
    used_metadata_characters: int


class CorpusPart(BaseModel):
    """A piece that is embedded as it is."""

    text: StorableText
    metadata: Metadata | None = None
    context: str | None = None


class SectionBody(BaseModel):
    text: StorableText = ""
    title: StorableText | None = None
    id: Annotated[int, Field(ge=-(2**31), le=2**31 - 1)] | None = Field(
        default=None, description="Becomes `section` in the metadata of its parts."
    )
    metadata: Metadata | None = None
    sections: list[SectionBody] | None = Field(default=None, max_length=_MAX_PARTS)


class CreateDocumentBody(BaseModel):
    """`core`: with `document_parts`; `structured`: with `sections`, which are split."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "isbn-9781405053976",
                "type": "core",
                "metadata": {"year": 1979},
                "document_parts": [{"text": "Far out in the uncharted backwaters", "metadata": {"page": 1}}],
            }
        }
    )

    id: ObjectId
    type: Literal["core", "structured"]
    metadata: Metadata | None = None
    document_parts: list[CorpusPart] | None = Field(default=None, min_length=1, max_length=_MAX_PARTS)
    title: StorableText | None = None
    description: StorableText | None = None
    sections: list[SectionBody] | None = Field(default=None, min_length=1, max_length=_MAX_PARTS)

    @model_validator(mode="after")
    def _with_content(self) -> CreateDocumentBody:
        wanted = "document_parts" if self.type == "core" else "sections"
        if getattr(self, wanted) is None:
            raise ValueError(f"expected `{wanted}` in a document of the type `{self.type}`")
        return self


class UpdateDocumentBody(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": {"metadata": {"year": 1980}}})

    metadata: Metadata | None = None


class StorageUsage(BaseModel):
    bytes_used: int
    metadata_bytes_used: int


class PartView(BaseModel):
    text: str
    metadata: Metadata


class DocumentView(BaseModel):
    """`parts`: where one document was asked for."""

    id: str
    metadata: Metadata
    parts: list[PartView] | None = None
    storage_usage: StorageUsage | None = None


class DocumentList(BaseModel):
    documents: list[DocumentView]
    metadata: ListMetadata


class BulkDeleted(BaseModel):
    """`success`: it was waited for, and says how many documents are gone."""

    response_type: Literal["async", "success"]
    job_id: str
    cutoff_timestamp: str
    deleted_count: int | None = None
    skipped_count: int | None = None


class _Search(BaseModel):
    offset: int = Field(default=0, ge=0, le=1000)
    limit: int = Field(default=10, ge=1, le=1000)

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, value: Any) -> Any:
        """As clients send what they do not have."""
        return {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value


class CorpusSearch(_Search):
    metadata_filter: Filter = ""


class QueryBody(BaseModel):
    """What it says of generation is taken and not used: the answer has the results alone."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"query": "where is the sun", "search": {"metadata_filter": "doc.year > 1970", "limit": 5}}
        }
    )

    query: Query
    search: CorpusSearch | None = None
    stream_response: bool | None = Field(default=None, description="Whether the answer comes as events.")


class KeyedCorpus(BaseModel):
    corpus_key: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    metadata_filter: Filter | None = None
    query: Query | None = Field(default=None, description="What this corpus is asked instead.")


class CorporaSearch(_Search):
    corpora: list[KeyedCorpus] = Field(min_length=1, max_length=MAX_CORPORA)


class QueryCorporaBody(BaseModel):
    """As of one corpus, with the nearest of several together."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"query": "where is the sun", "search": {"corpora": [{"corpus_key": "handbook"}], "limit": 5}}
        }
    )

    query: Query
    search: CorporaSearch
    stream_response: bool | None = Field(default=None, description="Whether the answer comes as events.")


class SearchResult(BaseModel):
    text: str
    score: float
    part_metadata: Metadata
    document_metadata: Metadata
    document_id: str
    corpus_key: str
    request_corpora_index: int


class SearchAnswer(BaseModel):
    search_results: list[SearchResult]
