"""The verbs of corpora as this door calls them; its wire is tested without those that do the work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from indexmill.domain.corpus import (
    Corpus,
    CorpusDocument,
    CorpusSize,
    DocumentState,
    NewDocument,
    NewFile,
    QueryHit,
    Removal,
)
from indexmill.domain.filter_attributes import FilterAttribute
from indexmill.domain.job import Job
from indexmill.domain.pending import Pending

__all__ = ["CorpusVerbs"]


class CorpusVerbs(Protocol):
    """The verbs of corpora. Synchronous: routes call them in threads, and wait for what is `Pending` without one.

    Raises:
        CollectionNotFound: of a corpus that is not there; its `name` is the reference.
        Conflict: the key is taken.
        InvalidRequest: a value that cannot be accepted, such as a filter that cannot be read.
    """

    def of(self, tenant: int, caller: str | None = None, /) -> CorpusVerbs:
        """Those of another tenant; `caller`: as whose jobs are stored."""

    def create(
        self,
        key: str | None,
        name: str,
        description: str,
        attributes: Sequence[FilterAttribute],
        details: dict[str, Any],
        /,
    ) -> Corpus:
        """`key` None: made of the name."""

    def get(self, reference: str | int, /) -> Corpus:
        """By key, or by number."""

    def several(self, numbers: Sequence[int], /) -> dict[int, Corpus]:
        """Those that are there, by number."""

    def page(self, limit: int, after: int | None, name_regex: str | None, /) -> Sequence[Corpus]:
        """By number, those after this number; `name_regex` matches anywhere in the name or description."""

    def size(self, key: str, /, *, characters: bool = False) -> CorpusSize:
        """Counted now; `characters`: of texts and metadata, too."""

    def update(
        self,
        key: str,
        /,
        *,
        name: str | None = None,
        description: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> Corpus:
        """What is None stays; `details`: those that change."""

    def delete(self, key: str, /) -> None: ...

    def reset(self, key: str, /) -> None:
        """Remove all its documents."""

    def replace_attributes(self, key: str, attributes: Sequence[FilterAttribute], /) -> Job: ...

    def rebuild(self, key: str, /) -> Job: ...

    def put(
        self, key: str, document: NewDocument, wait_seconds: float, /
    ) -> Pending[tuple[DocumentState, CorpusDocument]]:
        """Index it, unless another document has its id; when it answers it can be found.

        Raises:
            ItemError: it cannot be indexed.
        """

    def put_file(
        self, key: str, file: NewFile, wait_seconds: float, /
    ) -> Pending[tuple[DocumentState, CorpusDocument]]:
        """As `put`, with the document's parts in the answer.

        Raises:
            ItemError: it cannot be read or indexed.
        """

    def update_metadata(
        self, key: str, document_id: str, metadata: dict[str, Any], /, *, replaces: bool = False
    ) -> CorpusDocument | None:
        """What is not given stays, or, where it `replaces`, is forgotten; None: there is no such document."""

    def document(self, key: str, document_id: str, /) -> CorpusDocument | None:
        """With its parts; None where there is none."""

    def documents(
        self, key: str, limit: int, after: str | None, metadata_filter: str | None, /
    ) -> Sequence[CorpusDocument]:
        """By id, those after this id, without their parts; fewer where they are large, none only at the end."""

    def remove(self, key: str, document_id: str, wait_seconds: float, /) -> Pending[bool]:
        """When it answers the document cannot be found; whether there was one."""

    def bulk_remove(
        self,
        key: str,
        ids: Sequence[str] | None,
        metadata_filter: str | None,
        wait_seconds: float | None,
        /,
    ) -> Pending[Removal]:
        """Documents by id, or those that match; `wait_seconds` None: do not wait, and `deleted` is not known."""

    def query(self, key: str, text: str, limit: int, offset: int, metadata_filter: str | None, /) -> Sequence[QueryHit]:
        """The nearest parts, best first."""
