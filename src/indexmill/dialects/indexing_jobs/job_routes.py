"""The routes of indexing jobs: started, followed source by source, cancelled, and their report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.responses import StreamingResponse

from indexmill.dialects.indexing_jobs.errors import PREFIX, indexing_problems, not_found
from indexmill.dialects.indexing_jobs.paging import PageNumber, PerPage, page_of
from indexmill.dialects.indexing_jobs.report import COLUMNS, csv_pieces, next_rows
from indexmill.dialects.indexing_jobs.requests import EXAMPLE_UUID, START_EXAMPLE, NamedJobBody, StartJobBody
from indexmill.dialects.indexing_jobs.responses import (
    IndexedDataSourceList,
    IndexingJobAnswer,
    IndexingJobList,
    SignedUrl,
)
from indexmill.dialects.indexing_jobs.translate import job_view, source_run_view
from indexmill.domain.identifier import parse_job_id
from indexmill.domain.knowledge_base import IndexingJob
from indexmill.domain.principal import Principal, Role
from indexmill.http.answers import json_answer
from indexmill.http.auth import Need, gate_of, needs
from indexmill.http.body import BodyReader
from indexmill.http.identity import as_sent
from indexmill.http.links import MakeLink
from indexmill.http.openapi import json_body
from indexmill.http.problems import Problem, ProblemError
from indexmill.http.service import Door
from indexmill.security.signed_urls import LinkPurpose, UrlSigner

__all__ = ["REPORT_LIFE", "BaseId", "add_jobs"]

#: How long the address of a report works.
REPORT_LIFE: Final = timedelta(hours=1)
BaseId = Annotated[
    str,
    Path(
        description="The knowledge base's uuid.",
        openapi_examples={"knowledge base": {"value": EXAMPLE_UUID}},
    ),
]
JobId = Annotated[
    str,
    Path(description="The job's uuid.", openapi_examples={"job": {"value": EXAMPLE_UUID}}),
]
_CSV: Final = {
    "description": f"A row a file: {', '.join(COLUMNS)}.",
    "content": {"text/csv": {"schema": {"type": "string"}}},
}


def add_jobs(router: APIRouter, door: Door, bodies: BodyReader, signer: UrlSigner, link: MakeLink) -> None:
    _add_start(router, door, bodies)
    _add_lists(router, door, link)
    _add_reads(router, door)
    _add_cancel(router, door, bodies)
    _add_report(router, door, signer, link)


def _job_id(reference: str) -> UUID:
    """
    Raises:
        ProblemError: 404; what is no id names no job.
    """
    job = parse_job_id(reference)
    if job is None:
        raise ProblemError(not_found("Job with ID", reference))
    return job


def _answer(job: IndexingJob) -> Response:
    return json_answer({"job": job_view(job)})


def _add_start(router: APIRouter, door: Door, bodies: BodyReader) -> None:
    @router.post(
        f"{PREFIX}/indexing_jobs",
        operation_id="create_indexing_job",
        summary="Bring a knowledge base in step with its data sources",
        description="All of them, or those of `data_source_uuids`. Only what has changed is embedded. A knowledge base "
        "has one such job at a time: while it runs, another is a 400 that names it.",
        response_model=IndexingJobAnswer,
        responses=indexing_problems(400, 403, 404, 408, 413, 503),
        openapi_extra=json_body(StartJobBody, START_EXAMPLE),
    )
    async def create(request: Request) -> Response:
        async with bodies.read(request, StartJobBody) as body:
            wanted = body.value
        sources = wanted.data_source_uuids or None
        return _answer(await door.call(door.knowledge_bases.start, wanted.knowledge_base_uuid, sources))


def _add_lists(router: APIRouter, door: Door, link: MakeLink) -> None:
    async def page_of_jobs(request: Request, page: int | None, per_page: int | None, base: UUID | None) -> Response:
        wanted = page_of(page, per_page)
        found, total = await door.call(door.knowledge_bases.jobs, wanted.size, wanted.offset, base)
        return json_answer({"jobs": [job_view(each) for each in found], **wanted.answer(request, total, link)})

    @router.get(
        f"{PREFIX}/indexing_jobs",
        operation_id="list_indexing_jobs",
        summary="List the indexing jobs of all knowledge bases, newest first",
        response_model=IndexingJobList,
        responses=indexing_problems(400, 403, 503),
    )
    async def list_jobs(request: Request, page: PageNumber = None, per_page: PerPage = None) -> Response:
        return await page_of_jobs(request, page, per_page, None)

    @router.get(
        f"{PREFIX}/knowledge_bases/{{uuid}}/indexing_jobs",
        operation_id="list_indexing_jobs_of_knowledge_base",
        summary="List the indexing jobs of a knowledge base, newest first",
        response_model=IndexingJobList,
        responses=indexing_problems(400, 403, 404, 503),
    )
    async def list_jobs_of(
        request: Request, uuid: BaseId, page: PageNumber = None, per_page: PerPage = None
    ) -> Response:
        try:
            base = UUID(uuid)
        except ValueError as error:
            raise ProblemError(not_found("Knowledge base", uuid)) from error
        return await page_of_jobs(request, page, per_page, base)


def _add_reads(router: APIRouter, door: Door) -> None:
    @router.get(
        f"{PREFIX}/indexing_jobs/{{uuid}}",
        operation_id="get_indexing_job",
        summary="How an indexing job goes",
        response_model=IndexingJobAnswer,
        responses=indexing_problems(403, 404, 503),
    )
    async def get(uuid: JobId) -> Response:
        return _answer(await door.call(door.knowledge_bases.job, _job_id(uuid)))

    @router.get(
        f"{PREFIX}/indexing_jobs/{{uuid}}/data_sources",
        operation_id="list_indexed_data_sources",
        summary="How an indexing job goes, source by source",
        response_model=IndexedDataSourceList,
        responses=indexing_problems(403, 404, 503),
    )
    async def data_sources(uuid: JobId) -> Response:
        found = await door.call(door.knowledge_bases.job, _job_id(uuid))
        return json_answer({"indexed_data_sources": [source_run_view(run) for run in found.runs]})


def _add_cancel(router: APIRouter, door: Door, bodies: BodyReader) -> None:
    extra: dict[str, Any] = json_body(NamedJobBody, {})
    extra["requestBody"]["required"] = False

    @router.put(
        f"{PREFIX}/indexing_jobs/{{uuid}}/cancel",
        operation_id="cancel_indexing_job",
        summary="Cancel an indexing job",
        description="It is cancelled when this answers: nothing of it is written any more. What is indexed stays. "
        "A job that has ended is answered as it is.",
        response_model=IndexingJobAnswer,
        responses=indexing_problems(400, 403, 404, 408, 413, 503),
        openapi_extra=extra,
    )
    async def cancel(request: Request, uuid: JobId) -> Response:
        job = _job_id(uuid)
        named = await _named_job(bodies, request)
        if named not in (None, job):
            message = f"uuid: expected `{job}`, the job of the path, or nothing, got `{named}`"
            raise ProblemError(Problem(400, "bad_request", message))
        return _answer(await door.call(door.knowledge_bases.cancel, job))


async def _named_job(bodies: BodyReader, request: Request) -> UUID | None:
    """The job that the body names, if there is a body."""
    try:
        async with bodies.read(request, NamedJobBody) as body:
            return body.value.uuid
    except RequestValidationError as error:
        if [each["type"] for each in error.errors()] == ["missing"]:
            return None
        raise


def _add_report(router: APIRouter, door: Door, signer: UrlSigner, link: MakeLink) -> None:
    @router.get(
        f"{PREFIX}/indexing_jobs/{{uuid}}/details_signed_url",
        operation_id="get_indexing_job_report_url",
        summary="The address of a job's report",
        description="It works for an hour, for whoever has it, and leads to a CSV with a row a file.",
        response_model=SignedUrl,
        responses=indexing_problems(403, 404, 503),
    )
    async def signed_url(request: Request, uuid: JobId) -> Response:
        job = _job_id(uuid)
        found = await door.call(door.knowledge_bases.job, job)
        if not found.has_report:
            message = f"The report of job `{job}` is not there: `is_report_available` says when there is one"
            raise ProblemError(Problem(404, "not_found", message))
        path = f"{PREFIX}/indexing_jobs/{job}/report.csv"
        query = signer.sign(
            LinkPurpose.REPORT, path, datetime.now(UTC) + REPORT_LIFE, {"tenant": str(found.job.tenant)}
        )
        return json_answer({"signed_url": link(request, path, query)})

    @router.get(
        f"{PREFIX}/indexing_jobs/{{uuid}}/report.csv",
        operation_id="get_indexing_job_report",
        summary="A job's report",
        description="By the address that `details_signed_url` gives. Cells that a spreadsheet would compute begin with "
        "an apostrophe.",
        response_class=Response,
        responses={200: _CSV, **indexing_problems(403, 404, 503)},
    )
    @needs(Need.PUBLIC)
    async def report(request: Request, uuid: JobId) -> Response:
        signed = signer.verify(LinkPurpose.REPORT, *as_sent(request))
        await gate_of(request).enter(request, Principal(int(signed["tenant"]), Role.READ, "report link"))
        job = _job_id(uuid)
        rows = await door.call(door.knowledge_bases.report_rows, job)
        first = await door.call(next_rows, rows)
        headers = {
            "Content-Disposition": f'attachment; filename="indexing-job-{job}.csv"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
        return StreamingResponse(csv_pieces(door, rows, first), media_type="text/csv", headers=headers)
