"""The app: every door and native API on one FastAPI instance, behind the guard."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from indexmill import __version__
from indexmill.dialects.artifacts.errors import artifact_shape
from indexmill.dialects.artifacts.routes import PREFIXES as ARTIFACT_PREFIXES
from indexmill.dialects.artifacts.routes import artifact_router
from indexmill.dialects.artifacts.wire import (
    ContentBody,
    DeleteAsyncBody,
    DeleteBody,
    EmbeddingsBody,
    IngestAsyncBody,
    IngestBody,
    SearchBody,
)
from indexmill.dialects.indexing_jobs.errors import indexing_shape, is_own_path
from indexmill.dialects.indexing_jobs.requests import (
    CreateDataSourceBody,
    CreateKnowledgeBaseBody,
    NamedJobBody,
    PresignBody,
    RetrieveBody,
    StartJobBody,
    UpdateDataSourceBody,
    UpdateKnowledgeBaseBody,
)
from indexmill.dialects.indexing_jobs.routes import indexing_router
from indexmill.dialects.list_jobs.errors import is_v1_path, is_v2_path, v1_shape, v2_shape
from indexmill.dialects.list_jobs.routes import LIST_JOBS_BODIES, LIST_JOBS_TAGS, list_jobs_routers
from indexmill.dialects.upsertion_tasks import errors as task_errors
from indexmill.dialects.upsertion_tasks import routes as task_routes
from indexmill.dialects.upsertion_tasks.wire import DeletionRequest, UpsertionRequest
from indexmill.http.auth import Gate, Metering
from indexmill.http.body import BodyReader
from indexmill.http.docs_page import docs_router
from indexmill.http.documentation import documentation_router
from indexmill.http.guard import Guard
from indexmill.http.health import health_router
from indexmill.http.jobs_api import jobs_router
from indexmill.http.models_api import ModelRequest, models_router
from indexmill.http.openapi import document_of
from indexmill.http.problems import NativeRoute, Problem, native_shape
from indexmill.http.route_marks import check_marks, public_operations
from indexmill.http.search_api import CollectionRequest, SearchRequest, search_router
from indexmill.http.service import Door, Service
from indexmill.http.token_api import TokenBody, token_router

__all__ = ["create_app"]

#: Requests that carry no items.
_SMALL_BODY: Final = 1024 * 1024
#: Where no door's own words are imitated, what to do is said too.
_WAYS_ON: Final = {
    "no_such_path": "There is nothing at this path; /docs shows every call, /llms.txt lists the documentation",
    "method_not_allowed": "This path does not take this method; /docs shows which ones it takes",
}
_DESCRIPTION: Final = (
    "Keeps vector indexes up to date: submit items, follow the job, see what failed and why, cancel it, run it again, "
    "and search what was indexed."
)
#: What routes read themselves.
_BODIES: Final[list[type[BaseModel]]] = [
    UpsertionRequest,
    DeletionRequest,
    ModelRequest,
    SearchRequest,
    CollectionRequest,
    IngestAsyncBody,
    IngestBody,
    DeleteAsyncBody,
    DeleteBody,
    SearchBody,
    ContentBody,
    EmbeddingsBody,
    CreateKnowledgeBaseBody,
    UpdateKnowledgeBaseBody,
    CreateDataSourceBody,
    UpdateDataSourceBody,
    PresignBody,
    StartJobBody,
    NamedJobBody,
    RetrieveBody,
    TokenBody,
    *LIST_JOBS_BODIES,
]
_TAGS: Final = [
    {"name": "upsertion tasks", "description": "Insert or update vectors (Embedding Studio's internal task API)."},
    {"name": "deletion tasks", "description": "Remove objects (Embedding Studio's internal task API)."},
    {"name": "artifacts", "description": "Documents in, searched, and out again (PrivateGPT's artifact API)."},
    {
        "name": "knowledge bases",
        "description": "Data sources pulled in and kept in step by indexing jobs (DigitalOcean's GenAI API).",
    },
    *LIST_JOBS_TAGS,
    {"name": "jobs", "description": "Every job of every door: the ledger."},
    {"name": "models", "description": "Deployed embedding models."},
    {"name": "search", "description": "Collections and search."},
    {"name": "tokens", "description": "OAuth 2.0 client credentials."},
    {"name": "health", "description": "Probes and measurements."},
]


def create_app(service: Service) -> FastAPI:
    """The app for a service that the caller starts and closes."""
    door = Door(service)
    limit, max_items = service.settings.server.body_limit_bytes, service.settings.server.max_items
    bodies, small_bodies = BodyReader(limit, max_items), BodyReader(min(limit, _SMALL_BODY), max_items)

    app = FastAPI(
        title="Indexmill",
        version=__version__,
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        # FastAPI's own pages load their scripts from the Internet.
        docs_url=None,
        redoc_url=None,
        # Its own would name the host and the scheme that it sees behind a proxy: `_http_error` redirects.
        redirect_slashes=False,
    )
    # What is added to the app itself is guarded too.
    app.router.route_class = NativeRoute
    for router in task_routes.task_routers(door, bodies):
        app.include_router(router)
    app.include_router(artifact_router(door, small_bodies))
    app.include_router(indexing_router(door, small_bodies, service.url_signer, service.upload_store))
    for router in list_jobs_routers(door, small_bodies, bodies, service.page_keys):
        app.include_router(router)
    app.include_router(jobs_router(door))
    app.include_router(models_router(door, small_bodies))
    app.include_router(search_router(door, small_bodies))
    app.include_router(health_router(service))
    app.include_router(docs_router())
    app.include_router(documentation_router())
    app.include_router(token_router())
    gate = Gate(service.authenticator, service.limits, service.settings.auth)
    app.state.gate = gate
    # The last one is the first that a request meets.
    app.add_middleware(Metering, gate=gate)
    app.add_middleware(Guard, shape=_shape, is_locked=gate.is_locked)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _defect)
    check_marks(app)
    _own_document(app)
    return app


def _own_document(app: FastAPI) -> None:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = document_of(app, _BODIES, public_operations(app))
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document


def _shape(path: str, problem: Problem) -> Response:
    """Where no route has taken the request yet, its path says which door it is at."""
    if path.startswith(tuple(f"{prefix}/" for prefix in task_routes.PREFIXES)):
        return task_errors.task_shape(problem)
    if path.startswith(ARTIFACT_PREFIXES):
        return artifact_shape(problem)
    if is_own_path(path):
        return indexing_shape(problem)
    if is_v1_path(path):
        return v1_shape(problem)
    if is_v2_path(path):
        return v2_shape(problem)
    return native_shape(replace(problem, message=_WAYS_ON.get(problem.code, problem.message)))


def _http_error(request: Request, error: Exception) -> Response:
    """No such path, no such method."""
    if isinstance(error, HTTPException) and error.status_code == 404 and _has_other_slash(request):
        path, query = request.scope["path"].rstrip("/"), request.scope["query_string"].decode("latin-1")
        # Relative: to the host and by the scheme that the client knows.
        return Response(status_code=307, headers={"Location": quote(path) + (f"?{query}" if query else "")})
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = str(error.detail) if isinstance(error, HTTPException) else "Internal error"
    headers = (error.headers if isinstance(error, HTTPException) else None) or {}
    code = {404: "no_such_path", 405: "method_not_allowed"}.get(status, "http_error")
    return _shape(request.scope["path"], Problem(status, code, message, headers))


def _has_other_slash(request: Request) -> bool:
    """Whether the path would be one without the slash at its end."""
    path: str = request.scope["path"]
    if not path.endswith("/") or path.startswith("//"):
        return False
    wanted = {**request.scope, "path": path.rstrip("/")}
    return any(route.matches(wanted)[0] is not Match.NONE for route in request.app.router.routes)


def _defect(request: Request, _: Exception) -> Response:
    """A defect of ours: the server logs it, the client gets no traceback."""
    message = "Internal error: a defect of Indexmill, its log says more"
    return _shape(request.scope["path"], Problem(500, "internal_error", message))
