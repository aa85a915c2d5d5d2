"""What front door 2 takes and gives, field by field, with the examples that its documentation shows."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from indexmill.http.fields import StorableText
from indexmill.http.form_data import FormFile
from indexmill.http.json_strings import LongString

__all__ = [
    "DEFAULT_COLLECTION",
    "DELETE_EXAMPLE",
    "INGEST_ASYNC_EXAMPLE",
    "INGEST_EXAMPLE",
    "SEARCH_EXAMPLE",
    "Callback",
    "ChunkList",
    "ContentBody",
    "ContentFilter",
    "ContentList",
    "ContextFilter",
    "DeleteAsyncBody",
    "DeleteBody",
    "EmbeddingList",
    "EmbeddingsBody",
    "IngestAsyncBody",
    "IngestBody",
    "IngestResponse",
    "SearchBody",
    "TaskCreated",
    "TaskStatus",
]

DEFAULT_COLLECTION: Final = "pgpt_collection"
INGEST_EXAMPLE: Final[dict[str, Any]] = {
    "artifact": "report-1",
    "collection": "my-collection",
    "input": {"type": "text", "value": "neural nets basics"},
    "metadata": {"file_name": "report.txt"},
}
INGEST_ASYNC_EXAMPLE: Final[dict[str, Any]] = {
    "ingest_body": {"file_path": "/path/to/large-document.pdf", "collection": "my-collection"}
}
DELETE_EXAMPLE: Final[dict[str, Any]] = {"collection": "my-collection", "artifact": "report-1"}
SEARCH_EXAMPLE: Final[dict[str, Any]] = {
    "text": "neural nets",
    "context_filter": {"collection": "my-collection"},
    "limit": 10,
}

#: Opaque keys, never paths.
Name = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]


class TextInput(BaseModel):
    """Plain text or Markdown."""

    type: Literal["text"]
    value: str | LongString


class FileInput(BaseModel):
    """A file, base64."""

    type: Literal["file"]
    value: str | LongString | FormFile


class UriInput(BaseModel):
    """`http(s)://`, `s3://`, `data:` or a local path below `sources.allowed_folders`."""

    type: Literal["uri"]
    value: StorableText


class IngestBody(BaseModel):
    model_config = ConfigDict(extra="ignore", json_schema_extra={"example": INGEST_EXAMPLE})

    artifact: Name | None = Field(default=None, description="The document's id; by default the file's name.")
    collection: Name = Field(default=DEFAULT_COLLECTION, description="Made by the first request that names it.")
    input: Annotated[TextInput | FileInput | UriInput, Field(discriminator="type")] | None = None
    file_path: StorableText | None = Field(
        default=None, description="A local path below `sources.allowed_folders`, instead of `input`."
    )
    metadata: dict[str, Any] | None = Field(
        default=None, description="Kept with the document and filtered by; `file_name` names its type."
    )

    @model_validator(mode="after")
    def _one_input(self) -> IngestBody:
        if (self.input is None) == (self.file_path is None):
            raise ValueError("expected exactly one of `input` and `file_path`")
        return self


class Amqp(BaseModel):
    exchange: Name
    routing_key_done: str | None = None
    routing_key_progress: str | None = None
    routing_key_error: str | None = None


class Callback(BaseModel):
    """Where to tell how the task goes."""

    amqp: Amqp
    properties: dict[str, Any] | None = None


class IngestAsyncBody(BaseModel):
    model_config = ConfigDict(extra="ignore", json_schema_extra={"example": INGEST_ASYNC_EXAMPLE})

    callback: Callback | None = None
    ingest_body: IngestBody


class DeleteBody(BaseModel):
    model_config = ConfigDict(extra="ignore", json_schema_extra={"example": DELETE_EXAMPLE})

    collection: Name
    artifact: Name


class DeleteAsyncBody(BaseModel):
    model_config = ConfigDict(extra="ignore", json_schema_extra={"example": {"delete_body": DELETE_EXAMPLE}})

    callback: Callback | None = None
    delete_body: DeleteBody


class TaskCreated(BaseModel):
    model_config = ConfigDict(json_schema_extra={"example": {"task_id": "task_01900000-0000-7000-8000-000000000000"}})

    task_id: str


class IngestedDocument(BaseModel):
    object: Literal["ingest.document"] = "ingest.document"
    artifact: str
    doc_metadata: dict[str, Any] | None = None


class IngestResponse(BaseModel):
    """The documents that were indexed; none where nothing had changed."""

    object: Literal["list"] = "list"
    model: Literal["private-gpt"] = "private-gpt"
    data: list[IngestedDocument]


class TaskStatus(BaseModel):
    """`task_result`: of an ingest that succeeded its documents, of a failed task a sentence, else null."""

    task_id: str
    task_status: Literal["PENDING", "STARTED", "RETRY", "SUCCESS", "FAILURE", "REVOKED"]
    task_result: IngestResponse | str | None


class ContextFilter(BaseModel):
    """Which documents: of the collection, and of these where `artifacts` is given, and matching all of the metadata."""

    model_config = ConfigDict(extra="ignore")

    collection: Name = DEFAULT_COLLECTION
    artifacts: list[Name] | None = Field(default=None, max_length=10_000)
    metadata_filter: list[dict[str, Any]] | None = Field(
        default=None,
        max_length=100,
        description='Values that the metadata must hold: `{"lang": "en"}`, or `{"key": "lang", "operator": "==", '
        '"value": "en"}`.',
    )


class SearchBody(BaseModel):
    model_config = ConfigDict(extra="ignore", json_schema_extra={"example": SEARCH_EXAMPLE})

    type: Literal["semantic_search", "keywords_search", "hybrid_search"] = "semantic_search"
    text: Annotated[str, StringConstraints(max_length=100_000)] | None = None
    context_filter: ContextFilter
    limit: int = Field(default=10, ge=1, le=1000)
    score_threshold: float = Field(default=0.0, ge=0, le=1)
    expand: bool = Field(default=False, description="Whether to give the chunks before and after each, too.")


class Chunk(BaseModel):
    object: Literal["context.chunk"] = "context.chunk"
    id: str
    score: float
    document: IngestedDocument
    text: str
    content_type: str = "text/plain"
    previous_texts: list[str]
    next_texts: list[str]
    metadata: dict[str, Any]


class ChunkList(BaseModel):
    object: Literal["list"] = "list"
    model: Literal["private-gpt"] = "private-gpt"
    data: list[Chunk]


NodeType = Literal["ImageNode", "ListItemNode", "ListNode", "SectionNode", "TableNode", "TableRowNode", "TextNode"]


class ContentFilter(BaseModel):
    """Which nodes of the document's tree; texts that are read here have sections and texts."""

    model_config = ConfigDict(extra="ignore")

    include: list[NodeType] | None = Field(default=None, description="Only nodes of these types.")
    exclude: list[NodeType] | None = Field(default=None, description="No nodes of these types.")
    node_ids: list[str] | None = Field(default=None, max_length=10_000, description="Only these nodes.")
    include_children: bool = Field(default=True, description="With `node_ids`: and what is below them.")
    include_ancestors: bool = Field(default=False, description="With `node_ids`: and what they are below.")


class ContentBody(BaseModel):
    model_config = ConfigDict(
        extra="ignore", json_schema_extra={"example": {"context_filter": {"collection": "my-collection"}}}
    )

    context_filter: ContextFilter
    format: Literal["markdown", "object"] = "markdown"
    filter: ContentFilter | None = None
    max_tokens: int | None = Field(default=None, ge=1)


class ContentNode(BaseModel):
    """A section by its heading, with the text and the sections below it."""

    id: str
    type: str
    content: str
    children: list[ContentNode] | None = None


class DocumentContent(BaseModel):
    artifact_id: str
    content: str | ContentNode


class ContentList(BaseModel):
    data: list[DocumentContent]


class EmbeddingsBody(BaseModel):
    model_config = ConfigDict(extra="ignore", json_schema_extra={"example": {"input": "neural nets basics"}})

    model: str = "default"
    encoding_format: Literal["float", "base64"] = Field(
        default="float", description="`base64`: of 32-bit floats, little-endian, as OpenAI's clients ask for."
    )
    input: str | Annotated[list[str], Field(min_length=1, max_length=2048)]

    @property
    def texts(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


class Embedding(BaseModel):
    index: int
    object: Literal["embedding"] = "embedding"
    embedding: list[float] | str


class Usage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingList(BaseModel):
    object: Literal["list"] = "list"
    model: Literal["private-gpt"] = "private-gpt"
    data: list[Embedding]
    usage: Usage
