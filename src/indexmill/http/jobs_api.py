"""The native API of the ledger: every job of every door, listed, explained, cancelled, retried, rerun and deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Response
from pydantic import AwareDatetime, BaseModel, Field

from indexmill.domain.job import Job, JobFilter, JobKind, JobPage
from indexmill.domain.job_state import TERMINAL_STATES, JobState
from indexmill.errors import InvalidRequest
from indexmill.http.answers import json_answer
from indexmill.http.auth import Need, needs
from indexmill.http.fields import MAX_OFFSET, Identifier
from indexmill.http.jobs_wire import (
    DeletedView,
    FailedItemPage,
    JobDetailView,
    JobPageView,
    JobView,
    event_view,
    failed_item_view,
    job_view,
)
from indexmill.http.openapi import NATIVE_ERRORS, problems
from indexmill.http.problems import NativeRoute
from indexmill.http.service import Door

__all__ = ["jobs_router"]

_FAILURE_BYTES: Final = 4 * 1024 * 1024
_MAX_POSITION: Final = 2**31 - 1

# A path parameter: a caller's id may hold slashes.
JobId = Annotated[
    Identifier,
    Path(
        description="The job's id in any door's form, or the id that the caller gave it.",
        openapi_examples={"job": {"value": "upsert-001"}},
    ),
]
Limit = Annotated[int, Query(ge=1, le=1000, description="Maximum number of failed items to return.")]
AfterPosition = Annotated[int, Query(ge=-1, le=_MAX_POSITION, description="The `next` of the page before.")]
Force = Annotated[bool, Query(description="Embed again what is unchanged, too.")]


class JobQuery(BaseModel):
    """Which jobs; every given condition must hold."""

    state: list[JobState] = Field(default=[], description="Jobs in one of these states.", max_length=8)
    kind: list[JobKind] = Field(default=[], description="Jobs of one of these kinds.", max_length=8)
    collection: Identifier | None = Field(default=None, description="Jobs that write to this collection.")
    model: Identifier | None = Field(default=None, description="Jobs of this embedding model.")
    created_from: AwareDatetime | None = Field(default=None, description="RFC 3339 with a time zone; inclusive.")
    created_before: AwareDatetime | None = Field(default=None, description="RFC 3339 with a time zone; exclusive.")

    def wanted(self) -> JobFilter:
        return JobFilter(
            states=tuple(self.state),
            kinds=tuple(self.kind),
            collection=self.collection,
            model=self.model,
            created_from=self.created_from,
            created_before=self.created_before,
        )


class JobPageQuery(JobQuery):
    """Which page of these jobs."""

    limit: int = Field(default=100, ge=1, le=1000, description="Maximum number of jobs to return.")
    offset: int = Field(default=0, ge=0, le=MAX_OFFSET, description="Number of jobs to skip; slower the deeper.")
    after: Identifier | None = Field(default=None, description="The `next` of the page before; instead of `offset`.")


def jobs_router(door: Door) -> APIRouter:
    router = APIRouter(prefix="/jobs", route_class=NativeRoute, tags=["jobs"])
    _add_listing(router, door)
    _add_deletion(router, door)
    # Before `GET /jobs/{id}`, whose id takes everything that follows.
    _add_failed_items(router, door)
    _add_verbs(router, door)
    _add_job(router, door)
    return router


def _page_view(page: JobPage) -> dict[str, Any]:
    return {
        "jobs": [job_view(job) for job in page.jobs],
        "total": page.total,
        "total_is_exact": page.total_is_exact,
        "next": str(page.jobs[-1].id) if page.has_more and page.jobs else None,
    }


def _add_listing(router: APIRouter, door: Door) -> None:
    @router.get(
        "",
        operation_id="list_jobs",
        summary="List jobs",
        description="Newest first. `next` of one page is `after` of the following one. `total` counts to 10,000.",
        response_model=JobPageView,
        responses=problems(NATIVE_ERRORS, 403, 404, 422, 503),
    )
    async def list_jobs(query: Annotated[JobPageQuery, Query()]) -> Response:
        if query.after is not None and query.offset:
            raise InvalidRequest("expected either `offset` or `after`, got both")
        page = await door.call(
            door.engine.list_jobs, query.wanted(), limit=query.limit, offset=query.offset, after=query.after
        )
        return json_answer(_page_view(page))


def _add_deletion(router: APIRouter, door: Door) -> None:
    @router.delete(
        "",
        operation_id="delete_finished_jobs",
        summary="Delete finished jobs",
        description="Deletes the ended jobs that match, with their failed items and events; what they indexed stays. "
        "At least `state` or `created_before` is needed, so that nothing is deleted by leaving something out.",
        response_model=DeletedView,
        responses=problems(NATIVE_ERRORS, 403, 422, 503),
    )
    @needs(Need.ADMIN)
    async def delete_finished(query: Annotated[JobQuery, Query()]) -> Response:
        if not query.state and query.created_before is None:
            raise InvalidRequest("expected at least `state` or `created_before`, got neither")
        open_states = sorted(set(query.state) - TERMINAL_STATES)
        if open_states:
            ended = ", ".join(sorted(TERMINAL_STATES))
            raise InvalidRequest(f"state: expected ended states ({ended}), got {', '.join(open_states)}")
        return json_answer({"deleted": await door.call(door.engine.delete_finished, query.wanted())})


def _add_failed_items(router: APIRouter, door: Door) -> None:
    def page_of(reference: str, limit: int, after: int) -> dict[str, Any]:
        job = door.engine.find(reference)
        # One more than asked for says whether there is another page.
        failures = door.engine.failed_items(job, limit=limit + 1, after_position=after, max_bytes=_FAILURE_BYTES)
        shown = failures[:limit]
        # The size may have ended the page early: what follows it decides.
        more = len(failures) > limit or (bool(shown) and _remain(door, job, shown[-1].position))
        return {
            "failed_items": [failed_item_view(each) for each in shown],
            "next": shown[-1].position if more else None,
        }

    @router.get(
        "/{job_id:path}/failed-items",
        operation_id="list_failed_items",
        summary="List the failed items of a job",
        description="By position in the request; a page has at most 4 MiB.",
        response_model=FailedItemPage,
        responses=problems(NATIVE_ERRORS, 403, 404, 422, 503),
    )
    async def failed_items(job_id: JobId, limit: Limit = 100, after: AfterPosition = -1) -> Response:
        return json_answer(await door.call(page_of, job_id, limit, after))


def _remain(door: Door, job: Job, position: int) -> bool:
    return bool(door.engine.failed_items(job, limit=1, after_position=position))


def _add_verbs(router: APIRouter, door: Door) -> None:
    def on_found(reference: str, verb: Callable[..., Job], **options: Any) -> Job:
        return verb(door.engine.find(reference), **options)

    @router.post(
        "/{job_id:path}/cancel",
        operation_id="cancel_job",
        summary="Cancel a job",
        description="After this answer nothing of the job is written. An ended job is answered unchanged. A `cleanup`, "
        "which removes the documents of a deleted data source, cannot be cancelled.",
        response_model=JobView,
        responses=problems(NATIVE_ERRORS, 403, 404, 409, 422, 503),
    )
    async def cancel(job_id: JobId) -> Response:
        return json_answer(job_view(await door.call(on_found, job_id, door.engine.cancel)))

    @router.post(
        "/{job_id:path}/retry",
        operation_id="retry_job",
        summary="Retry what failed",
        description="Reopens the failed and unfinished items of an ended job, at its old place in the order: "
        "it never overwrites what was submitted later. Any other job is answered unchanged.",
        response_model=JobView,
        responses=problems(NATIVE_ERRORS, 403, 404, 409, 422, 503),
    )
    async def retry(job_id: JobId) -> Response:
        return json_answer(job_view(await door.call(on_found, job_id, door.engine.retry)))

    @router.post(
        "/{job_id:path}/rerun",
        operation_id="rerun_job",
        summary="Run a succeeded job again",
        description="All items again, as if submitted now; unchanged ones are skipped unless `force` is true. "
        "A job that has not succeeded is answered unchanged.",
        response_model=JobView,
        responses=problems(NATIVE_ERRORS, 403, 404, 409, 422, 503),
    )
    async def rerun(job_id: JobId, force: Force = False) -> Response:
        return json_answer(job_view(await door.call(on_found, job_id, door.engine.rerun, force=force)))


def _add_job(router: APIRouter, door: Door) -> None:
    def detail_of(reference: str) -> dict[str, Any]:
        job = door.engine.find(reference)
        return {**job_view(job), "events": [event_view(each) for each in door.engine.events(job)]}

    @router.get(
        "/{job_id:path}",
        operation_id="get_job",
        summary="Get a job",
        description="The job with its counters and every transition it made.",
        response_model=JobDetailView,
        responses=problems(NATIVE_ERRORS, 403, 404, 422, 503),
    )
    async def get_job(job_id: JobId) -> Response:
        return json_answer(await door.call(detail_of, job_id))
