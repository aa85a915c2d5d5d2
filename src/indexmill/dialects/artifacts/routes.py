"""The routes of front door 2: ingest and delete, asynchronous and waited for, and what can be read back."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic_core import from_json, to_json
from starlette.responses import StreamingResponse

from indexmill.dialects.artifacts.contents import content_of
from indexmill.dialects.artifacts.errors import ArtifactRoute, artifact_problems, document_problem
from indexmill.dialects.artifacts.ingest import Intake
from indexmill.dialects.artifacts.results import indexed_documents
from indexmill.dialects.artifacts.translate import (
    chosen_documents,
    document_view,
    ingest_response,
    is_success,
    task_reference,
    task_view,
)
from indexmill.dialects.artifacts.wire import (
    DEFAULT_COLLECTION,
    DELETE_EXAMPLE,
    INGEST_ASYNC_EXAMPLE,
    INGEST_EXAMPLE,
    SEARCH_EXAMPLE,
    Callback,
    ChunkList,
    ContentBody,
    ContentList,
    ContextFilter,
    DeleteAsyncBody,
    DeleteBody,
    EmbeddingList,
    EmbeddingsBody,
    IngestAsyncBody,
    IngestBody,
    IngestResponse,
    SearchBody,
    TaskCreated,
    TaskStatus,
)
from indexmill.domain.callback import checked_callback
from indexmill.domain.failure import Failure
from indexmill.domain.job import Job, Submission
from indexmill.domain.job_state import JobState
from indexmill.engine import Engine
from indexmill.errors import CollectionNotFound, InvalidRequest, JobNotFound
from indexmill.http.answers import json_answer
from indexmill.http.auth import Need, needs
from indexmill.http.body import BodyReader, validated
from indexmill.http.form_data import FormFile
from indexmill.http.openapi import json_body
from indexmill.http.problems import Problem, ProblemError
from indexmill.http.service import Door
from indexmill.http.uploads import FILE_FIELD, Upload, UploadReader
from indexmill.vectors.chunk_search import ChunkHit
from indexmill.vectors.stored_documents import DocumentContent, StoredDocument

__all__ = ["PREFIXES", "artifact_router"]

#: Paths of this door, for errors that no route has taken.
PREFIXES: Final = ("/v1/artifacts", "/v1/primitives", "/v1/embeddings")
_PAGE: Final = 500
#: What one submission of this door takes in a commit that several share.
_SUBMISSION_BYTES: Final = 64 * 1024

TaskId = Annotated[
    str,
    Path(
        description="As the request was answered.",
        openapi_examples={"task": {"value": "task_0192e4a1-7c3b-7def-8a90-1b2c3d4e5f60"}},
    ),
]
Collection = Annotated[
    str, Query(min_length=1, max_length=255, pattern=r"^[^\x00]*$", description="The collection's name.")
]
After = Annotated[str | None, Query(max_length=255, pattern=r"^[^\x00]*$", description="Continue after this artifact.")]
Limit = Annotated[int | None, Query(ge=1, le=10_000, description="At most so many documents; all of them by default.")]


def artifact_router(door: Door, bodies: BodyReader) -> APIRouter:
    router = APIRouter(route_class=ArtifactRoute, tags=["artifacts"])
    tasks = _Tasks(door)
    _add_ingest(router, door.uploads, tasks)
    _add_delete(router, bodies, tasks)
    _add_reads(router, bodies, tasks)
    _add_primitives(router, bodies, tasks)
    return router


class _Tasks:
    """The engine's verbs as this door needs them. The methods without `async` run in a thread."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.settings = door.service.settings.artifacts

    @property
    def engine(self) -> Engine:
        return self.door.engine

    @property
    def intake(self) -> Intake:
        return Intake(self.engine, self.door.service.spool, self.door.sources, self.settings)

    async def ingest(self, upload: Upload, body: IngestBody, callback: dict[str, Any] | None) -> Job:
        return await self._submit(await self.intake.submission(upload, body, callback, self.door.call))

    async def _submit(self, submission: Submission) -> Job:
        # A text at most: what is larger is in the spool.
        return (await self.door.submit(submission, _SUBMISSION_BYTES)).job

    def callback(self, wanted: Callback | None) -> dict[str, Any] | None:
        """
        Raises:
            InvalidRequest, Forbidden: it cannot be, or its exchange is not allowed.
        """
        if wanted is None:
            return None
        return checked_callback(wanted.model_dump(), self.door.service.settings.callbacks.allowed_exchanges)

    async def delete(self, body: DeleteBody, callback: dict[str, Any] | None = None) -> Job:
        job = await self._submit(await self.door.call(self.intake.deletion, body, callback))
        await self.door.call(self.engine.revoke_earlier, job)
        return job

    async def created(self, job: Job) -> Response:
        return json_answer({"task_id": task_reference(job)})

    async def status(self, reference: str) -> Response:
        try:
            view = await self.door.call(self._status, reference)
        except JobNotFound:
            if self.settings.unknown_task != "pending":
                raise
            view = {"task_id": reference, "task_status": "PENDING", "task_result": None}
        return json_answer(view)

    def _status(self, reference: str) -> dict[str, Any]:
        job = self.engine.find(reference)
        failure = self._failure(job)
        return task_view(job, self.documents_of(job), failure.sentence if failure else None)

    def _failure(self, job: Job) -> Failure | None:
        if not job.counters.failed:
            return None
        return next(iter(self.engine.failed_items(job, limit=1)), None)

    def documents_of(self, job: Job) -> list[dict[str, Any]]:
        return indexed_documents(job, self.engine)

    async def finished(self, job: Job) -> Job:
        """The job when it has ended. A client that goes away ends the wait, not the job.

        Raises:
            ProblemError: it takes too long (504).
        """
        try:
            return await self.door.ended(job, self.settings.sync_timeout_seconds)
        except TimeoutError as error:
            message = f"The task has not ended yet; ask for it as {task_reference(job)}"
            raise ProblemError(Problem(504, "still_running", message)) from error

    async def succeeded(self, job: Job) -> Job:
        """The ended job, or what went wrong with it.

        Raises:
            ProblemError
        """
        ended = await self.finished(job)
        if is_success(ended):
            return ended
        if ended.state is JobState.CANCELLED:
            raise ProblemError(Problem(409, "revoked", ended.detail or "The task was cancelled"))
        failure = await self.door.call(self._failure, ended)
        if failure is not None:
            raise ProblemError(document_problem(failure.code, failure.sentence))
        raise ProblemError(Problem(503, "task_failed", ended.detail or "The task failed"))


def _add_ingest(router: APIRouter, uploads: UploadReader, tasks: _Tasks) -> None:
    @router.post(
        "/v1/artifacts/ingest/async",
        operation_id="ingest_artifact_async",
        summary="Index a document in the background",
        description="The task is durable when this answers. Ask for it by its id until it has ended.",
        response_model=TaskCreated,
        responses=artifact_problems(400, 403, 408, 409, 413, 503),
        openapi_extra=json_body(IngestAsyncBody, INGEST_ASYNC_EXAMPLE),
    )
    async def ingest_async(request: Request) -> Response:
        async with uploads.read(request) as upload:
            body = validated(_async_body(upload.value), IngestAsyncBody)
            callback = tasks.callback(body.callback)
            return await tasks.created(await tasks.ingest(upload, body.ingest_body, callback))

    @router.get(
        "/v1/artifacts/ingest/async/{task_id}",
        operation_id="get_ingest_task",
        summary="How an ingest goes",
        description="`SUCCESS` only when a search finds the document.",
        response_model=TaskStatus,
        responses=artifact_problems(400, 403, 404, 503),
    )
    async def ingest_status(task_id: TaskId) -> Response:
        return await tasks.status(task_id)

    @router.post(
        "/v1/artifacts/ingest",
        operation_id="ingest_artifact",
        summary="Index a document and wait for it",
        description="The same task, waited for. A client that goes away does not end it.",
        response_model=IngestResponse,
        responses=artifact_problems(400, 403, 408, 409, 413, 503, 504),
        openapi_extra=json_body(IngestBody, INGEST_EXAMPLE),
    )
    async def ingest(request: Request) -> Response:
        async with uploads.read(request) as upload:
            job = await tasks.ingest(upload, validated(_ingest_body(upload.value), IngestBody), None)
        ended = await tasks.succeeded(job)
        return json_answer(ingest_response(await tasks.door.call(tasks.documents_of, ended)))


def _async_body(value: Any) -> Any:
    """A form has the fields of both levels beside one another."""
    if not _is_form(value):
        return value
    return {"callback": _json_field(value, "callback"), "ingest_body": _ingest_body(value)}


def _ingest_body(value: Any) -> Any:
    """A form's file is its input, and its metadata is JSON in a field."""
    if not _is_form(value):
        return value
    fields = {name: field for name, field in value.items() if name not in (FILE_FIELD, "callback")}
    fields["input"] = {"type": "file", "value": value[FILE_FIELD]}
    metadata = _json_field(value, "metadata")
    if isinstance(metadata, dict) or metadata is None:
        metadata = {"file_name": value[FILE_FIELD].file_name, **(metadata or {})}
    return {**fields, "metadata": metadata}


def _is_form(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get(FILE_FIELD), FormFile)


def _json_field(form: dict[str, Any], name: str) -> Any:
    """
    Raises:
        InvalidRequest: the field is there and is not JSON.
    """
    if form.get(name) in (None, ""):
        return None
    try:
        return from_json(form[name], allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequest(f"{name}: expected JSON in this field of the form: {error}") from error


def _add_delete(router: APIRouter, bodies: BodyReader, tasks: _Tasks) -> None:
    @router.post(
        "/v1/artifacts/delete/async",
        operation_id="delete_artifact_async",
        summary="Remove a document in the background",
        description="It wins over every ingest that was submitted before it. Removing what is not there succeeds.",
        response_model=TaskCreated,
        responses=artifact_problems(400, 403, 408, 409, 413, 503),
        openapi_extra=json_body(DeleteAsyncBody, {"delete_body": DELETE_EXAMPLE}),
    )
    async def delete_async(request: Request) -> Response:
        async with bodies.read(request, DeleteAsyncBody) as received:
            body = received.value
            return await tasks.created(await tasks.delete(body.delete_body, tasks.callback(body.callback)))

    @router.get(
        "/v1/artifacts/delete/async/{task_id}",
        operation_id="get_delete_task",
        summary="How a delete goes",
        response_model=TaskStatus,
        responses=artifact_problems(400, 403, 404, 503),
    )
    async def delete_status(task_id: TaskId) -> Response:
        return await tasks.status(task_id)

    @router.post(
        "/v1/artifacts/delete",
        operation_id="delete_artifact",
        summary="Remove a document and wait for it",
        response_model=None,
        responses=artifact_problems(400, 403, 408, 409, 413, 503, 504),
        openapi_extra=json_body(DeleteBody, DELETE_EXAMPLE),
    )
    async def delete(request: Request) -> Response:
        async with bodies.read(request, DeleteBody) as received:
            job = await tasks.delete(received.value)
        await tasks.succeeded(job)
        return json_answer(None)


def _add_reads(router: APIRouter, bodies: BodyReader, tasks: _Tasks) -> None:
    @router.get(
        "/v1/artifacts/list",
        operation_id="list_artifacts",
        summary="The documents of a collection",
        description="All of them, by id; or a page, where `limit` or `after` is given.",
        response_model=IngestResponse,
        responses=artifact_problems(400, 403, 503),
    )
    async def list_artifacts(
        collection: Collection = DEFAULT_COLLECTION, after: After = None, limit: Limit = None
    ) -> Response:
        page = await tasks.door.call(_documents, tasks, collection, after, limit)
        return StreamingResponse(_listed(tasks, collection, page, limit), media_type="application/json")

    @router.post(
        "/v1/artifacts/content",
        operation_id="artifact_content",
        summary="The text of documents",
        response_model=ContentList,
        responses=artifact_problems(400, 403, 408, 413, 503),
        openapi_extra=json_body(ContentBody, {"context_filter": {"collection": "my-collection"}}),
    )
    @needs(Need.READ)
    async def content(request: Request) -> Response:
        async with bodies.read(request, ContentBody) as received:
            wanted = received.value
        first = await tasks.door.call(_content_page, tasks, wanted, None)

        return StreamingResponse(_contents(tasks, wanted, first), media_type="application/json")

    @router.get(
        "/health",
        operation_id="health",
        summary="Whether the service answers",
        response_model=dict[str, str],
        responses=artifact_problems(403),
    )
    @needs(Need.PUBLIC)
    async def health() -> Response:
        return json_answer({"status": "ok"})


def _documents(tasks: _Tasks, collection: str, after: str | None, limit: int | None) -> list[StoredDocument]:
    try:
        return tasks.engine.documents(collection, after=after, limit=min(limit or _PAGE, _PAGE))
    except CollectionNotFound:
        return []


async def _listed(
    tasks: _Tasks, collection: str, page: list[StoredDocument], limit: int | None
) -> AsyncIterator[bytes]:
    """The answer's JSON, a page at a time; `page` is the first one."""
    left = limit
    yield b'{"object":"list","model":"private-gpt","data":['
    head = b""
    while page:
        views = [document_view(each.id, collection, each.payload, each.item_info) for each in page]
        yield head + b",".join(to_json(view) for view in views)
        head = b","
        left = None if left is None else left - len(page)
        if left == 0:
            break
        page = await tasks.door.call(_documents, tasks, collection, page[-1].id, left)
    yield b"]}"


def _content_page(tasks: _Tasks, wanted: ContentBody, after: str | None) -> list[DocumentContent]:
    collection = wanted.context_filter.collection
    ids, equal = chosen_documents(wanted.context_filter)
    try:
        return tasks.engine.contents(collection, ids=ids, equal=equal, limit=_PAGE, after=after)
    except CollectionNotFound:
        return []


async def _contents(tasks: _Tasks, wanted: ContentBody, page: list[DocumentContent]) -> AsyncIterator[bytes]:
    """As `_listed`, with texts."""
    yield b'{"data":['
    head = b""
    while page:
        for each in page:
            yield head + await tasks.door.call(content_of, each, wanted, tasks.engine, tasks.settings.model)
            head = b","
        page = await tasks.door.call(_content_page, tasks, wanted, page[-1].id)
    yield b"]}"


def _add_primitives(router: APIRouter, bodies: BodyReader, tasks: _Tasks) -> None:
    @router.post(
        "/v1/primitives/search",
        operation_id="search_chunks",
        summary="The chunks nearest to a text",
        response_model=ChunkList,
        responses=artifact_problems(400, 403, 408, 413, 503),
        openapi_extra=json_body(SearchBody, SEARCH_EXAMPLE),
    )
    @needs(Need.READ)
    async def search(request: Request) -> Response:
        async with bodies.read(request, SearchBody) as received:
            wanted = received.value
        if wanted.type != "semantic_search":
            message = f"Search type '{wanted.type}' is not there yet; use 'semantic_search'"
            raise ProblemError(Problem(400, "not_implemented", message))
        if not (wanted.text or "").strip():
            raise ProblemError(Problem(400, "invalid_request", "text: expected what to search for, got nothing"))
        chosen = wanted.context_filter
        ids, equal = chosen_documents(chosen)
        try:
            hits = await tasks.door.search_chunks(
                chosen.collection,
                wanted.text or "",
                limit=wanted.limit,
                ids=ids,
                equal=equal,
                min_score=wanted.score_threshold,
                expand=1 if wanted.expand else 0,
            )
        except CollectionNotFound:
            hits = []
        return json_answer(
            {"object": "list", "model": "private-gpt", "data": [_chunk_view(hit, chosen) for hit in hits]}
        )

    @router.post(
        "/v1/embeddings",
        operation_id="embeddings",
        summary="The vectors of texts",
        description="By the model that documents are embedded with, or by another deployed one.",
        response_model=EmbeddingList,
        responses=artifact_problems(400, 403, 404, 408, 413, 503),
        openapi_extra=json_body(EmbeddingsBody, {"input": "neural nets basics"}),
    )
    @needs(Need.READ)
    async def embeddings(request: Request) -> Response:
        async with bodies.read(request, EmbeddingsBody) as received:
            wanted = received.value
        if not all(text.strip() for text in wanted.texts):
            raise ProblemError(Problem(400, "invalid_request", "input: expected texts, got an empty one"))
        known = wanted.model not in ("default", "private-gpt")
        model = wanted.model if known else tasks.settings.model
        embedded = await tasks.door.call(tasks.engine.embed, model, wanted.texts)
        tokens = int(embedded.tokens.sum())
        write = _in_base64 if wanted.encoding_format == "base64" else _as_list
        data = [
            {"index": index, "object": "embedding", "embedding": write(vector)}
            for index, vector in enumerate(embedded.vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return json_answer({"object": "list", "model": "private-gpt", "data": data, "usage": usage})


def _as_list(vector: Any) -> list[float]:
    numbers: list[float] = vector.tolist()
    return numbers


def _in_base64(vector: Any) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _chunk_view(hit: ChunkHit, chosen: ContextFilter) -> dict[str, Any]:
    document = hit.document
    metadata: dict[str, Any] = {"start": hit.start, "end": hit.end, "ordinal": hit.ordinal}
    if hit.page is not None:
        metadata["page"] = hit.page
    if hit.headings:
        metadata["headings"] = hit.headings
    return {
        "object": "context.chunk",
        "id": f"{document.id}#{hit.ordinal}",
        "score": hit.score,
        "document": document_view(document.id, chosen.collection, document.payload, document.item_info),
        "text": hit.text,
        "content_type": "text/plain",
        "previous_texts": hit.previous_texts,
        "next_texts": hit.next_texts,
        "metadata": metadata,
    }
