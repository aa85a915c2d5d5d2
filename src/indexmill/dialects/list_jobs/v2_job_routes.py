"""The second version's routes of jobs: listed, read, cancelled, retried, and what failed in them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import StringConstraints

from indexmill.dialects.list_jobs.caller import tenant_of
from indexmill.dialects.list_jobs.errors import v2_problems
from indexmill.dialects.list_jobs.listing import JobListing, oldest_listed, seconds_at
from indexmill.dialects.list_jobs.paging import Paging
from indexmill.dialects.list_jobs.states import V2_STATES, states_named
from indexmill.dialects.list_jobs.v2_translate import failed_document_view, job_list, job_view
from indexmill.dialects.list_jobs.v2_wire import MAX_CORPORA, FailedDocumentList, JobList, JobView
from indexmill.domain.failure import Failure
from indexmill.domain.job import Job, JobWalk
from indexmill.engine import Engine
from indexmill.http.answers import json_answer
from indexmill.http.fields import Identifier
from indexmill.http.service import Door
from indexmill.security.page_keys import PageKeys

__all__ = ["PageKey", "add_v2_jobs"]

PageKey = Annotated[
    str | None, Query(max_length=32_768, description="Of the page before; all other parameters are then ignored.")
]
JobId = Annotated[
    Identifier,
    Path(
        description="`job_` and the id; every other door's form of it, too.",
        openapi_examples={"job": {"value": "job_0192e4a1-7c3b-7def-8a90-1b2c3d4e5f60"}},
    ),
]
CorpusKeys = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]] | None,
    Query(description="Jobs of any of these corpora.", max_length=MAX_CORPORA),
]
States = Annotated[list[Literal[V2_STATES]] | None, Query(description="Jobs in any of these states.", max_length=64)]  # type: ignore[valid-type]  # the table's own names
After = Annotated[
    datetime | None, Query(description="Created since then (RFC 3339); 180 days ago where it is longer ago.")
]
Limit = Annotated[int, Query(ge=1, le=100)]


def add_v2_jobs(router: APIRouter, door: Door, keys: PageKeys) -> None:
    jobs = _Jobs(door, keys)
    _add_list(router, door, jobs)
    _add_reads(router, door, jobs)
    _add_changes(router, door, jobs)


class _Jobs:
    """Jobs as the second version asks for them. Runs in a thread."""

    def __init__(self, door: Door, keys: PageKeys) -> None:
        self._door = door
        self._keys = keys
        self.listing = JobListing("v2 jobs", door, keys)

    @property
    def _engine(self) -> Engine:
        return self._door.engine

    def get(self, reference: str) -> dict[str, Any]:
        return self._view(self._engine.find(reference))

    def cancel(self, reference: str) -> dict[str, Any]:
        return self._view(self._engine.cancel(self._engine.find(reference)))

    def retry(self, reference: str) -> dict[str, Any]:
        return self._view(self._engine.retry(self._engine.find(reference)))

    def _view(self, job: Job) -> dict[str, Any]:
        return job_view(job, self.listing.details_of([job]).get(job.id))

    def failed(self, reference: str, tenant: int, limit: int, page_key: str | None) -> dict[str, Any]:
        job = self._engine.find(reference)

        def read(said: dict[str, Any]) -> list[Failure]:
            after = said["after"] if said["after"] is not None else -1
            return self._engine.failed_items(job, limit=said["limit"], after_position=after)

        # Its keys are good for this job alone.
        paging = Paging(self._keys, f"v2 failed documents {job.id}")
        shown, key = paging.page(tenant, page_key, {"limit": limit}, read, lambda last: last.position)
        views = [failed_document_view(each) for each in shown]
        return {"failed_documents": views, "metadata": {"page_key": key}}


def _since(after: datetime | None) -> datetime:
    oldest = seconds_at(oldest_listed())
    if after is None:
        return oldest
    return max(oldest, after if after.tzinfo is not None else after.replace(tzinfo=UTC))


def _add_list(router: APIRouter, door: Door, jobs: _Jobs) -> None:
    @router.get(
        "/v2/jobs",
        operation_id="v2_list_jobs",
        summary="List jobs of every door, newest first",
        description="Every given parameter must hold.",
        response_model=JobList,
        responses=v2_problems(),
    )
    async def list_jobs(
        request: Request,
        *,
        corpus_key: CorpusKeys = None,
        after: After = None,
        state: States = None,
        limit: Limit = 10,
        page_key: PageKey = None,
    ) -> Response:
        tenant = tenant_of(request)
        if page_key:
            return json_answer(job_list(await door.call(jobs.listing.next, tenant, page_key)))
        wanted = JobWalk(
            tenant,
            collections=tuple(corpus_key) if corpus_key else None,
            states=states_named(state) if state else None,
            created_from=_since(after),
        )
        return json_answer(job_list(await door.call(jobs.listing.first, wanted, limit)))


def _add_reads(router: APIRouter, door: Door, jobs: _Jobs) -> None:
    @router.get(
        "/v2/jobs/{job_id}",
        operation_id="v2_get_job",
        summary="How a job goes",
        response_model=JobView,
        responses=v2_problems(404),
    )
    async def get(job_id: JobId) -> Response:
        return json_answer(await door.call(jobs.get, job_id))

    @router.get(
        "/v2/jobs/{job_id}/failed_documents",
        operation_id="v2_list_failed_documents",
        summary="Which documents of a job have failed, and why",
        description="Not in the original API.",
        response_model=FailedDocumentList,
        responses=v2_problems(404),
    )
    async def failed(request: Request, job_id: JobId, limit: Limit = 10, page_key: PageKey = None) -> Response:
        return json_answer(await door.call(jobs.failed, job_id, tenant_of(request), limit, page_key))


def _add_changes(router: APIRouter, door: Door, jobs: _Jobs) -> None:
    @router.post(
        "/v2/jobs/{job_id}/cancel",
        operation_id="v2_cancel_job",
        summary="Cancel a job",
        description="After this answer nothing of the job is written. An ended job is answered as it is. Not in the "
        "original API.",
        response_model=JobView,
        responses=v2_problems(404, 409),
    )
    async def cancel(job_id: JobId) -> Response:
        return json_answer(await door.call(jobs.cancel, job_id))

    @router.post(
        "/v2/jobs/{job_id}/retry",
        operation_id="v2_retry_job",
        summary="Try again what has failed in a job",
        description="At its old place in the order: it overwrites nothing that was given later. Any other job is "
        "answered as it is. Not in the original API.",
        response_model=JobView,
        responses=v2_problems(404, 409),
    )
    async def retry(job_id: JobId) -> Response:
        return json_answer(await door.call(jobs.retry, job_id))
