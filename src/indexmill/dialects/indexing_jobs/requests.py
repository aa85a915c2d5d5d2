"""What front door 3 takes, field by field; empty strings, null, empty objects and unknown fields are as if absent."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from indexmill.domain.chunking import DEFAULT_LIMITS
from indexmill.domain.knowledge_base import DataSourceKind
from indexmill.domain.metadata_filter import Operator
from indexmill.http.fields import StorableText

__all__ = [
    "CREATE_BASE_EXAMPLE",
    "CREATE_SOURCE_EXAMPLE",
    "EXAMPLE_UUID",
    "PRESIGN_EXAMPLE",
    "RETRIEVE_EXAMPLE",
    "START_EXAMPLE",
    "UPDATE_BASE_EXAMPLE",
    "UPDATE_SOURCE_EXAMPLE",
    "ChunkingFields",
    "ChunkingOptions",
    "CreateDataSourceBody",
    "CreateKnowledgeBaseBody",
    "DataSourceFields",
    "FilterCondition",
    "MetadataFilters",
    "NamedJobBody",
    "PresignBody",
    "RetrieveBody",
    "StartJobBody",
    "UpdateDataSourceBody",
    "UpdateKnowledgeBaseBody",
]

#: In examples, of whatever has one.
EXAMPLE_UUID: Final = "123e4567-e89b-12d3-a456-426614174000"
START_EXAMPLE: Final[dict[str, Any]] = {"knowledge_base_uuid": EXAMPLE_UUID, "data_source_uuids": []}
CREATE_SOURCE_EXAMPLE: Final[dict[str, Any]] = {
    "spaces_data_source": {"bucket_name": "handbook", "item_path": "public/", "region": "nyc3"},
    "chunking_algorithm": "CHUNKING_ALGORITHM_SECTION_BASED",
    "chunking_options": {"max_chunk_size": 256},
}
CREATE_BASE_EXAMPLE: Final[dict[str, Any]] = {
    "name": "handbook",
    "embedding_model_uuid": "wordllama-256",
    "datasources": [CREATE_SOURCE_EXAMPLE],
    "tags": ["public"],
}
UPDATE_BASE_EXAMPLE: Final[dict[str, Any]] = {"name": "handbook 2", "tags": ["public", "2024"]}
UPDATE_SOURCE_EXAMPLE: Final[dict[str, Any]] = {
    "chunking_algorithm": "CHUNKING_ALGORITHM_FIXED_LENGTH",
    "chunking_options": {"max_chunk_size": 512},
}
PRESIGN_EXAMPLE: Final[dict[str, Any]] = {"files": [{"file_name": "report.pdf", "file_size": "48211"}]}
RETRIEVE_EXAMPLE: Final[dict[str, Any]] = {
    "query": "how do I cancel a job",
    "num_results": 3,
    "filters": {"must": [{"field": "item_name", "operator": "contains", "value": ".md"}]},
}

_MAX_SOURCES: Final = 100
_MAX_FILES: Final = 100
#: Objects in requests are no deeper than this; what is deeper is in no field that is read.
_DEPTH: Final = 6

Name = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
Text = Annotated[StorableText, StringConstraints(max_length=4096)]
#: Absent where it is 0, as Go clients send it.
Size = Annotated[
    Annotated[int, Field(ge=DEFAULT_LIMITS.smallest, le=DEFAULT_LIMITS.largest)] | None,
    BeforeValidator(lambda value: None if value == 0 and not isinstance(value, bool) else value),
]
#: 64-bit numbers come as strings.
Count = Annotated[
    int,
    Field(ge=0, le=2**63 - 1),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": "^[0-9]{1,18}$"}, {"type": "integer", "minimum": 0}]}),
]
Algorithm = Literal[
    "CHUNKING_ALGORITHM_UNKNOWN",
    "CHUNKING_ALGORITHM_SECTION_BASED",
    "CHUNKING_ALGORITHM_HIERARCHICAL",
    "CHUNKING_ALGORITHM_SEMANTIC",
    "CHUNKING_ALGORITHM_FIXED_LENGTH",
]
CrawlingOption = Literal["UNKNOWN", "SCOPED", "PATH", "DOMAIN", "SUBDOMAINS", "SITEMAP"]


def _without_empty(value: Any, depth: int = _DEPTH) -> Any:
    """Without what Go clients send for what they do not have."""
    if depth == 0:
        return value
    if isinstance(value, dict):
        kept = ((name, _without_empty(each, depth - 1)) for name, each in value.items())
        return {name: each for name, each in kept if not _is_empty(each)}
    if isinstance(value, list):
        return [each for each in (_without_empty(each, depth - 1) for each in value) if not _is_empty(each)]
    return value


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", {})


class _Body(BaseModel):
    """A whole body."""

    model_config = ConfigDict(extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _present(cls, value: Any) -> Any:
        return {} if value is None else _without_empty(value)


class StartJobBody(_Body):
    """Which data sources: absent, null and `[]` are all of the knowledge base's."""

    model_config = ConfigDict(json_schema_extra={"example": START_EXAMPLE})

    knowledge_base_uuid: UUID
    data_source_uuids: list[UUID] | None = Field(default=None, max_length=1000)


class NamedJobBody(_Body):
    """May be left out, as the path has it."""

    uuid: UUID | None = None


class ChunkingOptions(BaseModel):
    """Sizes in tokens of the embedding model."""

    max_chunk_size: Size = Field(default=None, description="Of section-based, fixed length and semantic chunks.")
    parent_chunk_size: Size = Field(default=None, description="Of hierarchical ones: what is given back.")
    child_chunk_size: Size = Field(default=None, description="Of hierarchical ones: what is searched.")
    semantic_threshold: float | None = Field(
        default=None, ge=0, le=1, allow_inf_nan=False, description="Where neighbours differ by more, a chunk ends."
    )

    @model_validator(mode="after")
    def _nested(self) -> ChunkingOptions:
        parent, child = self.parent_chunk_size, self.child_chunk_size
        if parent is not None and child is not None and child > parent:
            raise ValueError(f"expected a child_chunk_size of at most parent_chunk_size ({parent}), got {child}")
        return self


class ChunkingFields(_Body):
    """How the files of a data source become chunks."""

    chunking_algorithm: Algorithm | None = Field(default=None, description="Section-based where it is not said.")
    chunking_options: ChunkingOptions | None = None


class BucketFields(BaseModel):
    """Objects of a bucket whose keys begin with `item_path`."""

    bucket_name: Name
    item_path: Text | None = None
    region: Text | None = None


class KeyedBucketFields(BucketFields):
    """As a bucket, with keys of its own. They are encrypted, and no answer has them."""

    key_id: Text
    secret_key: Text


class WebCrawlerFields(BaseModel):
    base_url: Annotated[Text, StringConstraints(pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s/]")]
    crawling_option: CrawlingOption | None = Field(
        default=None, description="How far from `base_url`: only itself (`SCOPED`, the default), and so on."
    )
    embed_media: bool = Field(default=False, description="Documents that pages link to, too.")
    exclude_tags: list[Name] = Field(
        default_factory=list,
        max_length=100,
        description="HTML elements to leave out; without any, what surrounds the content.",
    )


class FileUploadFields(BaseModel):
    """A file that was uploaded to a presigned URL."""

    stored_object_key: Name = Field(description="The `object_key` that came with the URL.")
    original_file_name: Name | None = None
    size_in_bytes: Count | None = None


class DropboxFields(BaseModel):
    folder: Text | None = None
    refresh_token: Text | None = None


class GoogleDriveFields(BaseModel):
    folder_id: Text | None = None
    folder_name: Text | None = None
    refresh_token: Text | None = None


class DataSourceFields(ChunkingFields):
    """One source of exactly one kind."""

    spaces_data_source: BucketFields | None = None
    aws_data_source: KeyedBucketFields | None = None
    web_crawler_data_source: WebCrawlerFields | None = None
    file_upload_data_source: FileUploadFields | None = None
    dropbox_data_source: DropboxFields | None = None
    google_drive_data_source: GoogleDriveFields | None = None
    bucket_name: Name | None = Field(default=None, description="Older form of `spaces_data_source`.", deprecated=True)
    bucket_region: Text | None = Field(default=None, deprecated=True)
    region: Text | None = Field(default=None, deprecated=True)
    item_path: Text | None = Field(default=None, deprecated=True)

    @model_validator(mode="before")
    @classmethod
    def _nested(cls, value: Any) -> Any:
        """The older form as the newer one; clients that know both send both."""
        if not isinstance(value, dict) or not value.get("bucket_name"):
            return value
        if _without_empty(value.get("spaces_data_source")):
            return value
        region = value.get("bucket_region") or value.get("region")
        bucket = {"bucket_name": value["bucket_name"], "item_path": value.get("item_path"), "region": region}
        return {**value, "spaces_data_source": _without_empty(bucket)}

    @model_validator(mode="after")
    def _one_kind(self) -> DataSourceFields:
        given = [f"{kind}_data_source" for kind in DataSourceKind if self.of_kind(kind) is not None]
        if len(given) != 1:
            expected = ", ".join(f"{kind}_data_source" for kind in DataSourceKind)
            raise ValueError(f"expected exactly one of {expected}, got {', '.join(given) or 'none'}")
        return self

    def of_kind(self, kind: DataSourceKind) -> BaseModel | None:
        found: BaseModel | None = getattr(self, f"{kind}_data_source")
        return found


class CreateDataSourceBody(DataSourceFields):
    model_config = ConfigDict(json_schema_extra={"example": CREATE_SOURCE_EXAMPLE})


class UpdateDataSourceBody(ChunkingFields):
    """What is not said stays as it is."""

    model_config = ConfigDict(json_schema_extra={"example": UPDATE_SOURCE_EXAMPLE})


class Reranking(BaseModel):
    """Kept and given back; nothing is reranked."""

    enabled: bool | None = None
    model: Text | None = None


class _KnowledgeBaseDetails(_Body):
    """What is kept and given back, and changes nothing else."""

    embedding_model_uuid: Text | None = Field(
        default=None, description="A model's `uuid` or `id`, see `GET /v2/gen-ai/models`; it never changes."
    )
    tags: list[Name] | None = Field(default=None, max_length=100)
    project_id: Text | None = None
    database_id: Text | None = None
    reranking_config: Reranking | None = None


class CreateKnowledgeBaseBody(_KnowledgeBaseDetails):
    model_config = ConfigDict(json_schema_extra={"example": CREATE_BASE_EXAMPLE})

    name: Name
    datasources: list[DataSourceFields] = Field(default_factory=list, max_length=_MAX_SOURCES)
    region: Text | None = None
    vpc_uuid: Text | None = None


class UpdateKnowledgeBaseBody(_KnowledgeBaseDetails):
    """What is not said stays as it is."""

    model_config = ConfigDict(json_schema_extra={"example": UPDATE_BASE_EXAMPLE})

    name: Name | None = None


class FileToUpload(BaseModel):
    file_name: Name
    file_size: Count = Field(description="Exactly so many bytes will be taken.")
    object_key: Name | None = Field(
        default=None, description="Of an earlier upload, whose file this one replaces; without it a key is made."
    )


class PresignBody(_Body):
    model_config = ConfigDict(json_schema_extra={"example": PRESIGN_EXAMPLE})

    files: list[FileToUpload] = Field(min_length=1, max_length=_MAX_FILES)


Scalar = StorableText | bool | Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | FiniteFloat


class FilterCondition(BaseModel):
    """Compares a field of the metadata that results show."""

    field: Name
    operator: Operator
    value: Scalar | Annotated[list[Scalar], Field(max_length=1000)]

    @model_validator(mode="after")
    def _fitting(self) -> FilterCondition:
        wants_list = self.operator in (Operator.IN, Operator.NOT_IN)
        if wants_list != isinstance(self.value, list):
            wanted = "a list of values" if wants_list else "one value"
            raise ValueError(f"expected {wanted} for `{self.operator}`")
        return self


class MetadataFilters(BaseModel):
    """Every one of `must`, none of `must_not`, at least one of `should` where there are any."""

    must: list[FilterCondition] = Field(default_factory=list, max_length=64)
    must_not: list[FilterCondition] = Field(default_factory=list, max_length=64)
    should: list[FilterCondition] = Field(default_factory=list, max_length=64)


class RetrieveBody(BaseModel):
    model_config = ConfigDict(extra="ignore", json_schema_extra={"example": RETRIEVE_EXAMPLE})

    query: Annotated[StorableText, Field(min_length=1, max_length=65_536)]
    num_results: int = Field(default=10, ge=1, le=1000)
    alpha: float | None = Field(
        default=None, ge=0, le=1, description="Taken and not used: the search is by vectors, as with 1."
    )
    filters: MetadataFilters | None = None
