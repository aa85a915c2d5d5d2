"""An ingest request as a submission: its input checked as far as that can be known at once, large ones spooled."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, ParamSpec, Protocol, TypeVar

from pydantic_core import to_json

from indexmill.dialects.artifacts.translate import stored_metadata
from indexmill.dialects.artifacts.wire import DeleteBody, FileInput, IngestBody, TextInput, UriInput
from indexmill.domain.item_source import SourceKind
from indexmill.domain.job import Item, JobKind, Submission
from indexmill.domain.splitting import Splitting
from indexmill.engine import Engine
from indexmill.errors import CollectionNotFound, InvalidRequest
from indexmill.http.form_data import FormFile
from indexmill.http.json_strings import LongString
from indexmill.http.uploads import Upload
from indexmill.readers.file_type import HEAD_BYTES, claimed_type, detect_head
from indexmill.settings import ArtifactSettings
from indexmill.sources.spool import Spool, SpooledFile
from indexmill.sources.uri import Sources, file_name_of

__all__ = ["Intake"]

#: Longer texts are spooled: they have no place in a job's row.
_INLINE_CHARACTERS: Final = 32 * 1024


P = ParamSpec("P")
T = TypeVar("T")


class Call(Protocol):
    """Runs a function in a thread."""

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T: ...


@dataclass(frozen=True)
class Intake:
    """The methods without `async` block (disk, database): call them in a thread, as `submission` does."""

    engine: Engine
    spool: Spool
    sources: Sources
    settings: ArtifactSettings

    async def submission(
        self, upload: Upload, body: IngestBody, callback: dict[str, Any] | None, call: Call
    ) -> Submission:
        """The job that the request asks for; `call` runs a function in a thread.

        Raises:
            InvalidRequest, ItemError: what can be known at once is wrong with the input.
            SourceRefused: the URI or path is not allowed.
            Conflict: the collection is made with another model.
            ProblemError: the file cannot be stored.
        """
        name = _file_name(body.metadata)
        match body.input:
            case TextInput(value=str() as text) if _is_inline(text) and _is_as_it_is(name):
                return await call(self.text, body, text, name, callback)
            case TextInput(value=(str() | LongString()) as long):
                spooled = await upload.spool_text(long)
                return await call(self.file, body, spooled, name, callback, media_type="text/plain")
            case FileInput(value=FormFile() as file):
                spooled = await upload.spool_file(file)
                return await call(self.file, body, spooled, name or file.file_name, callback)
            case FileInput(value=(str() | LongString()) as base64):
                spooled = await upload.spool_base64(_without_blanks(base64))
                return await call(self.file, body, spooled, name, callback)
            case UriInput(value=uri):
                return await call(self.uri, body, uri, name, callback)
        return await call(self.uri, body, body.file_path or "", name, callback)

    def uri(self, body: IngestBody, uri: str, name: str | None, callback: dict[str, Any] | None) -> Submission:
        self.sources.check_uri(uri)
        name = name or file_name_of(uri)
        info = {"source": "uri", "uri": uri, "file_name": name}
        return self._submission(body, body.artifact or name, info, callback)

    def text(self, body: IngestBody, text: str, name: str | None, callback: dict[str, Any] | None) -> Submission:
        """A short text, which stays with the job."""
        digest = hashlib.sha256(_utf8(text)).hexdigest()
        info = {"source": SourceKind.TEXT, "value": text, "sha256": digest, "file_name": name}
        return self._submission(body, body.artifact or name, info, callback)

    def file(
        self,
        body: IngestBody,
        spooled: SpooledFile,
        name: str | None,
        callback: dict[str, Any] | None,
        media_type: str | None = None,
    ) -> Submission:
        """A file that is in the spool. `media_type`: where its sender has said it and the name says nothing."""
        with self.spool.open(spooled.reference) as stored:
            # Raises for what no reader takes; what the head alone does not tell, the worker finds out.
            detect_head(stored.read(HEAD_BYTES), name, media_type)
        info = {
            "source": SourceKind.SPOOL,
            "value": spooled.reference,
            "sha256": spooled.sha256,
            "file_name": name,
        }
        if media_type is not None:
            info["media_type"] = media_type
        return self._submission(body, body.artifact or name, info, callback, spooled)

    def deletion(self, body: DeleteBody, callback: dict[str, Any] | None = None) -> Submission:
        """A delete needs its place in the order even where there is nothing to delete: an ingest may be under way."""
        return Submission(
            JobKind.DELETION,
            self._model_for_deletes(body.collection),
            [Item(body.artifact)],
            collection=body.collection,
            document=body.artifact,
            callback=callback,
        )

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
        metadata = stored_metadata(body.metadata, info["file_name"])
        if b"\\u0000" in to_json(metadata).replace(b"\\\\", b""):
            raise InvalidRequest("metadata: expected names and values without NUL characters, got one; remove it")
        self._open(body.collection)
        return Submission(
            JobKind.INGESTION,
            self.settings.model,
            [Item(artifact[:255], metadata, info, weight=spooled.size if spooled else 0)],
            collection=body.collection,
            document=artifact[:255],
            callback=callback,
            spooled=(spooled.reference,) if spooled else (),
        )

    def _model_for_deletes(self, collection: str) -> str:
        """That of the collection, whichever it is: nothing is embedded."""
        try:
            return self.engine.collection(collection).deployment.id
        except CollectionNotFound:
            self._open(collection)
            return self.settings.model

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


def _is_inline(text: str) -> bool:
    """Short enough for a job's row, and storable there: it holds no NUL; the readers know what to do with one.

    Raises:
        InvalidRequest: there is nothing but white space.
    """
    if not text.strip():
        raise InvalidRequest("input.value: expected text, got nothing but white space")
    return len(text) <= _INLINE_CHARACTERS and "\0" not in text


def _is_as_it_is(name: str | None) -> bool:
    """Whether the text is what is indexed. Of what its name calls a web page or a PDF, that is read out of it first."""
    claimed = claimed_type(name, None)
    return claimed is None or claimed.is_read_as_text


def _without_blanks(base64: str | LongString) -> str | LongString:
    """Lines of 76 characters, as mail has them; of a long string the decoder takes care."""
    return base64 if isinstance(base64, LongString) else "".join(base64.split())
