"""A FAKE of the verbs of corpora: for the wire, never for their rules. The jobs and collections are real ones.

Documents are in memory, a filter matches documents whose metadata contain it as `doc.<name> = '<value>'`, a query finds
every part in its order, and the jobs that change a corpus are jobs with nothing to do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from indexmill.domain.corpus import (
    Corpus,
    CorpusDocument,
    CorpusSize,
    DocumentPart,
    DocumentState,
    NewDocument,
    NewFile,
    QueryHit,
    Removal,
)
from indexmill.domain.filter_attributes import FilterAttribute, checked_attributes
from indexmill.domain.job import Job, JobKind, Submission
from indexmill.domain.pending import Pending
from indexmill.domain.splitting import WHOLE
from indexmill.engine import Engine
from indexmill.errors import CollectionNotFound, Conflict, InvalidRequest

START = datetime(2024, 6, 14, 9, 30, tzinfo=UTC)


@dataclass
class FakeCorpora:
    engine: Engine
    model: str = "tiny"
    corpora: dict[str, Corpus] = field(default_factory=dict)
    stored: dict[str, dict[str, CorpusDocument]] = field(default_factory=dict)
    given: dict[tuple[str, str], NewDocument | NewFile] = field(default_factory=dict)
    #: What has been called with which seconds to wait.
    waits: list[float | None] = field(default_factory=list)
    #: What has been searched for, by corpus.
    asked: list[tuple[str, str]] = field(default_factory=list)
    #: Raised by every verb while it is set.
    raises: Exception | None = None

    def of(self, _: int, caller: str | None = None) -> FakeCorpora:
        """Tenants are told apart by those that do the work."""
        return self

    def create(
        self,
        key: str | None,
        name: str,
        description: str,
        attributes: Sequence[FilterAttribute],
        details: dict[str, Any],
        /,
    ) -> Corpus:
        self._enter()
        key = key or re.sub(r"[^a-zA-Z0-9_=-]+", "-", name)[:50]
        if key in self.corpora:
            raise Conflict(f"Corpus `{key}` is there already; choose another key")
        checked_attributes(attributes)
        number = self.engine.open_collection(key, self.model, WHOLE).id
        self.corpora[key] = Corpus(number, key, name, description, self.model, START, details, tuple(attributes))
        self.stored[key] = {}
        return self.corpora[key]

    def get(self, reference: str | int, /) -> Corpus:
        self._enter()
        for each in self.corpora.values():
            if reference in (each.key, each.number):
                return each
        raise CollectionNotFound(str(reference), sorted(self.corpora))

    def several(self, numbers: Sequence[int], /) -> dict[int, Corpus]:
        self._enter()
        return {each.number: each for each in self.corpora.values() if each.number in numbers}

    def page(self, limit: int, after: int | None, name_regex: str | None, /) -> Sequence[Corpus]:
        self._enter()
        numbered = sorted(self.corpora.values(), key=lambda each: each.number)
        try:
            pattern = re.compile(name_regex or "")
        except re.error as error:
            raise InvalidRequest(f"filter: expected a regular expression: {error}") from error
        fitting = [each for each in numbered if pattern.search(each.name)]
        return [each for each in fitting if after is None or each.number > after][:limit]

    def update(
        self,
        key: str,
        /,
        *,
        name: str | None = None,
        description: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> Corpus:
        found = self.get(key)
        changes: dict[str, Any] = {"name": name, "description": description}
        self.corpora[key] = replace(
            self.corpora[key],
            details={**found.details, **(details or {})},
            **{field: value for field, value in changes.items() if value is not None},
        )
        return self.get(key)

    def delete(self, key: str, /) -> None:
        self.get(key)
        del self.corpora[key], self.stored[key]

    def reset(self, key: str, /) -> None:
        self.get(key)
        self.stored[key] = {}

    def size(self, key: str, /, *, characters: bool = False) -> CorpusSize:
        self.get(key)
        documents = self.stored[key].values()
        parts = [part for one in documents for part in one.parts or ()]
        return CorpusSize(len(documents), len(parts), sum(len(part.text) for part in parts) if characters else 0)

    def replace_attributes(self, key: str, attributes: Sequence[FilterAttribute], /) -> Job:
        self.get(key)
        checked_attributes(attributes)
        self.corpora[key] = replace(self.corpora[key], attributes=tuple(attributes))
        return self._job(key)

    def rebuild(self, key: str, /) -> Job:
        self.get(key)
        return self._job(key)

    def _job(self, key: str) -> Job:
        return self.engine.submit(Submission(JobKind.UPSERTION, self.model, [], collection=key)).job

    def put(
        self, key: str, document: NewDocument, wait_seconds: float, /
    ) -> Pending[tuple[DocumentState, CorpusDocument]]:
        self.waits.append(wait_seconds)
        return Pending.done(self._put(key, document, document.parts))

    def put_file(
        self, key: str, file: NewFile, wait_seconds: float, /
    ) -> Pending[tuple[DocumentState, CorpusDocument]]:
        self.waits.append(wait_seconds)
        return Pending.done(self._put(key, file, (DocumentPart(f"the text of {file.size} bytes"),)))

    def _put(
        self, key: str, document: NewDocument | NewFile, parts: tuple[DocumentPart, ...]
    ) -> tuple[DocumentState, CorpusDocument]:
        self.get(key)
        before = self.stored[key].get(document.id)
        if before is not None:
            same = self.given[key, document.id] == document
            return (DocumentState.ALREADY_THERE if same else DocumentState.CONFLICT), before
        self.given[key, document.id] = document
        self.stored[key][document.id] = CorpusDocument(document.id, document.metadata, parts, len(parts), START)
        return DocumentState.INDEXED, self.stored[key][document.id]

    def update_metadata(
        self, key: str, document_id: str, metadata: dict[str, Any], /, *, replaces: bool = False
    ) -> CorpusDocument | None:
        self.get(key)
        found = self.stored[key].get(document_id)
        if found is None:
            return None
        said = metadata if replaces else {**found.metadata, **metadata}
        self.stored[key][document_id] = replace(found, metadata=said)
        return self.stored[key][document_id]

    def document(self, key: str, document_id: str, /) -> CorpusDocument | None:
        self.get(key)
        return self.stored[key].get(document_id)

    def documents(
        self, key: str, limit: int, after: str | None, metadata_filter: str | None, /
    ) -> Sequence[CorpusDocument]:
        self.get(key)
        fitting = [each for _, each in sorted(self.stored[key].items()) if _fits(each, metadata_filter)]
        return [replace(each, parts=None) for each in fitting if after is None or each.id > after][:limit]

    def remove(self, key: str, document_id: str, wait_seconds: float, /) -> Pending[bool]:
        self.get(key)
        self.waits.append(wait_seconds)
        return Pending.done(self.stored[key].pop(document_id, None) is not None)

    def bulk_remove(
        self, key: str, ids: Sequence[str] | None, metadata_filter: str | None, wait_seconds: float | None, /
    ) -> Pending[Removal]:
        self.get(key)
        self.waits.append(wait_seconds)
        known = self.stored[key]
        doomed = [each for each in known if (each in ids if ids is not None else _fits(known[each], metadata_filter))]
        for each in doomed:
            del known[each]
        job = self._job(key).id
        if wait_seconds is None:
            return Pending.done(Removal(job, START))
        return Pending.done(Removal(job, START, len(doomed), len(ids) - len(doomed) if ids is not None else 0))

    def query(self, key: str, text: str, limit: int, offset: int, metadata_filter: str | None, /) -> Sequence[QueryHit]:
        self.get(key)
        self.asked.append((key, text))
        fitting = [each for _, each in sorted(self.stored[key].items()) if _fits(each, metadata_filter)]
        hits = [
            QueryHit(each.id, part.text, 1 / (1 + len(part.text)), part.metadata, each.metadata)
            for each in fitting
            for part in each.parts or ()
        ]
        return sorted(hits, key=lambda hit: -hit.score)[offset : offset + limit]

    def _enter(self) -> None:
        if self.raises is not None:
            raise self.raises


def _fits(document: CorpusDocument, metadata_filter: str | None) -> bool:
    if metadata_filter is None:
        return True
    match = re.fullmatch(r"doc\.(\w+) = '(.*)'", metadata_filter)
    if match is None:
        raise InvalidRequest(f"metadata_filter: expected `doc.<name> = '<value>'`, got {metadata_filter!r}")
    return str(document.metadata.get(match[1])) == match[2]
