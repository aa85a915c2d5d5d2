"""Corpora: collections as front door 4 sees them, their documents in parts, and what is asked of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final
from uuid import UUID, uuid4

from indexmill.domain.document import canonical_json
from indexmill.domain.filter_attributes import FilterAttribute
from indexmill.errors import InvalidRequest

__all__ = [
    "Corpus",
    "CorpusDocument",
    "CorpusSize",
    "DocumentPart",
    "DocumentState",
    "NewDocument",
    "NewFile",
    "QueryHit",
    "Removal",
    "checked_key",
    "keys_of",
]

_KEY: Final = re.compile(r"[A-Za-z0-9_=-]{1,50}")


def checked_key(key: str) -> str:
    """The key.

    Raises:
        InvalidRequest: it cannot be one.
    """
    if not _KEY.fullmatch(key):
        raise InvalidRequest(f"key: expected 1 to 50 letters, digits, `_`, `=` and `-`, got {key!r:.80}")
    return key


def keys_of(name: str) -> Iterator[str]:
    """Keys that say what the name says."""
    key = re.sub(r"[^A-Za-z0-9_=-]+", "-", name).strip("-")[:50]
    if key:
        yield key
    yield f"{key[:40] or 'corpus'}-{uuid4().hex[:8]}"


@dataclass(frozen=True)
class Corpus:
    """`number`: the collection's id; `key`: its name."""

    number: int
    key: str
    name: str
    description: str
    model: str
    created_at: datetime
    #: What the caller said of it and wants to hear again.
    details: dict[str, Any] = field(default_factory=dict)
    #: Those that filters see.
    attributes: tuple[FilterAttribute, ...] = ()


@dataclass(frozen=True)
class CorpusSize:
    """How much is in a corpus; characters of texts and of documents' metadata: 0 where they were not asked for."""

    documents: int
    parts: int
    characters: int = 0
    metadata_characters: int = 0


@dataclass(frozen=True)
class DocumentPart:
    """A piece of a document that is embedded by itself, or cut where it is long; `title`: of its section."""

    text: str
    metadata: dict[str, Any] = field(default_factory=dict)
    title: str | None = None

    @property
    def embedded(self) -> str:
        """Its text as it is indexed."""
        return f"{self.title}\n{self.text}" if self.title else self.text


@dataclass(frozen=True)
class NewDocument:
    """A document to be. `is_core`: its parts are its chunks; else its sections are split."""

    id: str
    parts: tuple[DocumentPart, ...]
    metadata: dict[str, Any] = field(default_factory=dict)
    is_core: bool = False

    @property
    def digest(self) -> str:
        """Of its parts and how they are split: with other metadata of its own it is the same.

        Raises:
            InvalidRequest: JSON cannot hold it.
        """
        parts = [[part.title, part.text, part.metadata] for part in self.parts]
        try:
            canonical_json(self.metadata)
            said = canonical_json([self.is_core, parts]).encode()
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidRequest(f"document: expected text and metadata that JSON can hold: {error}") from error
        return sha256(said).hexdigest()


@dataclass(frozen=True)
class NewFile:
    """A document to be, as a file in the spool; `id` is its name, too. Nobody has looked into it yet."""

    id: str
    reference: str
    sha256: str
    size: int
    media_type: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


class DocumentState(StrEnum):
    """What became of a document that was given."""

    INDEXED = "indexed"
    #: The same document was there.
    ALREADY_THERE = "already_there"
    #: Another document has its id, and was left alone.
    CONFLICT = "conflict"


@dataclass(frozen=True)
class CorpusDocument:
    """A stored document; `parts`: None where they were not asked for."""

    id: str
    metadata: dict[str, Any]
    parts: tuple[DocumentPart, ...] | None = None
    chunks: int = 0
    updated_at: datetime | None = None


@dataclass(frozen=True)
class QueryHit:
    """A found part of a document, with its metadata and the document's."""

    document_id: str
    text: str
    score: float
    part_metadata: dict[str, Any]
    document_metadata: dict[str, Any]


@dataclass(frozen=True)
class Removal:
    """A bulk delete: its job, and what it has removed where it was waited for."""

    job: UUID
    cutoff: datetime
    deleted: int | None = None
    skipped: int | None = None
