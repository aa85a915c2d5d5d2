"""The first version's routes of documents: indexed, listed, searched and deleted."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request, Response

from indexmill.dialects.list_jobs.caller import check_customer, tenant_of
from indexmill.dialects.list_jobs.errors import V1FileRoute, seconds_of, v1_problems
from indexmill.dialects.list_jobs.paging import Paging
from indexmill.dialects.list_jobs.proto_json import MAX_UINT32, message_answer, read_message
from indexmill.dialects.list_jobs.searching import MAX_FOUND, SearchedCorpus, nearest
from indexmill.dialects.list_jobs.uploaded import FORM, read_file
from indexmill.dialects.list_jobs.v1_corpus_routes import page_limit
from indexmill.dialects.list_jobs.v1_document_wire import (
    DeleteDocumentRequest,
    DocumentInfo,
    DocumentList,
    IndexCoreRequest,
    IndexedDocument,
    IndexRequest,
    ListDocumentsRequest,
    Nothing,
    QueryAnswer,
    QueryRequest,
    ResponseSet,
    SearchQuery,
    UploadAnswer,
    UploadedDocument,
)
from indexmill.dialects.list_jobs.v1_job_routes import corpus_number
from indexmill.dialects.list_jobs.v1_translate import (
    core_document,
    indexed,
    name_values,
    quota_of,
    response_set,
    status_of,
    structured_document,
)
from indexmill.dialects.list_jobs.verbs import CorpusVerbs
from indexmill.domain.corpus import CorpusDocument, DocumentState, NewDocument, NewFile
from indexmill.domain.pending import Pending
from indexmill.errors import CollectionNotFound, InvalidRequest
from indexmill.http.auth import Need, needs
from indexmill.http.body import BodyReader
from indexmill.http.openapi import json_body
from indexmill.http.problems import Problem, ProblemError
from indexmill.http.service import Door
from indexmill.security.page_keys import PageKeys

__all__ = ["add_v1_documents", "v1_files_router"]

_MAX_DOCUMENTS: Final = 1000
Customer = Annotated[int, Query(ge=0, le=MAX_UINT32, description="The customer; 0: whoever calls.")]
CorpusNumber = Annotated[int, Query(ge=1, le=MAX_UINT32, description="The corpus.")]
WantsDocument = Annotated[bool, Query(description="Whether the answer has the document.")]


def add_v1_documents(
    router: APIRouter, door: Door, verbs: CorpusVerbs, keys: PageKeys, *, bodies: BodyReader, large_bodies: BodyReader
) -> None:
    documents = _Documents(verbs, keys)
    _add_index(router, door, large_bodies, documents)
    _add_others(router, door, bodies, documents)
    _add_query(router, door, bodies, documents)


class _Documents:
    """The verbs as these routes need them. Runs in a thread."""

    def __init__(self, verbs: CorpusVerbs, keys: PageKeys) -> None:
        self._verbs = verbs
        self._paging = Paging(keys, "v1 documents")

    def _key(self, number: int) -> str:
        return self._verbs.get(corpus_number(number)).key

    def index(self, corpus: int, document: NewDocument, seconds: float) -> Pending[IndexedDocument]:
        begun = self._verbs.put(self._key(corpus), document, seconds)
        return begun.then(lambda stored: indexed(stored[0], document))

    def upload(self, corpus: int, file: NewFile, seconds: float, *, wants_document: bool) -> Pending[UploadAnswer]:
        begun = self._verbs.put_file(self._key(corpus), file, seconds)
        return begun.then(lambda stored: _uploaded(file, *stored, wants_document=wants_document))

    def remove(self, wanted: DeleteDocumentRequest, seconds: float) -> Pending[Nothing]:
        if not wanted.document_id:
            raise InvalidRequest("documentId: expected the id of a document, got nothing")
        begun = self._verbs.remove(self._key(wanted.corpus_id), wanted.document_id, seconds)
        return begun.then(lambda _: Nothing())

    def list(self, tenant: int, wanted: ListDocumentsRequest) -> DocumentList:
        limit = page_limit(wanted.num_results, 10, _MAX_DOCUMENTS)
        shown, key = self._paging.page(
            tenant,
            wanted.page_key,
            {"corpus": wanted.corpus_id, "limit": limit, "filter": wanted.metadata_filter or None},
            lambda said: self._verbs.documents(self._key(said["corpus"]), said["limit"], said["after"], said["filter"]),
            lambda last: last.id,
        )
        infos = [DocumentInfo(id=each.id, metadata=name_values(each.metadata)) for each in shown]
        return DocumentList(document=infos, next_page_key=key)

    def search(self, query: SearchQuery, seconds: float) -> ResponseSet:
        if not query.query.strip():
            raise InvalidRequest("query: expected a text to search for, got nothing")
        if not query.corpus_key:
            raise InvalidRequest("corpusKey: expected at least one corpus, got none")
        found = self._verbs.several([corpus_number(each.corpus_id) for each in query.corpus_key])
        corpora: list[SearchedCorpus] = []
        for each in query.corpus_key:
            if each.corpus_id not in found:
                raise CollectionNotFound(str(each.corpus_id), [])
            key = found[each.corpus_id].key
            corpora.append(SearchedCorpus(key, each.metadata_filter or None, number=each.corpus_id))
        limit = page_limit(query.num_results, 10, MAX_FOUND)
        parts = nearest(self._verbs, corpora, query.query, limit, query.start, seconds=seconds)
        return response_set([(each.corpus.number, each.hit) for each in parts])


def _uploaded(file: NewFile, state: DocumentState, stored: CorpusDocument, *, wants_document: bool) -> UploadAnswer:
    """
    Raises:
        ProblemError: another document has the file's name (409; of documents that are no files the status says it).
    """
    if state is DocumentState.CONFLICT:
        raise ProblemError(Problem(409, "conflict", status_of(state).status_detail))
    texts = [part.text for part in stored.parts or ()]
    document = None
    if wants_document:
        document = {"documentId": stored.id, "section": [{"text": text} for text in texts]}
    quota = quota_of(texts, [file.metadata])
    return UploadAnswer(response=UploadedDocument(status=status_of(state), quota_consumed=quota, document=document))


def _add_index(router: APIRouter, door: Door, bodies: BodyReader, documents: _Documents) -> None:
    @router.post(
        "/v1/index",
        operation_id="v1_index",
        summary="Index a document",
        description="It can be found when this answers. Its sections are split where they are long. A document that is "
        "there already is left alone: `status.code` says so, with HTTP 200.",
        response_model=IndexedDocument,
        responses=v1_problems(404, 409),
        openapi_extra=json_body(IndexRequest, {"corpusId": 12, "document": {"documentId": "a"}}),
    )
    async def index(request: Request) -> Response:
        wanted = await read_message(bodies, request, IndexRequest)
        check_customer(request, wanted.customer_id)
        document = structured_document(wanted.document)
        begun = await door.call(documents.index, wanted.corpus_id, document, seconds_of(request))
        return message_answer(await door.outcome(begun))

    @router.post(
        "/v1/core/index",
        operation_id="v1_core_index",
        summary="Index a document in the parts that it is to be found by",
        response_model=IndexedDocument,
        responses=v1_problems(404, 409),
        openapi_extra=json_body(IndexCoreRequest, {"corpusId": 12, "document": {"documentId": "a"}}),
    )
    async def index_core(request: Request) -> Response:
        wanted = await read_message(bodies, request, IndexCoreRequest)
        check_customer(request, wanted.customer_id)
        document = core_document(wanted.document)
        begun = await door.call(documents.index, wanted.corpus_id, document, seconds_of(request))
        return message_answer(await door.outcome(begun))


def _add_others(router: APIRouter, door: Door, bodies: BodyReader, documents: _Documents) -> None:
    @router.post(
        "/v1/delete-doc",
        operation_id="v1_delete_doc",
        summary="Delete a document",
        description="It cannot be found when this answers; nor can one that was not there.",
        response_model=Nothing,
        responses=v1_problems(404),
        openapi_extra=json_body(DeleteDocumentRequest, {"corpusId": 12, "documentId": "a"}),
    )
    async def delete(request: Request) -> Response:
        wanted = await read_message(bodies, request, DeleteDocumentRequest)
        check_customer(request, wanted.customer_id)
        begun = await door.call(documents.remove, wanted, seconds_of(request))
        return message_answer(await door.outcome(begun))

    @router.post(
        "/v1/list-documents",
        operation_id="v1_list_documents",
        summary="List the documents of a corpus",
        response_model=DocumentList,
        responses=v1_problems(404),
        openapi_extra=json_body(ListDocumentsRequest, {"corpusId": 12, "numResults": 10}),
    )
    @needs(Need.READ)
    async def list_documents(request: Request) -> Response:
        check_customer(request)
        wanted = await read_message(bodies, request, ListDocumentsRequest)
        return message_answer(await door.call(documents.list, tenant_of(request), wanted))


def _add_query(router: APIRouter, door: Door, bodies: BodyReader, documents: _Documents) -> None:
    @router.post(
        "/v1/query",
        operation_id="v1_query",
        summary="Search corpora",
        description="`metadataFilter`: conditions such as `doc.year > 1970 AND part.lang = 'eng'` over the corpus's "
        "filter attributes. Summaries, reranking and context are taken and not used.",
        response_model=QueryAnswer,
        responses=v1_problems(404),
        openapi_extra=json_body(QueryRequest, {"query": [{"query": "sun", "corpusKey": [{"corpusId": 12}]}]}),
    )
    @needs(Need.READ)
    async def query(request: Request) -> Response:
        wanted = await read_message(bodies, request, QueryRequest)
        check_customer(request, *(each.customer_id for query in wanted.query for each in query.corpus_key))
        if not wanted.query:
            raise InvalidRequest("query: expected at least one query, got none")
        sets = [await door.in_turn(documents.search, each, seconds_of(request)) for each in wanted.query]
        return message_answer(QueryAnswer(response_set=sets))


def v1_files_router(door: Door, verbs: CorpusVerbs, keys: PageKeys) -> APIRouter:
    router = APIRouter(route_class=V1FileRoute, tags=["list-jobs"])
    documents = _Documents(verbs, keys)

    @router.post(
        "/v1/upload",
        operation_id="v1_upload",
        summary="Index a file",
        description="Its name is the document's id; `doc_metadata` is a JSON object.",
        response_model=UploadAnswer,
        responses=v1_problems(404, 409, 415),
        openapi_extra=FORM,
    )
    async def upload(request: Request, o: CorpusNumber, c: Customer = 0, d: WantsDocument = False) -> Response:
        check_customer(request, c)
        async with read_file(door, request, "doc_metadata") as file:
            seconds = seconds_of(request)
            begun = await door.call(documents.upload, o, file, seconds, wants_document=d)
        return message_answer(await door.outcome(begun))

    return router
