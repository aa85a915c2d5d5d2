"""The second version's routes of documents: indexed, listed, read, deleted one by one or many at once, and searched."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import StringConstraints
from pydantic_core import to_json

from indexmill.dialects.list_jobs.caller import tenant_of
from indexmill.dialects.list_jobs.errors import V2FileRoute, seconds_of, v2_not_found, v2_problems
from indexmill.dialects.list_jobs.metadata import storable
from indexmill.dialects.list_jobs.paging import Paging
from indexmill.dialects.list_jobs.searching import SearchedCorpus, nearest
from indexmill.dialects.list_jobs.uploaded import FORM, read_file
from indexmill.dialects.list_jobs.v2_corpus_routes import CorpusKey
from indexmill.dialects.list_jobs.v2_job_routes import PageKey
from indexmill.dialects.list_jobs.v2_translate import bulk_view, document_view, new_document, search_answer
from indexmill.dialects.list_jobs.v2_wire import (
    MAX_FILTER,
    BulkDeleted,
    CorpusSearch,
    CreateDocumentBody,
    DocumentList,
    DocumentView,
    QueryBody,
    QueryCorporaBody,
    SearchAnswer,
    UpdateDocumentBody,
)
from indexmill.dialects.list_jobs.verbs import CorpusVerbs
from indexmill.domain.corpus import CorpusDocument, DocumentState, NewFile
from indexmill.domain.pending import Pending
from indexmill.errors import InvalidRequest
from indexmill.http.answers import json_answer
from indexmill.http.auth import Need, needs
from indexmill.http.body import BodyReader
from indexmill.http.fields import ObjectId
from indexmill.http.openapi import json_body
from indexmill.http.problems import Problem, ProblemError
from indexmill.http.service import Door
from indexmill.security.page_keys import PageKeys

__all__ = ["add_v2_documents", "v2_files_router"]

_MAX_IDS: Final = 1000
#: What an answer may come as, beside JSON.
_STREAM: Final[dict[str, Any]] = {
    "description": "The nearest parts.",
    "content": {
        "text/event-stream": {
            "schema": {
                "type": "object",
                "description": "An event; its `data` is JSON.",
                "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
                "required": ["event", "data"],
            }
        }
    },
}
_IN_CORPUS: Final = "/v2/corpora/{corpus_key}"
Text = StringConstraints(max_length=MAX_FILTER, pattern=r"^[^\x00]*$")
Filter = Annotated[str | None, Text, Query(description="Such as `doc.year > 1970`, over the filter attributes.")]
Ids = Annotated[
    str | None,
    StringConstraints(max_length=_MAX_IDS * 64, pattern=r"^[^\x00]*$"),
    Query(description=f"Ids with commas between them, at most {_MAX_IDS}."),
]
Limit = Annotated[int, Query(ge=1, le=1000)]
Offset = Annotated[int, Query(ge=0, le=1000)]
Searched = Annotated[str, StringConstraints(min_length=1, max_length=5000, pattern=r"^[^\x00]*$"), Query()]
IsAsync = Annotated[bool, Query(alias="async", description="Whether to answer before it is done.")]
DocumentId = Annotated[
    ObjectId, Path(description="As it was given.", openapi_examples={"document": {"value": "doc-1"}})
]


def add_v2_documents(
    router: APIRouter, door: Door, verbs: CorpusVerbs, keys: PageKeys, *, bodies: BodyReader, large_bodies: BodyReader
) -> None:
    documents = _Documents(verbs, keys)
    _add_collection(router, door, large_bodies, documents)
    _add_bulk(router, door, documents)
    _add_document(router, door, documents)
    _add_updates(router, door, bodies, documents)
    _add_query(router, door, bodies, documents)


class _Documents:
    """The verbs as these routes need them. Runs in a thread."""

    def __init__(self, verbs: CorpusVerbs, keys: PageKeys) -> None:
        self._verbs = verbs
        self._keys = keys

    def create(self, key: str, body: CreateDocumentBody, seconds: float) -> Pending[dict[str, Any]]:
        return self._verbs.put(key, new_document(body), seconds).then(lambda found: _stored(body.id, *found))

    def upload(self, key: str, file: NewFile, seconds: float) -> Pending[dict[str, Any]]:
        return self._verbs.put_file(key, file, seconds).then(lambda found: _stored(file.id, *found))

    def get(self, key: str, document_id: str) -> dict[str, Any]:
        found = self._verbs.document(key, document_id)
        if found is None:
            raise v2_not_found("Document", document_id)
        return document_view(found)

    def update(self, key: str, document_id: str, body: UpdateDocumentBody, *, replaces: bool) -> dict[str, Any]:
        said = storable(body.metadata or {}, "metadata")
        found = self._verbs.update_metadata(key, document_id, said, replaces=replaces)
        if found is None:
            raise v2_not_found("Document", document_id)
        return document_view(found)

    def remove(self, key: str, document_id: str, seconds: float) -> Pending[bool]:
        return self._verbs.remove(key, document_id, seconds)

    def remove_many(
        self, key: str, ids: str | None, metadata_filter: str | None, seconds: float | None
    ) -> Pending[dict[str, Any]]:
        if (ids is None) == (metadata_filter is None):
            raise InvalidRequest("document_ids, metadata_filter: expected exactly one of them")
        if metadata_filter is not None and not metadata_filter.strip():
            # An empty variable of a script is no wish to lose everything.
            raise InvalidRequest(
                "metadata_filter: expected a condition, got nothing; reset the corpus to remove all its documents"
            )
        named = None if ids is None else [each.strip() for each in ids.split(",") if each.strip()]
        if named is not None and not 1 <= len(named) <= _MAX_IDS:
            raise InvalidRequest(f"document_ids: expected 1 to {_MAX_IDS} ids, got {len(named)}")
        return self._verbs.bulk_remove(key, named, metadata_filter, seconds).then(bulk_view)

    def list(
        self, tenant: int, key: str, limit: int, metadata_filter: str | None, page_key: str | None
    ) -> dict[str, Any]:
        # Its keys are good for this corpus alone.
        shown, next_key = Paging(self._keys, f"v2 documents {key}").page(
            tenant,
            page_key,
            {"limit": limit, "filter": metadata_filter or None},
            lambda said: self._verbs.documents(key, said["limit"], said["after"], said["filter"]),
            lambda last: last.id,
        )
        return {"documents": [document_view(each) for each in shown], "metadata": {"page_key": next_key}}

    def search(self, key: str, query: str, wanted: CorpusSearch, seconds: float) -> dict[str, Any]:
        corpus = SearchedCorpus(key, wanted.metadata_filter or None)
        return search_answer(nearest(self._verbs, [corpus], query, wanted.limit, wanted.offset, seconds=seconds))

    def search_corpora(self, body: QueryCorporaBody, seconds: float) -> dict[str, Any]:
        wanted = body.search
        corpora = [
            SearchedCorpus(each.corpus_key, each.metadata_filter or None, query=each.query) for each in wanted.corpora
        ]
        return search_answer(nearest(self._verbs, corpora, body.query, wanted.limit, wanted.offset, seconds=seconds))


def _stored(document_id: str, state: DocumentState, document: CorpusDocument) -> dict[str, Any]:
    """
    Raises:
        ProblemError: another document has the id (409).
    """
    if state is DocumentState.CONFLICT:
        message = f"Another document has the id `{document_id[:64]}`; delete it first, or choose another id"
        raise ProblemError(Problem(409, "conflict", message))
    return document_view(document)


def _add_collection(router: APIRouter, door: Door, bodies: BodyReader, documents: _Documents) -> None:
    @router.post(
        f"{_IN_CORPUS}/documents",
        operation_id="v2_create_document",
        summary="Index a document",
        description="It can be found when this answers. The same document again changes nothing; another one with its "
        "id is a 409.",
        status_code=201,
        response_model=DocumentView,
        responses=v2_problems(404, 408, 409, 413),
        openapi_extra=json_body(
            CreateDocumentBody, {"id": "a", "type": "core", "document_parts": [{"text": "Far out"}]}
        ),
    )
    async def create(request: Request, corpus_key: CorpusKey) -> Response:
        async with bodies.read(request, CreateDocumentBody) as body:
            begun = await door.call(documents.create, corpus_key, body.value, seconds_of(request))
        return json_answer(await door.outcome(begun), 201)

    @router.get(
        f"{_IN_CORPUS}/documents",
        operation_id="v2_list_documents",
        summary="List the documents of a corpus",
        response_model=DocumentList,
        responses=v2_problems(404),
    )
    async def list_documents(
        request: Request,
        corpus_key: CorpusKey,
        limit: Limit = 10,
        metadata_filter: Filter = None,
        page_key: PageKey = None,
    ) -> Response:
        tenant = tenant_of(request)
        found = await door.call(documents.list, tenant, corpus_key, limit, metadata_filter, page_key)
        return json_answer(found)


def _add_bulk(router: APIRouter, door: Door, documents: _Documents) -> None:
    @router.delete(
        f"{_IN_CORPUS}/documents",
        operation_id="v2_bulk_delete_documents",
        summary="Delete many documents",
        description="By a job, which deletes nothing that was given after `cutoff_timestamp`. With `async=false` the "
        "answer (200) waits for it.",
        status_code=202,
        response_model=BulkDeleted,
        responses={200: {"model": BulkDeleted, "description": "It is done."}, **v2_problems(404, 409)},
    )
    async def bulk_delete(
        request: Request,
        corpus_key: CorpusKey,
        document_ids: Ids = None,
        metadata_filter: Filter = None,
        is_async: IsAsync = True,
    ) -> Response:
        seconds = None if is_async else seconds_of(request)
        begun = await door.call(documents.remove_many, corpus_key, document_ids, metadata_filter, seconds)
        view = await door.outcome(begun)
        return json_answer(view, 200 if view["response_type"] == "success" else 202)


def _add_document(router: APIRouter, door: Door, documents: _Documents) -> None:
    @router.get(
        f"{_IN_CORPUS}/documents/{{document_id:path}}",
        operation_id="v2_get_document",
        summary="Get a document with its parts",
        response_model=DocumentView,
        responses=v2_problems(404),
    )
    async def get(corpus_key: CorpusKey, document_id: DocumentId) -> Response:
        return json_answer(await door.call(documents.get, corpus_key, document_id))

    @router.delete(
        f"{_IN_CORPUS}/documents/{{document_id:path}}",
        operation_id="v2_delete_document",
        summary="Delete a document",
        description="It cannot be found when this answers.",
        status_code=204,
        responses=v2_problems(404),
    )
    async def delete(request: Request, corpus_key: CorpusKey, document_id: DocumentId) -> Response:
        begun = await door.call(documents.remove, corpus_key, document_id, seconds_of(request))
        if not await door.outcome(begun):
            raise v2_not_found("Document", document_id)
        return Response(status_code=204)


def _add_updates(router: APIRouter, door: Door, bodies: BodyReader, documents: _Documents) -> None:
    async def updated(request: Request, corpus_key: str, document_id: str, *, replaces: bool) -> Response:
        async with bodies.read(request, UpdateDocumentBody) as body:
            view = await door.call(documents.update, corpus_key, document_id, body.value, replaces=replaces)
        return json_answer(view)

    @router.put(
        f"{_IN_CORPUS}/documents/{{document_id:path}}/metadata",
        operation_id="v2_replace_document_metadata",
        summary="Replace the metadata of a document",
        description="Nothing is embedded, and its parts stay. Filters see it when this answers.",
        response_model=DocumentView,
        responses=v2_problems(404, 408, 413),
        openapi_extra=json_body(UpdateDocumentBody, {"metadata": {"year": 1980}}),
    )
    async def replace(request: Request, corpus_key: CorpusKey, document_id: DocumentId) -> Response:
        return await updated(request, corpus_key, document_id, replaces=True)

    @router.patch(
        f"{_IN_CORPUS}/documents/{{document_id:path}}",
        operation_id="v2_update_document",
        summary="Change the metadata of a document",
        description="Fields that are not given stay. Nothing is embedded. Filters see it when this answers.",
        response_model=DocumentView,
        responses=v2_problems(404, 408, 413),
        openapi_extra=json_body(UpdateDocumentBody, {"metadata": {"year": 1980}}),
    )
    async def update(request: Request, corpus_key: CorpusKey, document_id: DocumentId) -> Response:
        return await updated(request, corpus_key, document_id, replaces=False)


def _add_query(router: APIRouter, door: Door, bodies: BodyReader, documents: _Documents) -> None:
    @router.post(
        f"{_IN_CORPUS}/query",
        operation_id="v2_query_corpus",
        summary="Search a corpus",
        description="Nothing is generated and nothing reranked: the answer has the nearest parts, best first. With "
        "`stream_response` it comes as two events, `search_results` and `end`.",
        response_model=SearchAnswer,
        responses={200: _STREAM, **v2_problems(404, 408, 413)},
        openapi_extra=json_body(QueryBody, {"query": "where is the sun"}),
    )
    @needs(Need.READ)
    async def query(request: Request, corpus_key: CorpusKey) -> Response:
        async with bodies.read(request, QueryBody) as body:
            wanted = body.value
        search = wanted.search or CorpusSearch()
        found = await door.in_turn(documents.search, corpus_key, wanted.query, search, seconds_of(request))
        return _streamed(found) if wanted.stream_response else json_answer(found)

    @router.get(
        f"{_IN_CORPUS}/query",
        operation_id="v2_search_corpus",
        summary="Search a corpus, all of it",
        response_model=SearchAnswer,
        responses=v2_problems(404),
    )
    async def search(
        request: Request, corpus_key: CorpusKey, query: Searched, limit: Limit = 10, offset: Offset = 0
    ) -> Response:
        wanted = CorpusSearch(offset=offset, limit=limit)
        return json_answer(await door.in_turn(documents.search, corpus_key, query, wanted, seconds_of(request)))

    @router.post(
        "/v2/query",
        operation_id="v2_query_corpora",
        summary="Search several corpora together",
        response_model=SearchAnswer,
        responses={200: _STREAM, **v2_problems(404, 408, 413)},
        openapi_extra=json_body(
            QueryCorporaBody, {"query": "where is the sun", "search": {"corpora": [{"corpus_key": "handbook"}]}}
        ),
    )
    @needs(Need.READ)
    async def query_corpora(request: Request) -> Response:
        async with bodies.read(request, QueryCorporaBody) as body:
            wanted = body.value
        found = await door.in_turn(documents.search_corpora, wanted, seconds_of(request))
        return _streamed(found) if wanted.stream_response else json_answer(found)


def _streamed(found: dict[str, Any]) -> Response:
    """As events: nothing is generated, so the results are followed by the end."""
    events = ({"type": "search_results", **found}, {"type": "end"})
    text = "".join(f"event: {each['type']}\ndata: {to_json(each, inf_nan_mode='null').decode()}\n\n" for each in events)
    return Response(text, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def v2_files_router(door: Door, verbs: CorpusVerbs, keys: PageKeys) -> APIRouter:
    router = APIRouter(route_class=V2FileRoute, tags=["jobs and corpora"])
    documents = _Documents(verbs, keys)

    @router.post(
        f"{_IN_CORPUS}/upload_file",
        operation_id="v2_upload_file",
        summary="Index a file",
        description="Its name is the document's id; `metadata` is a JSON object.",
        status_code=201,
        response_model=DocumentView,
        responses=v2_problems(404, 408, 409, 413, 415),
        openapi_extra=FORM,
    )
    async def upload(request: Request, corpus_key: CorpusKey) -> Response:
        async with read_file(door, request, "metadata") as file:
            begun = await door.call(documents.upload, corpus_key, file, seconds_of(request))
        return json_answer(await door.outcome(begun), 201)

    return router
