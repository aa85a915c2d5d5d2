"""What can go wrong, as a status, a code and a sentence; the route class that gives each door its error shape."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from pydantic_core import ErrorDetails
from starlette.requests import Request
from starlette.responses import Response

from indexmill.errors import (
    BodiesExpired,
    CollectionNotFound,
    Conflict,
    Forbidden,
    IndexmillError,
    InvalidRequest,
    JobExists,
    JobNotFound,
    LimitReached,
    ModelError,
    ModelExists,
    ModelNotFound,
    NotFound,
    SearchTimeout,
    ServiceError,
    SettingsError,
    SourceRefused,
    TransientError,
    Unauthorized,
)
from indexmill.http.answers import json_answer
from indexmill.http.auth import gate_of, need_of

__all__ = [
    "NativeInvalid",
    "NativeProblem",
    "NativeRoute",
    "Problem",
    "ProblemError",
    "ShapedRoute",
    "WrongInput",
    "invalid_value",
    "native_shape",
    "problem_of",
]

#: Seconds after which a client may try again when a part of the service does not answer.
RETRY_AFTER: Final = 2
_MAX_INPUT: Final = 200
_MAX_PROBLEMS: Final = 20


@dataclass(frozen=True)
class Problem:
    """One refused request. `inputs` is set for a 422: each wrong input as FastAPI describes it."""

    status: int
    code: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)
    inputs: Sequence[Mapping[str, Any]] = ()


class ProblemError(Exception):
    """A request that this layer itself refuses (size, syntax, time)."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


#: The nearest class in an error's ancestry decides.
_KINDS: Final[dict[type[IndexmillError], tuple[int, str]]] = {
    JobNotFound: (404, "job_not_found"),
    ModelNotFound: (404, "model_not_found"),
    CollectionNotFound: (404, "collection_not_found"),
    NotFound: (404, "not_found"),
    JobExists: (409, "job_exists"),
    BodiesExpired: (409, "bodies_expired"),
    ModelExists: (409, "model_exists"),
    Unauthorized: (401, "unauthorized"),
    LimitReached: (429, "limit_reached"),
    Conflict: (409, "conflict"),
    Forbidden: (403, "forbidden"),
    InvalidRequest: (422, "invalid_request"),
    SearchTimeout: (503, "search_timeout"),
    SourceRefused: (403, "source_refused"),
    ModelError: (503, "model_unavailable"),
    SettingsError: (503, "not_configured"),
    ServiceError: (503, "service_unavailable"),
    TransientError: (503, "service_unavailable"),
}


def problem_of(error: Exception) -> Problem | None:
    """The problem that `error` stands for; None for a defect of ours, which no door may dress up."""
    if isinstance(error, ProblemError):
        return error.problem
    if isinstance(error, RequestValidationError):
        return _invalid_inputs(error.errors())
    known = next((_KINDS[each] for each in type(error).__mro__ if each in _KINDS), None)
    if known is None:
        return None
    status, code = known
    headers = _headers(status, error)
    if status == 503 and not isinstance(error, SearchTimeout | SettingsError):
        # The cause may name hosts, paths or SQL: it is for the log, not for the client.
        message = "A part of the service does not answer; try again in a few seconds, tasks with the same ID"
        return Problem(status, code, message, headers)
    inputs = [invalid_value(str(error))] if status == 422 else ()
    return Problem(status, code, str(error), headers, inputs)


def _headers(status: int, error: Exception) -> dict[str, str]:
    if isinstance(error, LimitReached):
        return {"Retry-After": str(error.retry_after)}
    if status == 401:
        return {"WWW-Authenticate": 'Bearer realm="indexmill"'}
    return {"Retry-After": str(RETRY_AFTER)} if status == 503 else {}


def invalid_value(message: str, loc: Sequence[str | int] = ("body",), given: object = None) -> dict[str, Any]:
    """One wrong input in FastAPI's form."""
    return {"type": "value_error", "loc": list(loc), "msg": message, "input": _cut(given)}


def _invalid_inputs(errors: Sequence[ErrorDetails | Mapping[str, Any]]) -> Problem:
    inputs: list[dict[str, Any]] = [
        {
            "type": each["type"],
            "loc": list(each["loc"]),
            "msg": str(each["msg"]).removeprefix("Value error, "),
            "input": _cut(each.get("input")),
        }
        for each in errors[:_MAX_PROBLEMS]
    ]
    first = inputs[0] if inputs else invalid_value("the request is not valid")
    where = ".".join(str(part) for part in first["loc"])
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return Problem(422, "invalid_request", f"{where}: {first['msg']}{more}", inputs=inputs)


def _cut(given: object) -> object:
    """The input as it came where it is small; a large one would echo megabytes back."""
    if given is None or isinstance(given, bool | float):
        return given
    if isinstance(given, int):
        return given if given.bit_length() <= 64 else "a very large integer"
    if isinstance(given, str):
        return given if len(given) <= _MAX_INPUT else f"{given[:_MAX_INPUT]}... ({len(given)} characters)"
    if isinstance(given, Sized):
        return f"{type(given).__name__} of {len(given)}"
    return type(given).__name__


class WrongInput(BaseModel):
    """One input that is wrong: where it is, why, and what came (cut where it is large)."""

    type: str
    loc: list[str | int]
    msg: str
    input: Any = None


class NativeError(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={"example": {"code": "job_not_found", "message": "Job with ID `x` not found"}}
    )

    code: str
    message: str


class NativeInvalidError(NativeError):
    inputs: list[WrongInput]


class NativeProblem(BaseModel):
    """A code for programs and a sentence for people."""

    error: NativeError


class NativeInvalid(BaseModel):
    """Each input that is wrong."""

    error: NativeInvalidError


def native_shape(problem: Problem) -> Response:
    """`{"error": {"code", "message"}}`, plus `inputs` where some were wrong."""
    error: dict[str, Any] = {"code": problem.code, "message": problem.message}
    if problem.inputs:
        error["inputs"] = problem.inputs
    return json_answer({"error": error}, problem.status, problem.headers)


class ShapedRoute(APIRoute):
    """A route whose errors have its door's shape; doors share prefixes, so no app-wide handler can choose.

    Nobody comes in who may not: what the endpoint needs is its mark (`indexmill.http.auth.needs`), by default `read`
    for GET and `write` for every other method.
    """

    #: Whether a key may come as the password of Basic authentication.
    takes_basic: ClassVar[bool] = False

    @staticmethod
    def shape(problem: Problem) -> Response:
        raise NotImplementedError

    @staticmethod
    def problem(error: Exception) -> Problem | None:
        return problem_of(error)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        shape, problem_for = type(self).shape, type(self).problem
        need, takes_basic = need_of(self.endpoint, set(self.methods or ())), self.takes_basic

        async def shaped(request: Request) -> Response:
            try:
                await gate_of(request).admit(request, need, takes_basic=takes_basic)
                return await handle(request)
            except (IndexmillError, ProblemError, RequestValidationError) as error:
                problem = problem_for(error)
                if problem is None:
                    raise
                return shape(problem)

        return shaped


class NativeRoute(ShapedRoute):
    """A route of the native API."""

    @staticmethod
    def shape(problem: Problem) -> Response:
        return native_shape(problem)
