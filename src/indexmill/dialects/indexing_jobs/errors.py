"""The error shape of front door 3, `{"id", "message", "request_id"}`, and the headers of each of its answers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final
from uuid import uuid4

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from indexmill.errors import Conflict, ModelNotFound
from indexmill.http.answers import json_answer
from indexmill.http.identity import current_rate
from indexmill.http.problems import Problem, ShapedRoute, problem_of

__all__ = [
    "PREFIX",
    "REQUEST_ID",
    "UNLIMITED",
    "IndexingProblem",
    "IndexingRoute",
    "indexing_problems",
    "indexing_shape",
    "is_own_path",
    "not_found",
]

PREFIX: Final = "/v2/gen-ai"
#: Paths of this door, for errors that no route has taken.
_OWN_PATHS: Final = re.compile(rf"{re.escape(PREFIX)}(/|$)|(/v1)?/[^/]+/retrieve$")
REQUEST_ID: Final = "x-request-id"
#: Where nothing limits how many requests a tenant makes: clients read the three headers as numbers all the same. This
#: one fits the smallest integer that any of them reads it into.
UNLIMITED: Final = 2**31 - 1

#: What an answer with this status is called.
_IDS: Final = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "payload_too_large",
    429: "too_many_requests",
    500: "server_error",
    503: "service_unavailable",
}
_MEANINGS: Final = {
    400: "The request is not valid or contradicts what is stored, such as a second indexing job of a knowledge base.",
    403: "A setting does not allow it, the `Host` is foreign, or a signature is wrong or has expired.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    413: "The body or the file is larger than allowed.",
    503: "A part of the service does not answer; try again after `Retry-After` seconds.",
}


class IndexingProblem(BaseModel):
    """A code for programs, a sentence for people, and the request's id, as in the header `x-request-id`."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "not_found",
                "message": "Job with ID `0190163d-8694-739b-aea5-966c26f8ad91` not found",
                "request_id": "9d6ab4c1-3f6b-4a9e-8f0f-0c6f6f8f2b11",
            }
        }
    )

    id: str
    message: str
    request_id: str


def indexing_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an operation that can answer with these statuses."""
    return {status: {"model": IndexingProblem, "description": _MEANINGS[status]} for status in statuses}


def indexing_shape(problem: Problem) -> Response:
    """A conflict is a 400: clients of this API repeat a 409 by themselves, and nothing would be different then."""
    status = 400 if problem.status in (409, 422) else problem.status
    request_id = str(uuid4())
    body = {"id": _IDS.get(status, problem.code), "message": problem.message, "request_id": request_id}
    response = json_answer(body, status, {**problem.headers, REQUEST_ID: request_id})
    _complete(response)
    return response


def not_found(kind: str, reference: str) -> Problem:
    return Problem(404, "not_found", f"{kind} `{reference[:64]}` not found")


def is_own_path(path: str) -> bool:
    return _OWN_PATHS.match(path) is not None


class IndexingRoute(ShapedRoute):
    """A route of this door."""

    @staticmethod
    def shape(problem: Problem) -> Response:
        return indexing_shape(problem)

    @staticmethod
    def problem(error: Exception) -> Problem | None:
        """As everywhere, but what a request's body names wrongly is a 400 where no path leads to it."""
        if isinstance(error, ModelNotFound | Conflict):
            return Problem(400, "bad_request", str(error))
        return problem_of(error)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def completed(request: Request) -> Response:
            response = await handle(request)
            _complete(response)
            return response

        return completed


def _complete(response: Response) -> None:
    """The headers of every answer: its id, and how many requests there may be."""
    headers = response.headers
    headers.setdefault(REQUEST_ID, str(uuid4()))
    limit, remaining = current_rate() or (UNLIMITED, UNLIMITED)
    headers["ratelimit-limit"], headers["ratelimit-remaining"] = str(limit), str(remaining)
    headers["ratelimit-reset"] = str(int(time.time()))
