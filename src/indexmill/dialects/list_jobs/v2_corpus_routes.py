"""The second version's routes of corpora: made, read, changed, emptied, deleted, and jobs that change all of one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import StringConstraints

from indexmill.dialects.list_jobs.caller import tenant_of
from indexmill.dialects.list_jobs.errors import v2_problems
from indexmill.dialects.list_jobs.listing import wire_id
from indexmill.dialects.list_jobs.paging import Paging
from indexmill.dialects.list_jobs.v2_job_routes import PageKey
from indexmill.dialects.list_jobs.v2_translate import corpus_view, new_attributes
from indexmill.dialects.list_jobs.v2_wire import (
    MAX_CORPORA,
    CorpusList,
    CorpusView,
    CreateCorpusBody,
    JobStarted,
    ReplaceAttributesBody,
    SizeView,
    UpdateCorpusBody,
)
from indexmill.dialects.list_jobs.verbs import CorpusVerbs
from indexmill.domain.corpus import Corpus
from indexmill.domain.job import Job
from indexmill.errors import InvalidRequest
from indexmill.http.answers import json_answer
from indexmill.http.auth import Need, needs
from indexmill.http.body import BodyReader
from indexmill.http.openapi import json_body
from indexmill.http.service import Door
from indexmill.security.page_keys import PageKeys

__all__ = ["CorpusKey", "add_v2_corpora"]

_NUMBERED: Final = re.compile(r"crp_([1-9][0-9]{0,8})")
CorpusKey = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00]*$"),
    Path(
        description="The corpus's key: the name of its collection at every other door.",
        openapi_examples={"corpus": {"value": "my-corpus"}},
    ),
]
Limit = Annotated[int, Query(ge=1, le=100)]
Pattern = Annotated[
    str | None, Query(max_length=256, pattern=r"^[^\x00]*$", description="A regular expression for names.")
]
Numbers = Annotated[
    list[Annotated[str, StringConstraints(max_length=32)]] | None,
    Query(description="Only these, as `crp_12`.", max_length=MAX_CORPORA),
]


def add_v2_corpora(router: APIRouter, door: Door, bodies: BodyReader, verbs: CorpusVerbs, keys: PageKeys) -> None:
    corpora = _Corpora(verbs, keys)
    _add_collection(router, door, bodies, corpora)
    _add_corpus(router, door, bodies, corpora)
    _add_changes(router, door, bodies, corpora)


class _Corpora:
    """The verbs as these routes need them. Runs in a thread."""

    def __init__(self, verbs: CorpusVerbs, keys: PageKeys) -> None:
        self.verbs = verbs
        self._paging = Paging(keys, "v2 corpora")

    def create(self, body: CreateCorpusBody) -> dict[str, Any]:
        details = body.model_dump(
            include={"save_history", "queries_are_answers", "documents_are_questions"}, exclude_none=True
        )
        name, description = body.name or body.key or "", body.description or ""
        attributes = new_attributes(body.filter_attributes or ())
        return self._view(self.verbs.create(body.key, name, description, attributes, details))

    def get(self, key: str) -> dict[str, Any]:
        return self._view(self.verbs.get(key))

    def update(self, key: str, body: UpdateCorpusBody) -> dict[str, Any]:
        details = body.model_dump(include={"enabled", "save_history"}, exclude_none=True)
        updated = self.verbs.update(key, name=body.name, description=body.description, details=details or None)
        return self._view(updated)

    def page(
        self, tenant: int, limit: int, pattern: str | None, numbers: Sequence[str] | None, page_key: str | None
    ) -> dict[str, Any]:
        if numbers:
            return {"corpora": [corpus_view(each) for each in self._numbered(numbers)], "metadata": {"page_key": ""}}
        shown, key = self._paging.page(
            tenant,
            page_key,
            {"limit": limit, "filter": pattern},
            lambda said: self.verbs.page(said["limit"], said["after"], said["filter"]),
            lambda last: last.number,
        )
        return {"corpora": [corpus_view(each) for each in shown], "metadata": {"page_key": key}}

    def _numbered(self, numbers: Sequence[str]) -> list[Corpus]:
        wanted: list[int] = []
        for each in numbers:
            match = _NUMBERED.fullmatch(each)
            if match is None:
                raise InvalidRequest(f"corpus_id: expected ids such as `crp_12`, got {each!r}")
            wanted.append(int(match[1]))
        found = self.verbs.several(wanted)
        return [found[number] for number in wanted if number in found]

    def size(self, key: str) -> dict[str, int]:
        size = self.verbs.size(key, characters=True)
        return {
            "used_docs": size.documents,
            "used_parts": size.parts,
            "used_characters": size.characters,
            "used_metadata_characters": size.metadata_characters,
        }

    def replace(self, key: str, body: ReplaceAttributesBody) -> Job:
        return self.verbs.replace_attributes(key, new_attributes(body.filter_attributes))

    def _view(self, corpus: Corpus) -> dict[str, Any]:
        return corpus_view(corpus, self.verbs.size(corpus.key))


def _add_collection(router: APIRouter, door: Door, bodies: BodyReader, corpora: _Corpora) -> None:
    @router.post(
        "/v2/corpora",
        operation_id="v2_create_corpus",
        summary="Make a corpus",
        status_code=201,
        response_model=CorpusView,
        responses=v2_problems(408, 409, 413),
        openapi_extra=json_body(CreateCorpusBody, {"key": "handbook", "name": "Handbook"}),
    )
    async def create(request: Request) -> Response:
        async with bodies.read(request, CreateCorpusBody) as body:
            made = await door.call(corpora.create, body.value)
        return json_answer(made, 201)

    @router.get(
        "/v2/corpora",
        operation_id="v2_list_corpora",
        summary="List corpora",
        response_model=CorpusList,
        responses=v2_problems(),
    )
    async def list_corpora(
        request: Request,
        limit: Limit = 10,
        filter: Pattern = None,  # noqa: A002 - the parameter's name
        corpus_id: Numbers = None,
        page_key: PageKey = None,
    ) -> Response:
        return json_answer(await door.call(corpora.page, tenant_of(request), limit, filter, corpus_id, page_key))


def _add_corpus(router: APIRouter, door: Door, bodies: BodyReader, corpora: _Corpora) -> None:
    @router.get(
        "/v2/corpora/{corpus_key}",
        operation_id="v2_get_corpus",
        summary="Get a corpus",
        response_model=CorpusView,
        responses=v2_problems(404),
    )
    async def get(corpus_key: CorpusKey) -> Response:
        return json_answer(await door.call(corpora.get, corpus_key))

    @router.patch(
        "/v2/corpora/{corpus_key}",
        operation_id="v2_update_corpus",
        summary="Rename a corpus, or say other things of it",
        response_model=CorpusView,
        responses=v2_problems(404, 408, 413),
        openapi_extra=json_body(UpdateCorpusBody, {"description": "All that is known"}),
    )
    async def update(request: Request, corpus_key: CorpusKey) -> Response:
        async with bodies.read(request, UpdateCorpusBody) as body:
            updated = await door.call(corpora.update, corpus_key, body.value)
        return json_answer(updated)

    @router.delete(
        "/v2/corpora/{corpus_key}",
        operation_id="v2_delete_corpus",
        summary="Delete a corpus with all that is indexed in it",
        status_code=204,
        responses=v2_problems(404, 409),
    )
    async def delete(corpus_key: CorpusKey) -> Response:
        await door.call(corpora.verbs.delete, corpus_key)
        return Response(status_code=204)


def _add_changes(router: APIRouter, door: Door, bodies: BodyReader, corpora: _Corpora) -> None:
    @router.post(
        "/v2/corpora/{corpus_key}/reset",
        operation_id="v2_reset_corpus",
        summary="Remove all documents of a corpus",
        status_code=204,
        responses=v2_problems(404, 409),
    )
    async def reset(corpus_key: CorpusKey) -> Response:
        await door.call(corpora.verbs.reset, corpus_key)
        return Response(status_code=204)

    @router.post(
        "/v2/corpora/{corpus_key}/replace_filter_attributes",
        operation_id="v2_replace_filter_attributes",
        summary="Replace the filter attributes of a corpus",
        description="All of them, by a job: until it has completed filters work by the old ones. Values that do not "
        "fit are failed documents of the job, and stay in the metadata.",
        response_model=JobStarted,
        responses=v2_problems(404, 408, 409, 413),
        openapi_extra=json_body(ReplaceAttributesBody, {"filter_attributes": []}),
    )
    async def replace_attributes(request: Request, corpus_key: CorpusKey) -> Response:
        async with bodies.read(request, ReplaceAttributesBody) as body:
            job = await door.call(corpora.replace, corpus_key, body.value)
        return json_answer({"job_id": wire_id(job.id)})

    @router.post(
        "/v2/corpora/{corpus_key}/rebuild_vector_index",
        operation_id="v2_rebuild_vector_index",
        summary="Build the vector index of a corpus anew",
        description="By a job, beside the one that is there; it takes its place where it finds as well. Not in the "
        "original API, which has such jobs and no call that starts one.",
        response_model=JobStarted,
        responses=v2_problems(404, 409),
    )
    async def rebuild(corpus_key: CorpusKey) -> Response:
        job = await door.call(corpora.verbs.rebuild, corpus_key)
        return json_answer({"job_id": wire_id(job.id)})

    @router.post(
        "/v2/corpora/{corpus_key}/compute_size",
        operation_id="v2_compute_corpus_size",
        summary="How much is in a corpus",
        response_model=SizeView,
        responses=v2_problems(404),
    )
    @needs(Need.READ)
    async def compute_size(corpus_key: CorpusKey) -> Response:
        return json_answer(await door.call(corpora.size, corpus_key))
