"""Making documents of corpora: only where there is none of the id, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from indexmill.domain.corpus import Corpus, DocumentState, NewDocument, NewFile
from indexmill.domain.document import canonical_json
from indexmill.domain.given_parts import parts_value
from indexmill.domain.item_source import SourceKind
from indexmill.domain.job import Item, Job, JobKind, Submission
from indexmill.domain.metadata_coercion import check_fit
from indexmill.engine import Engine
from indexmill.errors import Conflict, InvalidRequest
from indexmill.ledger.collections import Collection

__all__ = ["Making", "WantedDocument", "begin_making", "collection_of", "settled_state", "submission_of"]

_DOT_SEGMENTS: Final = (".", "..")


@dataclass(frozen=True)
class WantedDocument:
    """A document to be, as its item; `parts`: their metadata.

    `mark`: what the `item_info` of a stored one says that is the same, by name.
    """

    item: Item
    mark: tuple[str, str]
    parts: tuple[dict[str, Any], ...] = ()
    spooled: tuple[str, ...] = ()

    @staticmethod
    def of_parts(document: NewDocument) -> WantedDocument:
        """
        Raises:
            InvalidRequest: text or metadata that JSON cannot hold.
        """
        digest, parts = document.digest, [(part.embedded, part.metadata) for part in document.parts]
        value = parts_value(parts, whole_parts=document.is_core, digest=digest)
        item = Item(document.id, document.metadata, {"source": str(SourceKind.PARTS), "value": value})
        return WantedDocument(item, ("digest", digest), tuple(part.metadata for part in document.parts))

    @staticmethod
    def of_file(file: NewFile) -> WantedDocument:
        info = {"source": str(SourceKind.SPOOL), "value": file.reference, "file_name": file.id}
        if file.media_type:
            info["media_type"] = file.media_type
        item = Item(file.id, file.metadata, info, weight=file.size)
        return WantedDocument(item, ("hash", file.sha256), spooled=(file.reference,))

    @property
    def id(self) -> str:
        return self.item.object_id

    @property
    def metadata(self) -> dict[str, Any]:
        return self.item.payload or {}


@dataclass(frozen=True)
class Making:
    """What has come of it so far; `state` None: `job` is another one, which makes a document of the same id."""

    state: DocumentState | None
    job: Job | None


def collection_of(engine: Engine, corpus: Corpus) -> Collection:
    """The corpus that was found, never another one that has its key by now.

    Raises:
        CollectionNotFound: it has been deleted meanwhile.
    """
    return engine.ledger.collections.still(corpus.number, corpus.key)


def submission_of(corpus: Corpus, wanted: WantedDocument) -> Submission:
    """Its ingestion.

    Raises:
        InvalidRequest: an id that cannot be, or metadata that the filter attributes do not take.
    """
    if wanted.id in _DOT_SEGMENTS:
        raise InvalidRequest(
            f"id: expected one that can stand in a URL, got `{wanted.id}`: clients take it out before they send it "
            "(RFC 3986, 5.2.4), so that what was meant for the document would reach its corpus"
        )
    check_fit(corpus.attributes, wanted.metadata, wanted.parts)
    return Submission(
        JobKind.INGESTION,
        corpus.model,
        [wanted.item],
        collection=corpus.key,
        collection_number=corpus.number,
        document=wanted.id,
        spooled=wanted.spooled,
    )


def begin_making(engine: Engine, corpus: Corpus, wanted: WantedDocument) -> Making:
    """Queue the document, unless one of its id is there or is being made: of those who come at once one makes it.

    Raises:
        What `submission_of` and `Engine.submit_new` raise.
    """
    state = _state_of(engine, corpus, wanted)
    if state is not None:
        return Making(state, None)
    submitted = engine.submit_new(submission_of(corpus, wanted))
    if submitted is None:
        # It has come since it was looked for.
        return Making(settled_state(engine, corpus, wanted), None)
    return Making(DocumentState.INDEXED if submitted.created else None, submitted.job)


def settled_state(engine: Engine, corpus: Corpus, wanted: WantedDocument) -> DocumentState:
    """What the document of the id is that was made meanwhile: the same, or another.

    Raises:
        Conflict: there is none after all.
    """
    state = _state_of(engine, corpus, wanted)
    if state is None:
        raise Conflict(f"Another document with the id `{wanted.id[:64]}` was in the way and is gone; send it again")
    return state


def _state_of(engine: Engine, corpus: Corpus, wanted: WantedDocument) -> DocumentState | None:
    """Whether what is stored under the id is the same: by the mark, and by its metadata."""
    stored = engine.documents(collection_of(engine, corpus), limit=1, ids=[wanted.id])
    if not stored:
        return None
    name, value = wanted.mark
    is_same = (stored[0].item_info or {}).get(name) == value
    is_same = is_same and canonical_json(stored[0].payload or {}) == canonical_json(wanted.metadata)
    return DocumentState.ALREADY_THERE if is_same else DocumentState.CONFLICT
