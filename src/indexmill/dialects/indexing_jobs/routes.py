"""The routes of front door 3 for knowledge bases, their data sources, the models for them, and retrieving from them."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response

from indexmill.dialects.indexing_jobs.errors import PREFIX, IndexingRoute, indexing_problems, not_found
from indexmill.dialects.indexing_jobs.job_routes import BaseId, add_jobs
from indexmill.dialects.indexing_jobs.paging import PageNumber, PerPage, page_of
from indexmill.dialects.indexing_jobs.requests import (
    CREATE_BASE_EXAMPLE,
    CREATE_SOURCE_EXAMPLE,
    EXAMPLE_UUID,
    RETRIEVE_EXAMPLE,
    UPDATE_BASE_EXAMPLE,
    UPDATE_SOURCE_EXAMPLE,
    CreateDataSourceBody,
    CreateKnowledgeBaseBody,
    RetrieveBody,
    UpdateDataSourceBody,
    UpdateKnowledgeBaseBody,
)
from indexmill.dialects.indexing_jobs.responses import (
    DataSourceAnswer,
    DataSourceDeleted,
    DataSourceList,
    KnowledgeBaseAnswer,
    KnowledgeBaseDeleted,
    KnowledgeBaseList,
    KnowledgeBaseModelList,
    KnowledgeBaseRead,
    RetrievedChunks,
)
from indexmill.dialects.indexing_jobs.translate import (
    KNOWLEDGE_BASE_USE,
    chosen_model,
    chunk_view,
    data_source_view,
    details_of,
    knowledge_base_view,
    metadata_filter,
    model_view,
    new_source,
    updated_chunking,
)
from indexmill.dialects.indexing_jobs.upload_routes import add_uploads
from indexmill.dialects.indexing_jobs.verbs import KnowledgeBaseVerbs
from indexmill.domain.knowledge_base import DataSource, KnowledgeBase
from indexmill.errors import InvalidRequest
from indexmill.http.answers import json_answer
from indexmill.http.auth import Need, needs
from indexmill.http.body import BodyReader
from indexmill.http.links import MakeLink, link_maker
from indexmill.http.openapi import json_body
from indexmill.http.problems import ProblemError
from indexmill.http.service import Door
from indexmill.security.signed_urls import UrlSigner
from indexmill.sources.upload_store import UploadStore

__all__ = ["indexing_router"]

SourceId = Annotated[
    str,
    Path(
        description="The data source's uuid.",
        openapi_examples={"data source": {"value": EXAMPLE_UUID}},
    ),
]
UseCases = Annotated[
    list[str] | None,
    Query(description="Only models for these, comma-joined or repeated; all here are for knowledge bases."),
]


def indexing_router(door: Door, bodies: BodyReader, signer: UrlSigner, uploads: UploadStore) -> APIRouter:
    router = APIRouter(route_class=IndexingRoute, tags=["knowledge bases"])
    bases, link = _Bases(door), link_maker(door.service.settings.server.public_url)
    # Before the routes whose parameter would take its path.
    add_uploads(router, door, bodies, signer, uploads, link=link)
    _add_bases(router, bodies, bases, link)
    _add_changes(router, bodies, bases)
    _add_sources(router, bodies, bases, link)
    _add_source_changes(router, bodies, bases)
    _add_models(router, door, link)
    _add_retrieve(router, bodies, bases)
    add_jobs(router, door, bodies, signer, link)
    return router


class _Bases:
    """The verbs as these routes need them. The methods without `async` run in a thread."""

    def __init__(self, door: Door) -> None:
        self.door = door

    @property
    def verbs(self) -> KnowledgeBaseVerbs:
        return self.door.knowledge_bases

    def create(self, body: CreateKnowledgeBaseBody) -> KnowledgeBase:
        model = chosen_model(body.embedding_model_uuid, self.door.engine.deployments())
        sources = [new_source(each) for each in body.datasources]
        return self.verbs.create(body.name, model, sources, details_of(body))

    def update(self, base: UUID, body: UpdateKnowledgeBaseBody) -> KnowledgeBase:
        if body.embedding_model_uuid is not None:
            model = self.verbs.get(base).model
            if chosen_model(body.embedding_model_uuid, self.door.engine.deployments()) != model:
                raise InvalidRequest(
                    f"embedding_model_uuid: expected `{model}`, the model of this knowledge base, which never changes; "
                    "make another knowledge base with the other model"
                )
        return self.verbs.update(base, name=body.name, details=details_of(body))

    def update_source(self, base: UUID, source: UUID, body: UpdateDataSourceBody) -> DataSource:
        current = self.verbs.source(base, source)
        return self.verbs.update_source(base, source, updated_chunking(current.chunking, body))


def _base_id(reference: str) -> UUID:
    return _uuid("Knowledge base", reference)


def _source_id(reference: str) -> UUID:
    return _uuid("Data source", reference)


def _uuid(kind: str, reference: str) -> UUID:
    """
    Raises:
        ProblemError: 404; what is no uuid names nothing.
    """
    try:
        return UUID(reference)
    except ValueError as error:
        raise ProblemError(not_found(kind, reference)) from error


def _add_bases(router: APIRouter, bodies: BodyReader, bases: _Bases, link: MakeLink) -> None:
    @router.post(
        f"{PREFIX}/knowledge_bases",
        operation_id="create_knowledge_base",
        summary="Make a knowledge base",
        description="With data sources an indexing job starts at once: `knowledge_base.last_indexing_job`. Without "
        "`embedding_model_uuid` it gets the only deployed model.",
        response_model=KnowledgeBaseAnswer,
        responses=indexing_problems(400, 403, 408, 413, 503),
        openapi_extra=json_body(CreateKnowledgeBaseBody, CREATE_BASE_EXAMPLE),
    )
    async def create(request: Request) -> Response:
        async with bodies.read(request, CreateKnowledgeBaseBody) as body:
            made = await bases.door.call(bases.create, body.value)
        return json_answer({"knowledge_base": knowledge_base_view(made)})

    @router.get(
        f"{PREFIX}/knowledge_bases",
        operation_id="list_knowledge_bases",
        summary="List the knowledge bases",
        response_model=KnowledgeBaseList,
        responses=indexing_problems(400, 403, 503),
    )
    async def list_bases(request: Request, page: PageNumber = None, per_page: PerPage = None) -> Response:
        wanted = page_of(page, per_page)
        found, total = await bases.door.call(bases.verbs.page, wanted.size, wanted.offset)
        views = [knowledge_base_view(each) for each in found]
        return json_answer({"knowledge_bases": views, **wanted.answer(request, total, link)})

    @router.get(
        f"{PREFIX}/knowledge_bases/{{uuid}}",
        operation_id="get_knowledge_base",
        summary="Get a knowledge base",
        response_model=KnowledgeBaseRead,
        responses=indexing_problems(403, 404, 503),
    )
    async def get(uuid: BaseId) -> Response:
        found = await bases.door.call(bases.verbs.get, _base_id(uuid))
        return json_answer({"knowledge_base": knowledge_base_view(found), "database_status": "ONLINE"})


def _add_changes(router: APIRouter, bodies: BodyReader, bases: _Bases) -> None:
    @router.put(
        f"{PREFIX}/knowledge_bases/{{uuid}}",
        operation_id="update_knowledge_base",
        summary="Rename a knowledge base, or say other things of it",
        description="Its embedding model never changes: another one in the request is a 400.",
        response_model=KnowledgeBaseAnswer,
        responses=indexing_problems(400, 403, 404, 408, 413, 503),
        openapi_extra=json_body(UpdateKnowledgeBaseBody, UPDATE_BASE_EXAMPLE),
    )
    async def update(request: Request, uuid: BaseId) -> Response:
        base = _base_id(uuid)
        async with bodies.read(request, UpdateKnowledgeBaseBody) as body:
            updated = await bases.door.call(bases.update, base, body.value)
        return json_answer({"knowledge_base": knowledge_base_view(updated)})

    @router.delete(
        f"{PREFIX}/knowledge_bases/{{uuid}}",
        operation_id="delete_knowledge_base",
        summary="Delete a knowledge base with all that is indexed in it",
        response_model=KnowledgeBaseDeleted,
        responses=indexing_problems(400, 403, 404, 503),
    )
    async def delete(uuid: BaseId) -> Response:
        base = _base_id(uuid)
        await bases.door.call(bases.verbs.delete, base)
        return json_answer({"uuid": str(base)})


def _add_sources(router: APIRouter, bodies: BodyReader, bases: _Bases, link: MakeLink) -> None:
    @router.post(
        f"{PREFIX}/knowledge_bases/{{uuid}}/data_sources",
        operation_id="create_data_source",
        summary="Add a data source",
        description="Nothing is indexed yet: start an indexing job. Keys are encrypted, and no answer has them.",
        response_model=DataSourceAnswer,
        responses=indexing_problems(400, 403, 404, 408, 413, 503),
        openapi_extra=json_body(CreateDataSourceBody, CREATE_SOURCE_EXAMPLE),
    )
    async def create(request: Request, uuid: BaseId) -> Response:
        base = _base_id(uuid)
        async with bodies.read(request, CreateDataSourceBody) as body:
            made = await bases.door.call(bases.verbs.add_source, base, new_source(body.value))
        return json_answer({"knowledge_base_data_source": data_source_view(made)})

    @router.get(
        f"{PREFIX}/knowledge_bases/{{uuid}}/data_sources",
        operation_id="list_data_sources",
        summary="List the data sources of a knowledge base",
        response_model=DataSourceList,
        responses=indexing_problems(400, 403, 404, 503),
    )
    async def list_sources(
        request: Request, uuid: BaseId, page: PageNumber = None, per_page: PerPage = None
    ) -> Response:
        wanted = page_of(page, per_page)
        found, total = await bases.door.call(bases.verbs.sources, _base_id(uuid), wanted.size, wanted.offset)
        views = [data_source_view(each) for each in found]
        return json_answer({"knowledge_base_data_sources": views, **wanted.answer(request, total, link)})


def _add_source_changes(router: APIRouter, bodies: BodyReader, bases: _Bases) -> None:
    @router.put(
        f"{PREFIX}/knowledge_bases/{{uuid}}/data_sources/{{data_source_uuid}}",
        operation_id="update_data_source",
        summary="Change how a data source is chunked",
        description="The next indexing job splits all of its files anew.",
        response_model=DataSourceAnswer,
        responses=indexing_problems(400, 403, 404, 408, 413, 503),
        openapi_extra=json_body(UpdateDataSourceBody, UPDATE_SOURCE_EXAMPLE),
    )
    async def update(request: Request, uuid: BaseId, data_source_uuid: SourceId) -> Response:
        base, source = _base_id(uuid), _source_id(data_source_uuid)
        async with bodies.read(request, UpdateDataSourceBody) as body:
            updated = await bases.door.call(bases.update_source, base, source, body.value)
        return json_answer({"knowledge_base_data_source": data_source_view(updated)})

    @router.delete(
        f"{PREFIX}/knowledge_bases/{{uuid}}/data_sources/{{data_source_uuid}}",
        operation_id="delete_data_source",
        summary="Remove a data source, and at once all that was indexed from it",
        response_model=DataSourceDeleted,
        responses=indexing_problems(400, 403, 404, 503),
    )
    async def delete(uuid: BaseId, data_source_uuid: SourceId) -> Response:
        base, source = _base_id(uuid), _source_id(data_source_uuid)
        await bases.door.call(bases.verbs.remove_source, base, source)
        return json_answer({"data_source_uuid": str(source), "knowledge_base_uuid": str(base)})


def _add_models(router: APIRouter, door: Door, link: MakeLink) -> None:
    @router.get(
        f"{PREFIX}/models",
        operation_id="list_knowledge_base_models",
        summary="List the embedding models for knowledge bases",
        description="The deployed ones. A knowledge base is made with the `uuid` or with the `id`.",
        response_model=KnowledgeBaseModelList,
        responses=indexing_problems(400, 403, 503),
    )
    async def models(
        request: Request, usecases: UseCases = None, page: PageNumber = None, per_page: PerPage = None
    ) -> Response:
        wanted = page_of(page, per_page)
        uses = {use.strip() for each in usecases or () for use in each.split(",")} - {""}
        deployed = await door.call(door.engine.deployments) if not uses or KNOWLEDGE_BASE_USE in uses else []
        views = [model_view(each) for each in deployed[wanted.offset : wanted.offset + wanted.size]]
        return json_answer({"models": views, **wanted.answer(request, len(deployed), link)})


def _add_retrieve(router: APIRouter, bodies: BodyReader, bases: _Bases) -> None:
    @needs(Need.READ)
    async def retrieve(request: Request, uuid: BaseId) -> Response:
        base = _base_id(uuid)
        async with bodies.read(request, RetrieveBody) as body:
            wanted = body.value
        hits = await bases.door.in_turn(
            bases.verbs.retrieve, base, wanted.query, wanted.num_results, metadata_filter(wanted.filters)
        )
        views: list[dict[str, Any]] = [chunk_view(each) for each in hits]
        return json_answer({"results": views, "total_results": len(views)})

    # Clients with a host of their own for this leave `/v1` out where they are given an address.
    for path, operation in (("/{uuid}/retrieve", "retrieve"), ("/v1/{uuid}/retrieve", "retrieve_v1")):
        router.add_api_route(
            path,
            retrieve,
            methods=["POST"],
            operation_id=operation,
            summary="Find the chunks that answer a question",
            description="The nearest ones by vectors, best first. `filters` compare with the metadata of documents, as "
            "results show it.",
            response_model=RetrievedChunks,
            responses=indexing_problems(400, 403, 404, 408, 413, 503),
            openapi_extra=json_body(RetrieveBody, RETRIEVE_EXAMPLE),
        )
