"""What the first version of this API takes and gives about documents, message by message."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from indexmill.dialects.list_jobs.proto_json import Answer, Int32, Int64, Message, Text, Uint32
from indexmill.dialects.list_jobs.v1_wire import MAX_CORPORA, PageKey, Status

__all__ = [
    "CoreDocumentMessage",
    "CorePart",
    "CorpusKeyMessage",
    "DeleteDocumentRequest",
    "DocumentInfo",
    "DocumentList",
    "DocumentMessage",
    "FoundCorpus",
    "FoundDocument",
    "IndexCoreRequest",
    "IndexRequest",
    "IndexedDocument",
    "ListDocumentsRequest",
    "NameValue",
    "Nothing",
    "QueryAnswer",
    "QueryRequest",
    "Quota",
    "ResponseSet",
    "SearchQuery",
    "SearchResponse",
    "Section",
    "UploadAnswer",
    "UploadedDocument",
]

_MAX_SECTIONS: Final = 10_000


class Section(Message):
    id: Int32 = 0
    title: Text = ""
    text: Text = ""
    metadata_json: Text = ""
    section: list[Section] = Field(default=[], max_length=_MAX_SECTIONS)


class DocumentMessage(Message):
    document_id: Text = ""
    title: Text = ""
    description: Text = ""
    metadata_json: Text = ""
    section: list[Section] = Field(default=[], max_length=_MAX_SECTIONS)


class IndexRequest(Message):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "corpusId": 12,
                "document": {
                    "documentId": "isbn-9781405053976",
                    "title": "A guide",
                    "metadataJson": '{"year": 1979}',
                    "section": [{"text": "Far out in the uncharted backwaters", "metadataJson": '{"page": 1}'}],
                },
            }
        }
    )

    customer_id: Int64 = 0
    corpus_id: Uint32 = 0
    document: DocumentMessage = DocumentMessage()


class CorePart(Message):
    text: Text = ""
    metadata_json: Text = ""


class CoreDocumentMessage(Message):
    document_id: Text = ""
    metadata_json: Text = ""
    parts: list[CorePart] = Field(default=[], max_length=_MAX_SECTIONS)


class IndexCoreRequest(Message):
    """A document whose parts are embedded as they are."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"corpusId": 12, "document": {"documentId": "a", "parts": [{"text": "Far out"}]}}}
    )

    customer_id: Int64 = 0
    corpus_id: Uint32 = 0
    document: CoreDocumentMessage = CoreDocumentMessage()


class Quota(Answer):
    num_chars: str = "0"
    num_metadata_chars: str = "0"


class IndexedDocument(Answer):
    """`code`: `OK`, `ALREADY_EXISTS` for the same document again, `CONFLICT` for another one with its id."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "status": {"code": "OK", "statusDetail": ""},
                "quotaConsumed": {"numChars": "36", "numMetadataChars": "25"},
            }
        }
    )

    status: Status | None = None
    quota_consumed: Quota | None = None


class UploadedDocument(Answer):
    status: Status | None = None
    quota_consumed: Quota | None = None
    document: dict[str, Any] | None = None


class UploadAnswer(Answer):
    response: UploadedDocument | None = None


class DeleteDocumentRequest(Message):
    model_config = ConfigDict(json_schema_extra={"example": {"corpusId": 12, "documentId": "isbn-9781405053976"}})

    customer_id: Int64 = 0
    corpus_id: Uint32 = 0
    document_id: Text = ""


class Nothing(Answer):
    pass


class ListDocumentsRequest(Message):
    model_config = ConfigDict(
        json_schema_extra={"example": {"corpusId": 12, "numResults": 10, "metadataFilter": "doc.year > 1970"}}
    )

    corpus_id: Uint32 = 0
    num_results: Uint32 | None = None
    page_key: PageKey = ""
    metadata_filter: Annotated[Text, Field(max_length=8000)] = ""


class NameValue(Answer):
    name: str
    value: str = ""


class DocumentInfo(Answer):
    id: str
    metadata: list[NameValue] = []


class DocumentList(Answer):
    document: list[DocumentInfo] = []
    next_page_key: str = ""


class CorpusKeyMessage(Message):
    customer_id: Uint32 = 0
    corpus_id: Uint32 = 0
    metadata_filter: Annotated[Text, Field(max_length=8000)] = ""


class SearchQuery(Message):
    query: Annotated[Text, Field(max_length=65_536)] = ""
    start: Uint32 = 0
    num_results: Uint32 | None = None
    corpus_key: list[CorpusKeyMessage] = Field(default=[], max_length=MAX_CORPORA)


class QueryRequest(Message):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "query": [
                    {
                        "query": "where is the sun",
                        "numResults": 5,
                        "corpusKey": [{"corpusId": 12, "metadataFilter": "doc.year > 1970"}],
                    }
                ]
            }
        }
    )

    query: list[SearchQuery] = Field(default=[], max_length=16)


class FoundCorpus(Answer):
    customer_id: int = 0
    corpus_id: int = 0
    semantics: str = "DEFAULT"
    metadata_filter: str = ""
    lexical_interpolation_config: None = None


class SearchResponse(Answer):
    text: str
    score: float
    metadata: list[NameValue] = []
    document_index: int = 0
    corpus_key: FoundCorpus | None = None


class FoundDocument(Answer):
    id: str
    metadata: list[NameValue] = []


class ResponseSet(Answer):
    response: list[SearchResponse] = []
    status: list[Status] = []
    document: list[FoundDocument] = []
    summary: list[dict[str, Any]] = []
    future_id: int = 0


class QueryAnswer(Answer):
    response_set: list[ResponseSet] = []
    status: list[Status] = []
    metrics: None = None
