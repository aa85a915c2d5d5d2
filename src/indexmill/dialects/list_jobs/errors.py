"""The error shapes of front door 4: a gRPC code with a message in version 1, messages in version 2."""

from __future__ import annotations

from typing import Final
from uuid import uuid4

from pydantic import BaseModel
from starlette.responses import Response

from indexmill.http.answers import json_answer
from indexmill.http.problems import Problem, ShapedRoute

__all__ = ["CorpusV1Route", "CorpusV2Route", "V1Problem", "V2Problem", "v1_shape", "v2_shape"]

#: HTTP status -> gRPC code, and the status that version 1 answers with.
_V1: Final = {
    400: (3, 400),
    401: (16, 401),
    403: (7, 403),
    404: (5, 404),
    405: (12, 405),
    408: (4, 504),
    409: (9, 400),
    413: (3, 400),
    422: (3, 400),
    429: (8, 429),
    503: (14, 503),
    504: (4, 504),
}
_INTERNAL: Final = (13, 500)


class V1Problem(BaseModel):
    """As gRPC's status: a code for programs, a sentence for people."""

    code: int
    message: str
    details: list[object] = []


class V2Problem(BaseModel):
    """Sentences, and the request's id. `id` only where there is no such thing."""

    messages: list[str]
    request_id: str
    id: str | None = None


def v1_shape(problem: Problem) -> Response:
    code, status = _V1.get(problem.status, _INTERNAL)
    body = {"code": code, "message": problem.message, "details": []}
    return json_answer(body, status, problem.headers)


def v2_shape(problem: Problem) -> Response:
    """Credentials that open nothing are a 403 here, as in the original; with no challenge, which is a 401's."""
    status = {401: 403, 422: 400}.get(problem.status, problem.status)
    body: dict[str, object] = {"messages": [problem.message], "request_id": str(uuid4())}
    if status == 404:
        body = {"id": problem.code, **body}
    headers = {name: value for name, value in problem.headers.items() if name != "WWW-Authenticate" or status == 401}
    return json_answer(body, status, headers)


class CorpusV1Route(ShapedRoute):
    """A route of version 1."""

    @staticmethod
    def shape(problem: Problem) -> Response:
        return v1_shape(problem)


class CorpusV2Route(ShapedRoute):
    """A route of version 2."""

    @staticmethod
    def shape(problem: Problem) -> Response:
        return v2_shape(problem)
