"""The routes of file uploads: addresses to send files to, and the files themselves, streamed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import uuid4

from fastapi import APIRouter, Path, Request, Response

from indexmill.dialects.indexing_jobs.errors import PREFIX, REQUEST_ID, indexing_problems, not_found
from indexmill.dialects.indexing_jobs.requests import PRESIGN_EXAMPLE, FileToUpload, PresignBody
from indexmill.dialects.indexing_jobs.responses import EXAMPLE_OBJECT_KEY, PresignedUploads, UploadedFile
from indexmill.domain.principal import Principal, Role
from indexmill.errors import InvalidRequest
from indexmill.http.answers import json_answer, timestamp
from indexmill.http.auth import Need, gate_of, needs
from indexmill.http.body import BodyReader
from indexmill.http.identity import as_sent, current_principal
from indexmill.http.links import MakeLink
from indexmill.http.openapi import json_body
from indexmill.http.problems import Problem, ProblemError
from indexmill.http.service import Door
from indexmill.security.signed_urls import LinkPurpose, UrlSigner
from indexmill.sources.source import FetchedSource
from indexmill.sources.upload_store import UploadStore, belongs_to, checked_object_key, new_object_key

__all__ = ["UPLOAD_LIFE", "add_uploads"]

#: How long a file may be sent to its address.
UPLOAD_LIFE: Final = timedelta(hours=1)
_UPLOADS: Final = f"{PREFIX}/uploads"
ObjectKey = Annotated[
    str,
    Path(
        description="The `object_key` that came with the address.",
        openapi_examples={"object": {"value": EXAMPLE_OBJECT_KEY}},
    ),
]
_BYTES: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


def add_uploads(
    router: APIRouter, door: Door, bodies: BodyReader, signer: UrlSigner, store: UploadStore, *, link: MakeLink
) -> None:
    limit = min(door.service.settings.server.upload_limit_bytes, door.service.settings.sources.max_bytes)
    _add_presign(router, door, bodies, _Presigner(signer, store, limit, link))
    _add_receive(router, door, signer, store)


class _Presigner:
    def __init__(self, signer: UrlSigner, store: UploadStore, limit: int, link: MakeLink) -> None:
        self._signer = signer
        self._store = store
        self._limit = limit
        self._link = link

    def presign(self, request: Request, file: FileToUpload) -> dict[str, str]:
        """
        Raises:
            ProblemError: a file that is too large (413), or a key that nothing was uploaded to (404).
            InvalidRequest: it is no key.
        """
        if file.file_size > self._limit:
            message = (
                f"file_size: expected at most {self._limit} bytes, got {file.file_size}; send a smaller file, or raise "
                "`server.upload_limit_bytes` and `sources.max_bytes`"
            )
            raise ProblemError(Problem(413, "payload_too_large", message))
        tenant = current_principal().tenant
        if file.object_key is not None and not self._has(file.object_key, tenant):
            raise ProblemError(not_found("Uploaded file", file.object_key))
        key = file.object_key or new_object_key(tenant)
        path, expires_at = f"{_UPLOADS}/{key}", datetime.now(UTC).replace(microsecond=0) + UPLOAD_LIFE
        query = self._signer.sign(
            LinkPurpose.UPLOAD, path, expires_at, {"size": str(file.file_size), "tenant": str(tenant)}
        )
        return {
            "object_key": key,
            "original_file_name": file.file_name,
            "presigned_url": self._link(request, path, query),
            "expires_at": timestamp(expires_at),
        }

    def _has(self, object_key: str, tenant: int) -> bool:
        key = checked_object_key(object_key)
        return belongs_to(key, tenant) and self._store.stat(key) is not None


def _add_presign(router: APIRouter, door: Door, bodies: BodyReader, presigner: _Presigner) -> None:
    @router.post(
        f"{PREFIX}/knowledge_bases/data_sources/file_upload_presigned_urls",
        operation_id="presign_file_uploads",
        summary="Get addresses to upload files to",
        description="`PUT` each file to its address within an hour, then name its `object_key` as the "
        "`stored_object_key` of a `file_upload_data_source`. With the `object_key` of an earlier upload the file is "
        "replaced, and the next indexing job indexes it again.",
        response_model=PresignedUploads,
        responses=indexing_problems(400, 403, 404, 408, 413, 503),
        openapi_extra=json_body(PresignBody, PRESIGN_EXAMPLE),
    )
    async def presign(request: Request) -> Response:
        async with bodies.read(request, PresignBody) as body:
            files = body.value.files

        def presigned() -> list[dict[str, str]]:
            return [presigner.presign(request, each) for each in files]

        request_id = str(uuid4())
        answer = {"request_id": request_id, "uploads": await door.call(presigned)}
        return json_answer(answer, headers={REQUEST_ID: request_id})


def _add_receive(router: APIRouter, door: Door, signer: UrlSigner, store: UploadStore) -> None:
    @router.put(
        f"{_UPLOADS}/{{object_key:path}}",
        operation_id="upload_file",
        summary="Upload a file",
        description="By the address that was given for it: the bytes as they are, exactly as many as were announced.",
        response_model=UploadedFile,
        responses=indexing_problems(400, 403, 408, 413, 503),
        openapi_extra=_BYTES,
    )
    @needs(Need.PUBLIC)
    async def upload(request: Request, object_key: ObjectKey) -> Response:
        signed = signer.verify(LinkPurpose.UPLOAD, *as_sent(request))
        await gate_of(request).enter(request, Principal(int(signed["tenant"]), Role.WRITE, "upload link"))
        size = int(signed["size"])

        def put(chunks: Iterable[bytes]) -> FetchedSource:
            return store.put(object_key, _exactly(size, chunks), size)

        stored = await door.uploads.receive(request, size, put)
        return json_answer({"object_key": object_key, "size_in_bytes": str(stored.size)})


def _exactly(size: int, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """
    Raises:
        InvalidRequest: they end before; that they go on is seen where they arrive.
    """
    seen = 0
    for chunk in chunks:
        seen += len(chunk)
        yield chunk
    if seen != size:
        raise InvalidRequest(f"expected the {size} bytes that were announced, got {seen}")
