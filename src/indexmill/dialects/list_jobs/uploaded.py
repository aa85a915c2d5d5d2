"""Files as both versions take them: a form with the file and small fields, the file's name being the document's id."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

from fastapi import Request

from indexmill.dialects.list_jobs.metadata import metadata_of
from indexmill.domain.corpus import NewFile
from indexmill.errors import InvalidRequest
from indexmill.http.service import Door
from indexmill.http.uploads import FormFile

__all__ = ["FORM", "read_file"]

#: The OpenAPI description of such a body.
FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "metadata": {"type": "string", "description": "A JSON object."},
                        "filename": {"type": "string", "description": "The document's id, instead of the file's name."},
                    },
                }
            }
        },
    }
}


@asynccontextmanager
async def read_file(door: Door, request: Request, metadata_field: str) -> AsyncIterator[NewFile]:
    """
    Raises:
        ProblemError: no form, or too large a one, or it cannot be stored now.
        InvalidRequest: no file, no name for it, or metadata that is no JSON object.
    """
    async with door.uploads.read(request) as upload:
        form = upload.value if isinstance(upload.value, dict) else {}
        file, metadata = form.get("file"), form.get(metadata_field, "")
        if not isinstance(file, FormFile) or not isinstance(metadata, str):
            raise InvalidRequest("file: expected a form (multipart/form-data) with a file in the part `file`")
        given = form.get("filename")
        name = given if isinstance(given, str) and given else unquote(file.given_name)
        if not 1 <= len(name) <= 512 or "\0" in name:
            raise InvalidRequest(
                "filename: expected the file with a name of 1 to 512 characters: it is the document's id"
            )
        said = metadata_of(metadata, metadata_field)
        spooled = await upload.spool_file(file)
        yield NewFile(name, spooled.reference, spooled.sha256, spooled.size, file.media_type, said)
