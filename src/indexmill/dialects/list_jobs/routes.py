"""All routes of front door 4."""

from __future__ import annotations

from typing import Any, cast

from fastapi import APIRouter
from pydantic import BaseModel

from indexmill.dialects.list_jobs.errors import V1Route, V2Route
from indexmill.dialects.list_jobs.v1_corpus_routes import add_v1_corpora
from indexmill.dialects.list_jobs.v1_document_routes import add_v1_documents, v1_files_router
from indexmill.dialects.list_jobs.v1_document_wire import (
    DeleteDocumentRequest,
    IndexCoreRequest,
    IndexRequest,
    ListDocumentsRequest,
    QueryRequest,
)
from indexmill.dialects.list_jobs.v1_job_routes import add_v1_jobs
from indexmill.dialects.list_jobs.v1_wire import (
    CorpusRequest,
    CreateCorpusRequest,
    ListCorporaRequest,
    ListJobsRequest,
    ReadCorpusRequest,
    ReplaceAttributesRequest,
)
from indexmill.dialects.list_jobs.v2_corpus_routes import add_v2_corpora
from indexmill.dialects.list_jobs.v2_document_routes import add_v2_documents, v2_files_router
from indexmill.dialects.list_jobs.v2_job_routes import add_v2_jobs
from indexmill.dialects.list_jobs.v2_wire import (
    CreateCorpusBody,
    CreateDocumentBody,
    QueryBody,
    QueryCorporaBody,
    ReplaceAttributesBody,
    UpdateCorpusBody,
    UpdateDocumentBody,
)
from indexmill.dialects.list_jobs.verbs import CorpusVerbs
from indexmill.http.body import BodyReader
from indexmill.http.service import Door
from indexmill.security.page_keys import PageKeys

__all__ = ["LIST_JOBS_BODIES", "LIST_JOBS_TAGS", "list_jobs_routers"]

#: What the routes read themselves.
LIST_JOBS_BODIES: list[type[BaseModel]] = [
    ListJobsRequest,
    ReplaceAttributesRequest,
    CreateCorpusRequest,
    CorpusRequest,
    ReadCorpusRequest,
    ListCorporaRequest,
    IndexRequest,
    IndexCoreRequest,
    DeleteDocumentRequest,
    ListDocumentsRequest,
    QueryRequest,
    CreateCorpusBody,
    UpdateCorpusBody,
    ReplaceAttributesBody,
    CreateDocumentBody,
    UpdateDocumentBody,
    QueryBody,
    QueryCorporaBody,
]
LIST_JOBS_TAGS = [
    {"name": "list-jobs", "description": "All jobs, and corpora: the first version (Vectara's REST API v1)."},
    {"name": "jobs and corpora", "description": "All jobs, and corpora: the second version (Vectara's REST API v2)."},
]


class _CallersCorpora:
    """The verbs of whoever asks, looked up at each call."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._door.corpora, verb)


def list_jobs_routers(door: Door, bodies: BodyReader, large_bodies: BodyReader, keys: PageKeys) -> list[APIRouter]:
    """
    Args:
        large_bodies: for documents.
    """
    verbs = cast("CorpusVerbs", _CallersCorpora(door))
    first = APIRouter(route_class=V1Route, tags=["list-jobs"])
    add_v1_jobs(first, door, bodies, verbs, keys)
    add_v1_corpora(first, door, bodies, verbs, keys)
    add_v1_documents(first, door, verbs, keys, bodies=bodies, large_bodies=large_bodies)
    second = APIRouter(route_class=V2Route, tags=["jobs and corpora"])
    add_v2_jobs(second, door, keys)
    add_v2_corpora(second, door, bodies, verbs, keys)
    add_v2_documents(second, door, verbs, keys, bodies=bodies, large_bodies=large_bodies)
    return [first, second, v1_files_router(door, verbs, keys), v2_files_router(door, verbs, keys)]
