"""Between the first version's messages and the engine's records."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from indexmill.dialects.list_jobs.listing import JobPage, done_items, progress_of, wire_id
from indexmill.dialects.list_jobs.metadata import metadata_of, of_section
from indexmill.dialects.list_jobs.states import job_type, names_of
from indexmill.dialects.list_jobs.v1_document_wire import (
    CoreDocumentMessage,
    DocumentMessage,
    FoundCorpus,
    FoundDocument,
    IndexedDocument,
    NameValue,
    Quota,
    ResponseSet,
    SearchResponse,
    Section,
)
from indexmill.dialects.list_jobs.v1_wire import (
    AttributeView,
    CorpusView,
    FilterAttributeMessage,
    JobList,
    JobView,
    Status,
)
from indexmill.domain.corpus import Corpus, DocumentPart, DocumentState, NewDocument, QueryHit
from indexmill.domain.filter_attributes import AttributeLevel, AttributeType, FilterAttribute
from indexmill.domain.job import Job
from indexmill.errors import InvalidRequest

__all__ = [
    "attribute_view",
    "core_document",
    "corpus_view",
    "indexed",
    "job_list",
    "name_values",
    "new_attributes",
    "quota_of",
    "response_set",
    "status_of",
    "structured_document",
]

_TYPE: Final = "FILTER_ATTRIBUTE_TYPE__"
_LEVELS: Final = {
    "FILTER_ATTRIBUTE_LEVEL__DOCUMENT": AttributeLevel.DOCUMENT,
    "FILTER_ATTRIBUTE_LEVEL__DOCUMENT_PART": AttributeLevel.PART,
}
_STATUSES: Final = {
    DocumentState.INDEXED: Status(),
    DocumentState.ALREADY_THERE: Status(code="ALREADY_EXISTS", status_detail="The same document is indexed already."),
    DocumentState.CONFLICT: Status(
        code="CONFLICT", status_detail="Another document has this id; delete it first, or choose another id."
    ),
}


def job_list(page: JobPage) -> JobList:
    jobs = [_job_view(job, page.details.get(job.id, "")) for job in page.jobs]
    return JobList(job=jobs, page_key=page.page_key)


def _job_view(job: Job, detail: str) -> JobView:
    times = (job.created_at, job.started_at, job.finished_at)
    created, started, finished = (str(int(each.timestamp())) if each is not None else "0" for each in times)
    return JobView(
        id=wire_id(job.id),
        type=job_type(job).v1,
        corpus_id=[job.collection_number] if job.collection_number is not None else [],
        state=names_of(job).v1,
        ts_create=created,
        ts_start=started,
        ts_complete=finished,
        user_handle=job.submitted_by or "",
        kind=str(job.kind),
        progress=progress_of(job),
        items_total=str(job.total_items),
        items_done=str(done_items(job)),
        items_failed=str(job.counters.failed),
        detail=detail,
    )


def new_attributes(messages: Sequence[FilterAttributeMessage]) -> list[FilterAttribute]:
    """
    Raises:
        InvalidRequest: one without a type or a level.
    """
    made: list[FilterAttribute] = []
    for number, each in enumerate(messages):
        kind = str(each.type).removeprefix(_TYPE).lower()
        if kind not in set(AttributeType) or each.level not in _LEVELS:
            raise InvalidRequest(
                f"filterAttributes.{number}: expected a type and a level, got {each.type} and {each.level}"
            )
        made.append(
            FilterAttribute(each.name, _LEVELS[each.level], AttributeType(kind), each.indexed, each.description)
        )
    return made


def attribute_view(attribute: FilterAttribute) -> AttributeView:
    return AttributeView(
        name=attribute.name,
        description=attribute.description,
        indexed=attribute.indexed,
        type=_TYPE + attribute.type.upper(),
        level=next(name for name, level in _LEVELS.items() if level is attribute.level),
    )


def corpus_view(corpus: Corpus) -> CorpusView:
    return CorpusView(
        id=corpus.number,
        name=corpus.name,
        description=corpus.description,
        dt_provision=str(int(corpus.created_at.timestamp())),
        filter_attributes=[attribute_view(each) for each in corpus.attributes],
    )


def structured_document(document: DocumentMessage) -> NewDocument:
    """Its title and description become metadata, unless that has its own.

    Raises:
        InvalidRequest: no id, or metadata that is no JSON object.
    """
    said = {"title": document.title, "description": document.description}
    metadata = {name: text for name, text in said.items() if text} | metadata_of(
        document.metadata_json, "document.metadataJson"
    )
    parts = tuple(_parts(document.section, "document.section"))
    return NewDocument(_document_id(document.document_id), parts, metadata)


def core_document(document: CoreDocumentMessage) -> NewDocument:
    """
    Raises:
        InvalidRequest: as `structured_document`.
    """
    parts = tuple(
        DocumentPart(each.text, metadata_of(each.metadata_json, f"document.parts.{number}.metadataJson"))
        for number, each in enumerate(document.parts)
    )
    metadata = metadata_of(document.metadata_json, "document.metadataJson")
    return NewDocument(_document_id(document.document_id), parts, metadata, is_core=True)


def _document_id(document_id: str) -> str:
    if not 1 <= len(document_id) <= 512:
        raise InvalidRequest(f"documentId: expected 1 to 512 characters, got {len(document_id)}")
    return document_id


def _parts(sections: Sequence[Section], place: str) -> Iterator[DocumentPart]:
    """Sections in their order, each before those in it."""
    for number, section in enumerate(sections):
        here = f"{place}.{number}"
        metadata = metadata_of(section.metadata_json, f"{here}.metadataJson")
        if section.text or not section.section:
            yield DocumentPart(section.text, of_section(section.id or None, metadata), section.title or None)
        yield from _parts(section.section, f"{here}.section")


def quota_of(texts: Iterable[str], metadata: Iterable[Mapping[str, Any]]) -> Quota:
    characters = sum(len(json.dumps(each, ensure_ascii=False)) for each in metadata if each)
    return Quota(num_chars=str(sum(map(len, texts))), num_metadata_chars=str(characters))


def status_of(state: DocumentState) -> Status:
    return _STATUSES[state]


def indexed(state: DocumentState, document: NewDocument) -> IndexedDocument:
    """Of one that was there already: what it consumed the first time."""
    quota = Quota()
    if state is not DocumentState.CONFLICT:
        metadata = [document.metadata, *(part.metadata for part in document.parts)]
        quota = quota_of((part.text for part in document.parts), metadata)
    return IndexedDocument(status=_STATUSES[state], quota_consumed=quota)


def name_values(metadata: Mapping[str, Any]) -> list[NameValue]:
    """Texts as they are, everything else as JSON."""
    return [
        NameValue(name=name, value=value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for name, value in metadata.items()
    ]


def response_set(hits: Sequence[tuple[int, QueryHit]]) -> ResponseSet:
    """
    Args:
        hits: each with the number of its corpus.
    """
    documents: dict[tuple[int, str], int] = {}
    found: list[FoundDocument] = []
    responses: list[SearchResponse] = []
    for number, hit in hits:
        place = documents.setdefault((number, hit.document_id), len(documents))
        if place == len(found):
            found.append(FoundDocument(id=hit.document_id, metadata=name_values(hit.document_metadata)))
        responses.append(
            SearchResponse(
                text=hit.text,
                score=hit.score,
                metadata=name_values(hit.part_metadata),
                document_index=place,
                corpus_key=FoundCorpus(corpus_id=number),
            )
        )
    return ResponseSet(response=responses, document=found)
