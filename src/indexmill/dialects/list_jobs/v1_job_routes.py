"""The first version's routes of jobs: the list of all of them, and those that change a whole corpus."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, Response

from indexmill.dialects.list_jobs.caller import check_customer, tenant_of
from indexmill.dialects.list_jobs.errors import v1_problems
from indexmill.dialects.list_jobs.listing import JobListing, JobPage, oldest_listed, seconds_at, wire_id
from indexmill.dialects.list_jobs.proto_json import message_answer, read_message
from indexmill.dialects.list_jobs.states import states_named
from indexmill.dialects.list_jobs.v1_translate import job_list, new_attributes
from indexmill.dialects.list_jobs.v1_wire import (
    CorpusRequest,
    JobList,
    ListJobsRequest,
    ReplaceAttributesRequest,
    StartedJob,
)
from indexmill.dialects.list_jobs.verbs import CorpusVerbs
from indexmill.domain.job import Job, JobWalk
from indexmill.domain.job_state import OPEN_STATES, JobState
from indexmill.errors import InvalidRequest
from indexmill.http.auth import Need, needs
from indexmill.http.body import BodyReader
from indexmill.http.openapi import json_body
from indexmill.http.service import Door
from indexmill.security.page_keys import PageKeys

__all__ = ["add_v1_jobs", "corpus_number"]

MAX_JOBS: Final = 100
#: The year 9999: later times are no dates.
_LATEST: Final = 253_370_764_800


def add_v1_jobs(router: APIRouter, door: Door, bodies: BodyReader, verbs: CorpusVerbs, keys: PageKeys) -> None:
    _add_list(router, door, bodies, keys)
    _add_changes(router, door, bodies, verbs)


def corpus_number(number: int) -> int:
    """
    Raises:
        InvalidRequest: none was given.
    """
    if number < 1:
        raise InvalidRequest(f"corpusId: expected the number of a corpus, got {number}")
    return number


class _Jobs:
    """Jobs as the first version asks for them. Runs in a thread."""

    def __init__(self, door: Door, keys: PageKeys) -> None:
        self._listing = JobListing("v1 jobs", door, keys)
        self._active_only = door.service.settings.list_jobs.default_states == "active"

    def list(self, tenant: int, wanted: ListJobsRequest) -> JobPage:
        if wanted.page_key:
            return self._listing.next(tenant, wanted.page_key)
        return self._listing.first(self._walk(tenant, wanted), _limit(wanted))

    def _walk(self, tenant: int, wanted: ListJobsRequest) -> JobWalk:
        since, oldest = wanted.epoch_secs, oldest_listed()
        return JobWalk(
            tenant,
            ids=self._listing.id_of(wanted.job_id) if wanted.job_id else None,
            collections=tuple(wanted.corpus_id) if wanted.corpus_id else None,
            states=self._states(wanted),
            created_from=seconds_at(max(oldest, min(since, _LATEST))),
        )

    def _states(self, wanted: ListJobsRequest) -> tuple[JobState, ...] | None:
        """The documentation has it both ways for jobs that are asked for without a state; whoever polls one job by its
        id needs to see it completed.
        """
        if wanted.state:
            return states_named(wanted.state)
        if wanted.job_id or not self._active_only:
            return None
        return tuple(sorted(OPEN_STATES))


def _limit(wanted: ListJobsRequest) -> int:
    if wanted.num_results is None:
        return MAX_JOBS
    if wanted.num_results < 1:
        raise InvalidRequest(f"numResults: expected at least 1, got {wanted.num_results}")
    return min(wanted.num_results, MAX_JOBS)


def _add_list(router: APIRouter, door: Door, bodies: BodyReader, keys: PageKeys) -> None:
    jobs = _Jobs(door, keys)

    @router.post(
        "/v1/list-jobs",
        operation_id="v1_list_jobs",
        summary="List jobs of every door, newest first",
        description="Fields that are not set do not filter; the setting `list_jobs.default_states` may leave ended "
        "jobs out where neither `state` nor `jobId` is set. `pageKey` of an answer is that of the next request, which "
        "then needs nothing else; it is empty on the last page.",
        response_model=JobList,
        responses=v1_problems(),
        openapi_extra=json_body(ListJobsRequest, {"corpusId": [12], "state": ["JOB_STATE__COMPLETED"]}),
    )
    @needs(Need.READ)
    async def list_jobs(request: Request) -> Response:
        check_customer(request)
        wanted = await read_message(bodies, request, ListJobsRequest)
        return message_answer(job_list(await door.call(jobs.list, tenant_of(request), wanted)))


def _add_changes(router: APIRouter, door: Door, bodies: BodyReader, verbs: CorpusVerbs) -> None:
    def replace(wanted: ReplaceAttributesRequest) -> Job:
        attributes = new_attributes(wanted.filter_attributes)
        return verbs.replace_attributes(verbs.get(corpus_number(wanted.corpus_id)).key, attributes)

    def rebuild(wanted: CorpusRequest) -> Job:
        return verbs.rebuild(verbs.get(corpus_number(wanted.corpus_id)).key)

    @router.post(
        "/v1/replace-corpus-filter-attrs",
        operation_id="v1_replace_corpus_filter_attrs",
        summary="Replace the filter attributes of a corpus",
        description="All of them, by a job: until it has completed filters work by the old ones. Values that do not "
        "fit are failed items of the job, and stay in the metadata.",
        response_model=StartedJob,
        responses=v1_problems(404, 409),
        openapi_extra=json_body(ReplaceAttributesRequest, {"corpusId": 12, "filterAttributes": []}),
    )
    async def replace_attributes(request: Request) -> Response:
        check_customer(request)
        wanted = await read_message(bodies, request, ReplaceAttributesRequest)
        return message_answer(StartedJob(job_id=wire_id((await door.call(replace, wanted)).id)))

    @router.post(
        "/v1/rebuild-corpus-vector-index",
        operation_id="v1_rebuild_corpus_vector_index",
        summary="Build the vector index of a corpus anew",
        description="By a job, beside the one that is there; it takes its place where it finds as well. Not in the "
        "original API, which has such jobs and no call that starts one.",
        response_model=StartedJob,
        responses=v1_problems(404, 409),
        openapi_extra=json_body(CorpusRequest, {"corpusId": 12}),
    )
    async def rebuild_index(request: Request) -> Response:
        wanted = await read_message(bodies, request, CorpusRequest)
        check_customer(request, wanted.customer_id)
        return message_answer(StartedJob(job_id=wire_id((await door.call(rebuild, wanted)).id)))
