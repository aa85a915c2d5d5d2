"""Protocol buffers in JSON, as the first version of this API writes and reads them: the types of fields of messages.

Read: camelCase or snake_case, numbers or strings of them, names or numbers of enums; null is unset, what is unknown is
ignored. Written: every field; 64-bit numbers as strings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import Response

from indexmill.http.answers import json_answer
from indexmill.http.body import BodyReader

__all__ = [
    "MAX_UINT32",
    "Answer",
    "Flag",
    "Int32",
    "Int64",
    "Message",
    "Text",
    "Uint32",
    "enum_type",
    "message_answer",
    "read_message",
]

MAX_UINT32: Final = 2**32 - 1
_WHOLE: Final = re.compile(r"-?[0-9]{1,20}(\.0{1,20})?")
MessageT = TypeVar("MessageT", bound="Message")


class Message(BaseModel):
    """What comes."""

    model_config = ConfigDict(extra="ignore", alias_generator=to_camel, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _without_unset(cls, value: Any) -> Any:
        if value is None:
            return {}
        if isinstance(value, cls):
            return value
        if not isinstance(value, dict):
            raise ValueError(f"expected a JSON object, got {type(value).__name__}")  # noqa: TRY004 - pydantic's way
        return {name: each for name, each in value.items() if each is not None}


class Answer(BaseModel):
    """What goes; a field without a value has the one that its type has when it is not set."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


def _integer(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected an integer, got a boolean")  # noqa: TRY004 - what pydantic takes for an answer
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        if _WHOLE.fullmatch(value) is None:
            raise ValueError(f"expected an integer, got {value[:40]!r}")
        return int(value.partition(".")[0])
    return value


def _schema(least: int, most: int) -> WithJsonSchema:
    digits = len(str(most)) - 1
    text = {"type": "string", "pattern": f"^[0-9]{{1,{digits}}}$"}
    return WithJsonSchema({"anyOf": [{"type": "integer", "minimum": least, "maximum": most}, text]})


Uint32 = Annotated[int, BeforeValidator(_integer), Field(ge=0, le=MAX_UINT32, strict=True), _schema(0, MAX_UINT32)]
Int32 = Annotated[
    int, BeforeValidator(_integer), Field(ge=-(2**31), le=2**31 - 1, strict=True), _schema(-(2**31), 2**31 - 1)
]
Int64 = Annotated[
    int, BeforeValidator(_integer), Field(ge=-(2**63), le=2**63 - 1, strict=True), _schema(-(2**63), 2**63 - 1)
]
#: PostgreSQL's text cannot hold NUL.
Text = Annotated[str, StringConstraints(strict=True, pattern=r"^[^\x00]*$")]
Flag = Annotated[bool, Field(strict=True)]


def enum_type(numbers: Mapping[str, int]) -> Any:
    """The type of a field with these values, the first of which it has when it is not set: always the name.

    A number that this version does not know is the first one too, as a newer client may have sent it.
    """
    names = {number: name for name, number in numbers.items()}
    unset = next(iter(numbers))

    def named(value: Any) -> Any:
        if isinstance(value, str) and value in numbers:
            return value
        if isinstance(value, str) and _WHOLE.fullmatch(value) is None:
            raise ValueError(f"expected one of {', '.join(numbers)}, got {value[:80]!r}")
        number = _integer(value)
        if not isinstance(number, int):
            raise ValueError(f"expected a name or a number of one, got {type(value).__name__}")  # noqa: TRY004 - as above
        return names.get(number, unset)

    schema = {"anyOf": [{"type": "string", "enum": list(numbers)}, {"type": "integer", "enum": sorted(names)}]}
    return Annotated[str, BeforeValidator(named), WithJsonSchema(schema)]


async def read_message(bodies: BodyReader, request: Request, model: type[MessageT]) -> MessageT:
    """The request's message; without a body the one in which nothing is set.

    Raises:
        ProblemError, RequestValidationError: as `BodyReader.read`.
    """
    try:
        async with bodies.read(request, model) as body:
            return body.value
    except RequestValidationError as error:
        if [(each["type"], tuple(each["loc"])) for each in error.errors()] == [("missing", ("body",))]:
            return model()
        raise


def message_answer(answer: Answer, status: int = 200) -> Response:
    return json_answer(answer.model_dump(by_alias=True), status)
