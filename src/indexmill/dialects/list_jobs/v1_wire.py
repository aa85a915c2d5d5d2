"""What the first version of this API takes and gives about jobs and corpora, message by message."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Final

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema

from indexmill.dialects.list_jobs.proto_json import Answer, Flag, Int64, Message, Text, Uint32, enum_type
from indexmill.dialects.list_jobs.states import V1_STATES
from indexmill.domain.filter_attributes import MAX_ATTRIBUTES

__all__ = [
    "MAX_CORPORA",
    "AttributeView",
    "CorpusInfo",
    "CorpusMessage",
    "CorpusRequest",
    "CorpusSize",
    "CorpusStatus",
    "CorpusView",
    "CreateCorpusRequest",
    "CreatedCorpus",
    "FilterAttributeMessage",
    "JobList",
    "JobView",
    "ListCorporaRequest",
    "ListJobsRequest",
    "ListedCorpora",
    "PageKey",
    "ReadCorpora",
    "ReadCorpusRequest",
    "ReplaceAttributesRequest",
    "StartedJob",
    "Status",
]

MAX_CORPORA: Final = 100
_JOB: Final = "job_0192f0e4-7a3b-7000-8000-5f0c3c1e9d11"
_ATTRIBUTE: Final[dict[str, Any]] = {
    "name": "year",
    "description": "",
    "indexed": True,
    "type": "FILTER_ATTRIBUTE_TYPE__INTEGER",
    "level": "FILTER_ATTRIBUTE_LEVEL__DOCUMENT",
}

#: The original's numbers, as those of job states, go up by five.
ATTRIBUTE_TYPES: Final = {
    f"FILTER_ATTRIBUTE_TYPE__{name}": 5 * number
    for number, name in enumerate(
        ("UNDEFINED", "INTEGER", "INTEGER_LIST", "REAL", "REAL_LIST", "TEXT", "TEXT_LIST", "BOOLEAN")
    )
}
ATTRIBUTE_LEVELS: Final = {
    f"FILTER_ATTRIBUTE_LEVEL__{name}": 5 * number
    for number, name in enumerate(("UNDEFINED", "DOCUMENT", "DOCUMENT_PART"))
}
State = enum_type(V1_STATES)
AttributeType = enum_type(ATTRIBUTE_TYPES)
AttributeLevel = enum_type(ATTRIBUTE_LEVELS)


def _base64(value: str) -> str:
    """
    Raises:
        ValueError: not base64, in either alphabet.
    """
    plain = value.translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError as error:
        raise ValueError("expected base64, as `pageKey` of the answer before was") from error
    return value


PageKey = Annotated[
    Text,
    AfterValidator(_base64),
    WithJsonSchema({"type": "string", "format": "byte", "description": "Of the answer before; empty: from the first."}),
]
Strict = Annotated[Text, Field(max_length=1024)]


class ListJobsRequest(Message):
    """Every condition must hold. With `pageKey` all other fields are ignored: it carries them."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "corpusId": [12],
                "epochSecs": "1714176000",
                "state": ["JOB_STATE__COMPLETED"],
                "numResults": 50,
            }
        }
    )

    job_id: Strict = Field(default="", description="Only this job; its id in any door's form.")
    corpus_id: list[Uint32] = Field(default=[], max_length=MAX_CORPORA, description="Jobs of any of these corpora.")
    epoch_secs: Int64 = Field(
        default=0, description="Created since then; 180 days ago where it is longer ago, or not set."
    )
    state: list[State] = Field(default=[], max_length=64)  # type: ignore[valid-type]  # made by a function
    num_results: Uint32 | None = Field(default=None, description="100 where it is not set; more than 100 are 100.")
    page_key: PageKey = ""


class Status(Answer):
    code: str = "OK"
    status_detail: str = ""


class JobView(Answer):
    """`kind` and what follows is more than the original says: which of all doors' jobs it is, and how far."""

    id: str
    type: str
    corpus_id: list[int] = []
    state: str
    ts_create: str = "0"
    ts_start: str = "0"
    ts_complete: str = "0"
    user_handle: str = ""
    kind: str = ""
    progress: float = 0
    items_total: str = "0"
    items_done: str = "0"
    items_failed: str = "0"
    detail: str = Field(default="", description="Why it has failed, or what is to be said of it.")


class JobList(Answer):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "status": [],
                "job": [
                    {
                        "id": _JOB,
                        "type": "JOB__CORPUS_REPLACE_FILTER_ATTRS",
                        "corpusId": [12],
                        "state": "JOB_STATE__COMPLETED",
                        "tsCreate": "1714181371",
                        "tsStart": "1714181400",
                        "tsComplete": "1714181400",
                        "userHandle": "",
                        "kind": "replace_filter_attributes",
                        "progress": 1.0,
                        "itemsTotal": "3",
                        "itemsDone": "3",
                        "itemsFailed": "0",
                        "detail": "",
                    }
                ],
                "pageKey": "",
            }
        }
    )

    status: list[Status] = []
    job: list[JobView] = []
    page_key: str = ""


class FilterAttributeMessage(Message):
    name: Strict = ""
    description: Strict = ""
    indexed: Flag = False
    type: AttributeType = "FILTER_ATTRIBUTE_TYPE__UNDEFINED"  # type: ignore[valid-type]  # made by a function
    level: AttributeLevel = "FILTER_ATTRIBUTE_LEVEL__UNDEFINED"  # type: ignore[valid-type]  # as above


Attributes = Annotated[list[FilterAttributeMessage], Field(max_length=MAX_ATTRIBUTES + 1)]


class ReplaceAttributesRequest(Message):
    """The whole new list."""

    model_config = ConfigDict(json_schema_extra={"example": {"corpusId": 12, "filterAttributes": [_ATTRIBUTE]}})

    corpus_id: Uint32 = 0
    filter_attributes: Attributes = []


class StartedJob(Answer):
    model_config = ConfigDict(json_schema_extra={"example": {"status": None, "jobId": _JOB}})

    status: Status | None = None
    job_id: str = ""


class CorpusMessage(Message):
    name: Annotated[Text, Field(max_length=255)] = ""
    description: Annotated[Text, Field(max_length=4096)] = ""
    filter_attributes: Attributes = []


class CreateCorpusRequest(Message):
    model_config = ConfigDict(
        json_schema_extra={
            "example": {"corpus": {"name": "handbook", "description": "", "filterAttributes": [_ATTRIBUTE]}}
        }
    )

    corpus: CorpusMessage = CorpusMessage()


class CreatedCorpus(Answer):
    model_config = ConfigDict(
        json_schema_extra={"example": {"corpusId": 12, "status": {"code": "OK", "statusDetail": ""}}}
    )

    corpus_id: int = 0
    status: Status | None = None


class CorpusRequest(Message):
    """One corpus."""

    model_config = ConfigDict(json_schema_extra={"example": {"corpusId": 12}})

    customer_id: Uint32 = 0
    corpus_id: Uint32 = 0


class CorpusStatus(Answer):
    status: Status | None = None


class ReadCorpusRequest(Message):
    """What is not asked for is not told; where nothing is, the basic things are."""

    model_config = ConfigDict(json_schema_extra={"example": {"corpusId": [12], "readSize": True}})

    corpus_id: list[Uint32] = Field(default=[], max_length=MAX_CORPORA)
    read_basic_info: Flag = False
    read_size: Flag = False
    read_filter_attributes: Flag = False


class AttributeView(Answer):
    name: str
    description: str = ""
    indexed: bool = False
    type: str
    level: str


class CorpusView(Answer):
    id: int
    name: str
    description: str = ""
    dt_provision: str = "0"
    enabled: bool = True
    swap_qenc: bool = False
    swap_ienc: bool = False
    textless: bool = False
    encrypted: bool = False
    encoder_id: str = "0"
    metadata_max_bytes: int = 0
    custom_dimensions: list[dict[str, Any]] = []
    filter_attributes: list[AttributeView] = []


class CorpusSize(Answer):
    epoch_secs: str = "0"
    size: str = Field(default="0", description="How many parts are indexed.")


class CorpusInfo(Answer):
    corpus: CorpusView | None = None
    corpus_status: Status | None = None
    size: CorpusSize | None = None
    size_status: Status | None = None
    api_key: list[dict[str, Any]] = []
    api_key_status: Status | None = None
    custom_dimension: list[dict[str, Any]] = []
    custom_dimension_status: Status | None = None
    filter_attribute: list[AttributeView] = []
    filter_attribute_status: Status | None = None


class ReadCorpora(Answer):
    corpora: list[CorpusInfo] = []


class ListCorporaRequest(Message):
    model_config = ConfigDict(json_schema_extra={"example": {"filter": "^hand", "numResults": 10}})

    filter: Annotated[Text, Field(max_length=256)] = Field(default="", description="A regular expression for names.")
    num_results: Uint32 | None = None
    page_key: PageKey = ""


class ListedCorpora(Answer):
    corpus: list[CorpusView] = []
    page_key: str = ""
    status: Status | None = None
