"""The error shapes of front door 4: `{"code", "message", "details"}`, and in its second version lists of messages."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from uuid import uuid4

from pydantic import BaseModel, ConfigDict
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from indexmill.dialects.list_jobs.deadlines import v1_seconds, v2_seconds
from indexmill.domain.failure import FailureCode
from indexmill.errors import CollectionNotFound, InvalidRequest, ItemError, JobNotFound
from indexmill.http.answers import json_answer
from indexmill.http.problems import Problem, ProblemError, ShapedRoute, problem_of

__all__ = [
    "V1FileRoute",
    "V1Problem",
    "V1Route",
    "V2BadRequest",
    "V2FileRoute",
    "V2NotFound",
    "V2Problem",
    "V2Route",
    "is_v1_path",
    "is_v2_path",
    "seconds_of",
    "v1_problems",
    "v1_shape",
    "v2_not_found",
    "v2_problems",
    "v2_shape",
]

#: Paths of this door that no route has taken; the first version's are all a verb and a noun.
_V1_PATHS: Final = re.compile(r"/v1/([a-z]+(-[a-z]+)+|core/[a-z-]+|index|query|upload)$")
_V2_PATHS: Final = re.compile(r"/v2/(jobs|corpora|query)(/|$)")

#: HTTP's status as the number that the first version's clients know.
_CODES: Final = {
    400: 3,
    401: 16,
    403: 7,
    404: 5,
    405: 12,
    408: 4,
    409: 6,
    413: 3,
    415: 3,
    422: 3,
    429: 8,
    500: 13,
    503: 14,
    504: 4,
}
_INTERNAL: Final = 13
_MEANINGS: Final = {
    400: "The request is not valid: code 3 says what was expected.",
    403: "It is not allowed, or it is another customer's, or the `Host` is foreign.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    409: "The request contradicts what is stored.",
    413: "The body or the file is larger than allowed.",
    415: "Files of this kind cannot be read.",
    503: "A part of the service does not answer; try again after `Retry-After` seconds.",
    504: "It took longer than the request allows.",
}


class V1Problem(BaseModel):
    """A number of gRPC's, and a sentence."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"code": 3, "message": "numResults: expected at least 1, got 0", "details": []}}
    )

    code: int
    message: str
    details: list[dict[str, Any]]


class V2Problem(BaseModel):
    """Sentences, and the request's id."""

    messages: list[str]
    request_id: str


class V2BadRequest(V2Problem):
    """`field_errors`: by the name of the field."""

    field_errors: dict[str, str]


class V2NotFound(V2Problem):
    """`id`: of what is not there."""

    id: str


@dataclass(frozen=True)
class _Missing(Problem):
    """A 404: of what."""

    subject: str = ""


def v2_not_found(kind: str, reference: str) -> ProblemError:
    return ProblemError(_missing(kind, reference))


def _missing(kind: str, reference: str) -> Problem:
    return _Missing(404, "not_found", f"{kind} `{reference[:64]}` not found", subject=reference[:255])


def v1_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an operation that can answer with these statuses, and those that each can."""
    always = (400, 403, 408, 413, 503, 504)
    return {each: {"model": V1Problem, "description": _MEANINGS[each]} for each in sorted({*always, *statuses})}


def v2_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an operation that can answer with these statuses, and those that each can."""
    models = {400: V2BadRequest, 404: V2NotFound}
    found = sorted({400, 403, 503, 504, *statuses})
    return {each: {"model": models.get(each, V2Problem), "description": _MEANINGS[each]} for each in found}


def v1_shape(problem: Problem) -> Response:
    status = 400 if problem.status == 422 else problem.status
    body = {"code": _CODES.get(status, _INTERNAL), "message": problem.message, "details": []}
    return json_answer(body, status, problem.headers)


def v2_shape(problem: Problem) -> Response:
    """A credential that is missing or wrong is a 403 here."""
    status = {401: 403, 422: 400}.get(problem.status, problem.status)
    body: dict[str, Any] = {"messages": [problem.message], "request_id": str(uuid4())}
    if status == 400:
        places = ((_place(each["loc"]), str(each["msg"])) for each in problem.inputs)
        body["field_errors"] = {place: message for place, message in places if place}
    if status == 404:
        body["id"] = problem.subject if isinstance(problem, _Missing) else ""
    return json_answer(body, status, problem.headers)


def _place(loc: Any) -> str:
    return ".".join(str(part) for part in loc[1:])


def is_v1_path(path: str) -> bool:
    return _V1_PATHS.match(path) is not None


def is_v2_path(path: str) -> bool:
    return _V2_PATHS.match(path) is not None


def seconds_of(request: Request) -> float:
    """How long the request may take."""
    return float(request.state.seconds)


class _TimedRoute(ShapedRoute):
    """A route of this door: it answers within the time that the request allows."""

    #: Whether all of it is timed; else what it waits for says so itself.
    is_timed: ClassVar[bool] = True

    @staticmethod
    def seconds(headers: Headers) -> float:
        raise NotImplementedError

    @staticmethod
    def problem(error: Exception) -> Problem | None:
        """As everywhere, but without the names of other things than the one that is not there."""
        if isinstance(error, CollectionNotFound):
            return _missing("Corpus", error.name)
        if isinstance(error, JobNotFound):
            return _missing("Job", error.reference)
        if isinstance(error, ItemError):
            status = {FailureCode.TOO_LARGE: 413, FailureCode.UNSUPPORTED_TYPE: 415}.get(error.code, 400)
            return Problem(status, str(error.code), error.sentence)
        return problem_of(error)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        shape, seconds_in, is_timed = type(self).shape, type(self).seconds, type(self).is_timed

        async def timed(request: Request) -> Response:
            try:
                seconds = seconds_in(request.headers)
            except InvalidRequest as error:
                return shape(Problem(400, "invalid_request", str(error)))
            request.state.seconds = seconds
            try:
                async with asyncio.timeout(seconds if is_timed else None):
                    return await handle(request)
            except TimeoutError:
                message = f"The request took longer than the {seconds:g} s that it allows; it may go on. Ask again"
                return shape(Problem(504, "deadline_exceeded", message))

        return timed


class V1Route(_TimedRoute):
    """A route of the first version."""

    @staticmethod
    def seconds(headers: Headers) -> float:
        return v1_seconds(headers)

    @staticmethod
    def shape(problem: Problem) -> Response:
        return v1_shape(problem)


class V1FileRoute(V1Route):
    """A route that takes a file: for its way here there is no limit but the server's own."""

    is_timed = False


class V2Route(_TimedRoute):
    """A route of the second version."""

    @staticmethod
    def seconds(headers: Headers) -> float:
        return v2_seconds(headers)

    @staticmethod
    def shape(problem: Problem) -> Response:
        return v2_shape(problem)


class V2FileRoute(V2Route):
    """A route that takes a file: for its way here there is no limit but the server's own."""

    is_timed = False
