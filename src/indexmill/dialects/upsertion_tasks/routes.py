"""The five operations of front door 1, made once and served for every family of tasks under both prefixes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from indexmill.dialects.upsertion_tasks.errors import TaskInvalid, TaskProblem, TaskRoute
from indexmill.dialects.upsertion_tasks.paging import PAGE_HEADERS, page_headers
from indexmill.dialects.upsertion_tasks.translate import (
    FAILURE_BYTES,
    FailureBudget,
    deletion,
    states_of,
    task,
    upsertion,
)
from indexmill.dialects.upsertion_tasks.wire import (
    CREATED_EXAMPLE,
    DELETION_EXAMPLE,
    UPSERTION_EXAMPLE,
    DeletionRequest,
    DeletionTask,
    RunRequest,
    Task,
    TaskStatus,
    UpsertionRequest,
)
from indexmill.domain.failure import Failure
from indexmill.domain.job import Job, JobFilter, JobKind, JobPage, Submission
from indexmill.errors import InvalidRequest
from indexmill.http.answers import json_answer
from indexmill.http.body import BodyReader
from indexmill.http.fields import MAX_OFFSET, Identifier
from indexmill.http.openapi import ErrorModels, json_body, problems
from indexmill.http.service import Door

__all__ = ["PREFIXES", "task_routers"]

#: The documented paths have no prefix; the original serves them below /api/v1.
PREFIXES: Final = ("/internal", "/api/v1/internal")
_INFO_FAILURES: Final = 1000
_LIST_FAILURES: Final = 10
_ERRORS: Final = ErrorModels(TaskProblem, TaskInvalid)

TaskId = Annotated[
    Identifier,
    Query(
        description="The task's `task_id`, or the id it was given.", openapi_examples={"task": {"value": "upsert-001"}}
    ),
]
Force = Annotated[bool, Query(description="Embed again what is unchanged, too.")]
Offset = Annotated[int, Query(ge=0, le=MAX_OFFSET, description="Number of tasks to skip.")]
Limit = Annotated[int, Query(ge=1, le=1000, description="Maximum number of tasks to return.")]
Status = Annotated[TaskStatus | None, Query(description="Only tasks in this state.")]
After = Annotated[
    Identifier | None,
    Query(description="Continue after this task instead of at an offset: as fast on the last page as on the first."),
]


@dataclass(frozen=True)
class Family:
    """One kind of task: what is different between them, and nothing else is."""

    name: str
    kind: JobKind
    request: type[RunRequest]
    #: The field of the request that is the list.
    items: str
    submission: Callable[[Any, Any], Submission]
    answer: type[Task]
    example: dict[str, Any]
    created: dict[str, Any]
    creates: str


FAMILIES: Final = (
    Family(
        "upsertion",
        JobKind.UPSERTION,
        UpsertionRequest,
        "items",
        upsertion,
        Task,
        UPSERTION_EXAMPLE,
        CREATED_EXAMPLE,
        "Creates a task that inserts or updates vectors with one deployed model.",
    ),
    Family(
        "deletion",
        JobKind.DELETION,
        DeletionRequest,
        "object_ids",
        deletion,
        DeletionTask,
        DELETION_EXAMPLE,
        CREATED_EXAMPLE | {"id": "delete-001", "task_id": "delete-001", "removed_items": 0, "failed_item_ids": []},
        "Creates a task that removes objects. An object that is not there is no error.",
    ),
)


def task_routers(door: Door, bodies: BodyReader) -> list[APIRouter]:
    """Every family under every prefix."""
    return [_router(door, bodies, family, prefix) for prefix in PREFIXES for family in FAMILIES]


def _router(door: Door, bodies: BodyReader, family: Family, prefix: str) -> APIRouter:
    path = f"{prefix}/{family.name}-tasks"
    router = APIRouter(prefix=path, route_class=TaskRoute, tags=[f"{family.name} tasks"])
    names = _Names(family.name, twin=prefix != PREFIXES[0])
    tasks = _Tasks(door, family.kind)
    _add_run(router, bodies, family, tasks, names)
    _add_info(router, family, tasks, names)
    _add_list(router, family, tasks, names)
    _add_restart(router, family, tasks, names)
    _add_cancel(router, family, tasks, names)
    return router


@dataclass(frozen=True)
class _Names:
    family: str
    twin: bool

    def operation(self, verb: str, noun: str = "task") -> str:
        return f"{verb}_{self.family}_{noun}" + ("_api_v1" if self.twin else "")


@dataclass(frozen=True)
class _Tasks:
    """The engine's verbs for jobs of one kind. The methods without `async` run in a thread."""

    door: Door
    kind: JobKind

    async def answer(self, verb: Callable[..., Job], *args: Any, **kwargs: Any) -> Response:
        """The task that `verb` returns, with its failed items."""
        job, failures = await self.door.call(self._with_failures, verb, *args, **kwargs)
        return json_answer(task(job, failures, FailureBudget()))

    def _with_failures(self, verb: Callable[..., Job], *args: Any, **kwargs: Any) -> tuple[Job, list[Failure]]:
        job = verb(*args, **kwargs)
        if not job.counters.failed:
            return job, []
        return job, self.door.engine.failed_items(job, limit=_INFO_FAILURES, max_bytes=FAILURE_BYTES)

    async def submitted(self, submission: Submission, size: int) -> Response:
        """The submitted task; a small request is stored together with others that wait."""
        if not isinstance(submission.items, list):
            return await self.answer(lambda: self.door.engine.submit(submission).job)
        job = (await self.door.submit(submission, size)).job
        if job.counters.failed:
            return await self.answer(lambda: job)
        return json_answer(task(job, [], FailureBudget()))

    def find(self, task_id: str) -> Job:
        return self.door.engine.find(task_id, self.kind)

    def restart(self, task_id: str, force: bool) -> Job:
        return self.door.engine.restart(self.find(task_id), force=force)

    def cancel(self, task_id: str) -> Job:
        return self.door.engine.cancel(self.find(task_id))

    def page(
        self, wanted: JobFilter, limit: int, offset: int, after: str | None
    ) -> tuple[JobPage, list[dict[str, Any]]]:
        page = self.door.engine.list_jobs(wanted, limit=limit, offset=offset, after=after)
        failures = self.door.engine.failed_items_of(page.jobs, limit=_LIST_FAILURES)
        budget = FailureBudget()
        return page, [task(job, failures.get(job.id, []), budget) for job in page.jobs]


def _add_run(router: APIRouter, bodies: BodyReader, family: Family, tasks: _Tasks, names: _Names) -> None:
    @router.post(
        "/run",
        operation_id=names.operation("create"),
        summary=f"Create {_article(family.name)} {family.name} task",
        description=f"{family.creates} The task is durable when this answers; workers start on it at once. "
        "The same `task_id` with the same body answers the existing task, with another body 409.",
        response_model=family.answer,
        response_model_exclude_none=True,
        responses={
            200: {"content": {"application/json": {"examples": {"created": {"value": family.created}}}}},
            **problems(_ERRORS, 400, 403, 404, 408, 409, 413, 422, 503),
        },
        openapi_extra=json_body(family.request, family.example),
    )
    async def run(request: Request) -> Response:
        # The body is read here and not by FastAPI: limited while it streams, and validated once.
        async with bodies.read(request, family.request, family.items) as body:
            return await tasks.submitted(family.submission(body.value, body.items), body.size)


def _add_info(router: APIRouter, family: Family, tasks: _Tasks, names: _Names) -> None:
    @router.get(
        "/info",
        operation_id=names.operation("get"),
        summary=f"Get {_article(family.name)} {family.name} task",
        description="The task with its status, timestamps, counters, and the error report of each failed item.",
        response_model=family.answer,
        response_model_exclude_none=True,
        responses=problems(_ERRORS, 403, 404, 422, 503),
    )
    async def info(task_id: TaskId) -> Response:
        return await tasks.answer(tasks.find, task_id)


def _add_list(router: APIRouter, family: Family, tasks: _Tasks, names: _Names) -> None:
    @router.get(
        "/list",
        operation_id=names.operation("list", "tasks"),
        summary=f"List {family.name} tasks",
        description="A page of tasks, newest first. `X-Total-Count` counts all that match (`10000+` beyond 10,000); "
        "`Link` names the next, previous and first page. Use either `offset` or `after`.",
        response_model=list[family.answer],  # type: ignore[name-defined]  # a class that is only known here
        response_model_exclude_none=True,
        responses={200: {"headers": PAGE_HEADERS}, **problems(_ERRORS, 403, 404, 422, 503)},
    )
    async def list_tasks(
        request: Request, offset: Offset = 0, limit: Limit = 100, status: Status = None, after: After = None
    ) -> Response:
        if after is not None and offset:
            raise InvalidRequest("expected either `offset` or `after`, got both")
        states = states_of(status) if status is not None else ()
        wanted = JobFilter(kinds=(tasks.kind,), states=states)
        page, shown = await tasks.door.call(tasks.page, wanted, limit, offset, after)
        return json_answer(shown, headers=page_headers(request, page, offset=offset, limit=limit, after=after))


def _add_restart(router: APIRouter, family: Family, tasks: _Tasks, names: _Names) -> None:
    @router.put(
        "/restart",
        operation_id=names.operation("restart"),
        summary=f"Restart {_article(family.name)} {family.name} task",
        description="A task that is done without failures runs again as a whole, skipping what is unchanged unless "
        "`force` is true. One with failed or unprocessed items retries these, at its old place in the order. "
        "An unfinished task is answered unchanged. 409 where the items are no longer kept.",
        response_model=family.answer,
        response_model_exclude_none=True,
        responses=problems(_ERRORS, 403, 404, 409, 422, 503),
    )
    async def restart(task_id: TaskId, force: Force = False) -> Response:
        return await tasks.answer(tasks.restart, task_id, force)


def _add_cancel(router: APIRouter, family: Family, tasks: _Tasks, names: _Names) -> None:
    @router.put(
        "/cancel",
        operation_id=names.operation("cancel"),
        summary=f"Cancel {_article(family.name)} {family.name} task",
        description="An unfinished task is canceled at once: after this answer nothing of it is written. "
        "A finished task is answered unchanged.",
        response_model=family.answer,
        response_model_exclude_none=True,
        responses=problems(_ERRORS, 403, 404, 422, 503),
    )
    async def cancel(task_id: TaskId) -> Response:
        return await tasks.answer(tasks.cancel, task_id)


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"
