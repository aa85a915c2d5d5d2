"""An ingest request as a submission: its input checked as far as that can be known at once, large ones spooled."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any, Final

from indexmill.dialects.artifacts.wire import DeleteBody, FileInput, IngestBody, TextInput
from indexmill.domain.item_source import SourceKind
from indexmill.domain.job import Item, JobKind, Submission
from indexmill.domain.splitting import Splitting
from indexmill.engine import Engine
from indexmill.errors import InvalidRequest
from indexmill.readers.file_type import HEAD_BYTES, detect_head
from indexmill.settings import ArtifactSettings
from indexmill.sources.spool import Spool, SpooledFile
from indexmill.sources.uri import Sources, file_name_of

__all__ = ["Intake"]

#: Longer texts are spooled: they have no place in a job's row.
_INLINE_BYTES: Final = 64 * 1024


@dataclass(frozen=True)
class Intake:
    """The methods block (disk, database): call them in a thread."""

    engine: Engine
    spool: Spool
    sources: Sources
    settings: ArtifactSettings

    def ingestion(self, body: IngestBody, callback: dict[str, Any] | None = None) -> Submission:
        """The job that the request asks for.

        Raises:
            InvalidRequest, ItemError: what can be known at once is wrong with the input.
            SourceRefused: the URI or path is not allowed.
            Conflict: the collection is made with another model.
        """
        name = _file_name(body.metadata)
        if isinstance(body.input, TextInput):
            return self.text(body, body.input.value, name, callback)
        if isinstance(body.input, FileInput):
            return self.file(body, self._stored(_decoded(body.input.value), name), name, callback)
        uri = body.input.value if body.input is not None else body.file_path or ""
        self.sources.check_uri(uri)
        name = name or file_name_of(uri)
        info = {"source": "uri", "uri": uri, "file_name": name}
        return self._submission(body, body.artifact or name, info, callback)

    def text(self, body: IngestBody, text: str, name: str | None, callback: dict[str, Any] | None) -> Submission:
        if not text.strip():
            raise InvalidRequest("input.value: expected text, got nothing but white space")
        data = _utf8(text)
        # The ledger's text holds no NUL; the reader knows what to do with one.
        if len(data) > _INLINE_BYTES or "\0" in text:
            return self.file(body, self.spool.write([data]), name or "text.txt", callback)
        digest = hashlib.sha256(data).hexdigest()
        info = {"source": SourceKind.TEXT, "value": text, "sha256": digest, "file_name": name}
        return self._submission(body, body.artifact or name, info, callback)

    def file(
        self, body: IngestBody, spooled: SpooledFile, name: str | None, callback: dict[str, Any] | None
    ) -> Submission:
        """The same for a file that is in the spool."""
        info = {
            "source": SourceKind.SPOOL,
            "value": spooled.reference,
            "sha256": spooled.sha256,
            "file_name": name,
        }
        return self._submission(body, body.artifact or name, info, callback, spooled)

    def deletion(self, body: DeleteBody, callback: dict[str, Any] | None = None) -> Submission:
        """A delete needs its place in the order even where there is nothing to delete: an ingest may be under way."""
        self._open(body.collection)
        return Submission(
            JobKind.DELETION,
            self.settings.model,
            [Item(body.artifact)],
            collection=body.collection,
            document=body.artifact,
            callback=callback,
        )

    def _stored(self, data: bytes, name: str | None) -> SpooledFile:
        # Raises for what no reader takes; what the head alone does not tell, the worker finds out.
        detect_head(data[:HEAD_BYTES], name, None)
        return self.spool.write([data])

    def _submission(
        self,
        body: IngestBody,
        artifact: str | None,
        info: dict[str, Any],
        callback: dict[str, Any] | None,
        spooled: SpooledFile | None = None,
    ) -> Submission:
        if artifact is None:
            raise InvalidRequest("artifact: expected an id for the document, because no file name is there to name it")
        self._open(body.collection)
        return Submission(
            JobKind.INGESTION,
            self.settings.model,
            [Item(artifact[:255], body.metadata or {}, info, weight=spooled.size if spooled else 0)],
            collection=body.collection,
            document=artifact[:255],
            callback=callback,
            spooled=(spooled.reference,) if spooled else (),
        )

    def _open(self, collection: str) -> None:
        splitting = Splitting(self.settings.chunk_tokens, self.settings.chunk_overlap)
        self.engine.open_collection(collection, self.settings.model, splitting.name)


def _file_name(metadata: dict[str, Any] | None) -> str | None:
    name = (metadata or {}).get("file_name")
    return name if isinstance(name, str) and name else None


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest("input.value: expected text that UTF-8 can hold, got a lone surrogate") from error


def _decoded(value: str) -> bytes:
    try:
        data = base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("input.value: expected a file's bytes in base64, got something else") from error
    if not data:
        raise InvalidRequest("input.value: expected a file's bytes in base64, got an empty file")
    return data
