"""The error shapes of front door 2: `{"detail": "..."}`, and for a request that is not valid a 400 with every input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, Literal

from pydantic import BaseModel
from starlette.responses import Response

from indexmill.domain.failure import FailureCode
from indexmill.errors import ItemError, JobNotFound
from indexmill.http.answers import json_answer
from indexmill.http.problems import RETRY_AFTER, Problem, ShapedRoute, WrongInput, problem_of

__all__ = ["ArtifactInvalid", "ArtifactProblem", "ArtifactRoute", "artifact_problems", "artifact_shape"]

#: Where it is not the document's own fault, or not that it cannot be read.
_STATUSES: Final = {
    FailureCode.SOURCE_FORBIDDEN: 403,
    FailureCode.TOO_LARGE: 413,
    FailureCode.TRIES_EXHAUSTED: 503,
}
_REALM: Final = 'realm="indexmill"'
_MEANINGS: Final = {
    400: "The request is not valid, or the document cannot be read; the answer says why.",
    403: "The source is not allowed: the answer names the setting that would allow it. Or the `Host` is foreign.",
    404: "There is no such task.",
    408: "The body did not arrive in time.",
    409: "The request contradicts what is stored, or a later request for the same document has won.",
    413: "The body or the document is larger than allowed.",
    503: "A part of the service does not answer; try again after `Retry-After` seconds.",
    504: "The document is still being indexed; the answer names the task to ask for.",
}


class ArtifactProblem(BaseModel):
    """One sentence that says what is wrong and what to do."""

    detail: str


class _Invalid(BaseModel):
    type: Literal["invalid_request_error"]
    message: str


class ArtifactInvalid(BaseModel):
    """Each input that is wrong."""

    type: Literal["error"]
    error: _Invalid
    detail: list[WrongInput]


def artifact_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an operation that can answer with these statuses."""
    return {
        status: {
            "model": ArtifactInvalid | ArtifactProblem if status == 400 else ArtifactProblem,
            "description": _MEANINGS[status],
        }
        for status in statuses
    }


def artifact_shape(problem: Problem) -> Response:
    """Contract: "request validation is HTTP 400"; everything else is one sentence."""
    if not problem.inputs:
        return json_answer({"detail": problem.message}, problem.status, problem.headers)
    body = {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": problem.message},
        "detail": problem.inputs,
    }
    return json_answer(body, 400 if problem.status == 422 else problem.status, problem.headers)


class ArtifactRoute(ShapedRoute):
    """A route of this door."""

    #: As its original, whose secret is the password.
    takes_basic = True

    @staticmethod
    def shape(problem: Problem) -> Response:
        return artifact_shape(problem)

    @staticmethod
    def problem(error: Exception) -> Problem | None:
        """As everywhere, but this door calls a job a task, and says at once what is known at once of a document."""
        if isinstance(error, JobNotFound):
            return Problem(404, "task_not_found", "Task with specified ID not found")
        if isinstance(error, ItemError):
            return document_problem(error.code, error.sentence)
        problem = problem_of(error)
        if problem is not None and problem.status == 401:
            # As its original says it; and what this service takes everywhere.
            return replace(problem, headers={"WWW-Authenticate": f'Basic {_REALM}, charset="UTF-8", Bearer {_REALM}'})
        return problem


def document_problem(code: FailureCode, sentence: str) -> Problem:
    """What a document that cannot be indexed is over HTTP."""
    status = _STATUSES.get(code, 400)
    return Problem(status, str(code), sentence, {"Retry-After": str(RETRY_AFTER)} if status == 503 else {})
