"""The error shapes of front door 1: `{"detail": "..."}`, and FastAPI's list of inputs for a 422."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from indexmill.errors import JobNotFound
from indexmill.http.answers import json_answer
from indexmill.http.problems import Problem, ShapedRoute, WrongInput, problem_of

__all__ = ["TaskInvalid", "TaskProblem", "TaskRoute", "task_shape"]


class TaskProblem(BaseModel):
    """One sentence that says what is wrong and what to do."""

    model_config = ConfigDict(json_schema_extra={"example": {"detail": "Task with ID `upsert-001` not found"}})

    detail: str


class TaskInvalid(BaseModel):
    """Each input that is wrong."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "detail": [
                    {
                        "type": "string_type",
                        "loc": ["body", "items", 0, "object_id"],
                        "msg": "Input should be a valid string",
                        "input": 7,
                    }
                ]
            }
        }
    )

    detail: list[WrongInput]


def task_shape(problem: Problem) -> Response:
    detail: Any = problem.inputs or problem.message
    return json_answer({"detail": detail}, problem.status, problem.headers)


class TaskRoute(ShapedRoute):
    """A route of this door."""

    @staticmethod
    def shape(problem: Problem) -> Response:
        return task_shape(problem)

    @staticmethod
    def problem(error: Exception) -> Problem | None:
        """As everywhere, but this door calls a job a task."""
        if isinstance(error, JobNotFound):
            return Problem(404, "task_not_found", f"Task with ID `{error.reference}` not found")
        return problem_of(error)
