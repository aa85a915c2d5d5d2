"""The first version's routes of corpora: made, read, listed, emptied and deleted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter, Request, Response

from indexmill.dialects.list_jobs.caller import check_customer, tenant_of
from indexmill.dialects.list_jobs.deadlines import in_time
from indexmill.dialects.list_jobs.errors import seconds_of, v1_problems
from indexmill.dialects.list_jobs.paging import Paging
from indexmill.dialects.list_jobs.proto_json import message_answer, read_message
from indexmill.dialects.list_jobs.v1_job_routes import corpus_number
from indexmill.dialects.list_jobs.v1_translate import attribute_view, corpus_view, new_attributes
from indexmill.dialects.list_jobs.v1_wire import (
    CorpusInfo,
    CorpusRequest,
    CorpusSize,
    CorpusStatus,
    CreateCorpusRequest,
    CreatedCorpus,
    ListCorporaRequest,
    ListedCorpora,
    ReadCorpora,
    ReadCorpusRequest,
    Status,
)
from indexmill.dialects.list_jobs.verbs import CorpusVerbs
from indexmill.domain.corpus import Corpus
from indexmill.errors import InvalidRequest
from indexmill.http.auth import Need, needs
from indexmill.http.body import BodyReader
from indexmill.http.openapi import json_body
from indexmill.http.service import Door
from indexmill.security.page_keys import PageKeys

__all__ = ["add_v1_corpora", "page_limit"]

_MAX_CORPORA: Final = 1000


def page_limit(given: int | None, default: int, most: int) -> int:
    """
    Raises:
        InvalidRequest: below 1.
    """
    if given is not None and given < 1:
        raise InvalidRequest(f"numResults: expected at least 1, got {given}")
    return min(given if given is not None else default, most)


def add_v1_corpora(router: APIRouter, door: Door, bodies: BodyReader, verbs: CorpusVerbs, keys: PageKeys) -> None:
    corpora = _Corpora(verbs, keys)
    _add_create(router, door, bodies, corpora)
    _add_reads(router, door, bodies, corpora)
    _add_ends(router, door, bodies, corpora)


class _Corpora:
    """The verbs as these routes need them. Runs in a thread."""

    def __init__(self, verbs: CorpusVerbs, keys: PageKeys) -> None:
        self._verbs = verbs
        self._paging = Paging(keys, "v1 corpora")

    def create(self, wanted: CreateCorpusRequest) -> CreatedCorpus:
        corpus = wanted.corpus
        if not corpus.name.strip():
            raise InvalidRequest("corpus.name: expected a name, got nothing")
        attributes = new_attributes(corpus.filter_attributes)
        made = self._verbs.create(None, corpus.name, corpus.description, attributes, {})
        return CreatedCorpus(corpus_id=made.number, status=Status())

    def read(self, wanted: ReadCorpusRequest, seconds: float) -> ReadCorpora:
        """
        Args:
            seconds: after which no further corpus is counted: nobody waits for the answer any more.

        Raises:
            TimeoutError
        """
        numbers = in_time(wanted.corpus_id, seconds)
        found = self._verbs.several(wanted.corpus_id)
        return ReadCorpora(
            corpora=[self._info(found[each], wanted) if each in found else _missing(each) for each in numbers]
        )

    def _info(self, found: Corpus, wanted: ReadCorpusRequest) -> CorpusInfo:
        info = CorpusInfo()
        if wanted.read_basic_info or not (wanted.read_size or wanted.read_filter_attributes):
            info.corpus, info.corpus_status = corpus_view(found), Status()
        if wanted.read_size:
            now, size = int(datetime.now(UTC).timestamp()), self._verbs.size(found.key)
            info.size, info.size_status = CorpusSize(epoch_secs=str(now), size=str(size.parts)), Status()
        if wanted.read_filter_attributes:
            info.filter_attribute = [attribute_view(each) for each in found.attributes]
            info.filter_attribute_status = Status()
        return info

    def list(self, tenant: int, wanted: ListCorporaRequest) -> ListedCorpora:
        limit = page_limit(wanted.num_results, 100, _MAX_CORPORA)
        shown, key = self._paging.page(
            tenant,
            wanted.page_key,
            {"limit": limit, "filter": wanted.filter or None},
            lambda said: self._verbs.page(said["limit"], said["after"], said["filter"]),
            lambda last: last.number,
        )
        return ListedCorpora(corpus=[corpus_view(each) for each in shown], page_key=key, status=Status())

    def delete(self, wanted: CorpusRequest) -> CorpusStatus:
        self._verbs.delete(self._verbs.get(corpus_number(wanted.corpus_id)).key)
        return CorpusStatus(status=Status())

    def reset(self, wanted: CorpusRequest) -> CorpusStatus:
        self._verbs.reset(self._verbs.get(corpus_number(wanted.corpus_id)).key)
        return CorpusStatus(status=Status())


def _missing(number: int) -> CorpusInfo:
    return CorpusInfo(corpus_status=Status(code="NOT_FOUND", status_detail=f"Corpus `{number}` not found"))


def _add_create(router: APIRouter, door: Door, bodies: BodyReader, corpora: _Corpora) -> None:
    @router.post(
        "/v1/create-corpus",
        operation_id="v1_create_corpus",
        summary="Make a corpus",
        description="Its key, which other doors and the second version call it by, is made of its name.",
        response_model=CreatedCorpus,
        responses=v1_problems(409),
        openapi_extra=json_body(CreateCorpusRequest, {"corpus": {"name": "handbook"}}),
    )
    async def create(request: Request) -> Response:
        check_customer(request)
        wanted = await read_message(bodies, request, CreateCorpusRequest)
        return message_answer(await door.call(corpora.create, wanted))


def _add_reads(router: APIRouter, door: Door, bodies: BodyReader, corpora: _Corpora) -> None:
    @router.post(
        "/v1/read-corpus",
        operation_id="v1_read_corpus",
        summary="Read corpora",
        description="One that is not there has a `corpusStatus` that says so.",
        response_model=ReadCorpora,
        responses=v1_problems(),
        openapi_extra=json_body(ReadCorpusRequest, {"corpusId": [12], "readBasicInfo": True}),
    )
    @needs(Need.READ)
    async def read(request: Request) -> Response:
        check_customer(request)
        wanted = await read_message(bodies, request, ReadCorpusRequest)
        return message_answer(await door.call(corpora.read, wanted, seconds_of(request)))

    @router.post(
        "/v1/list-corpora",
        operation_id="v1_list_corpora",
        summary="List corpora",
        response_model=ListedCorpora,
        responses=v1_problems(),
        openapi_extra=json_body(ListCorporaRequest, {"filter": "^hand", "numResults": 10}),
    )
    @needs(Need.READ)
    async def list_corpora(request: Request) -> Response:
        check_customer(request)
        wanted = await read_message(bodies, request, ListCorporaRequest)
        return message_answer(await door.call(corpora.list, tenant_of(request), wanted))


def _add_ends(router: APIRouter, door: Door, bodies: BodyReader, corpora: _Corpora) -> None:
    async def ended(request: Request, end: Callable[[CorpusRequest], CorpusStatus]) -> Response:
        wanted = await read_message(bodies, request, CorpusRequest)
        check_customer(request, wanted.customer_id)
        return message_answer(await door.call(end, wanted))

    @router.post(
        "/v1/delete-corpus",
        operation_id="v1_delete_corpus",
        summary="Delete a corpus with all that is indexed in it",
        response_model=CorpusStatus,
        responses=v1_problems(404, 409),
        openapi_extra=json_body(CorpusRequest, {"corpusId": 12}),
    )
    async def delete(request: Request) -> Response:
        return await ended(request, corpora.delete)

    @router.post(
        "/v1/reset-corpus",
        operation_id="v1_reset_corpus",
        summary="Remove all documents of a corpus",
        response_model=CorpusStatus,
        responses=v1_problems(404, 409),
        openapi_extra=json_body(CorpusRequest, {"corpusId": 12}),
    )
    async def reset(request: Request) -> Response:
        return await ended(request, corpora.reset)
