"""Between the second version's fields and the engine's records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from pydantic_core import to_json

from indexmill.dialects.list_jobs.listing import JobPage, done_items, progress_of, wire_id
from indexmill.dialects.list_jobs.metadata import of_section, storable
from indexmill.dialects.list_jobs.searching import FoundPart
from indexmill.dialects.list_jobs.states import job_type, names_of
from indexmill.dialects.list_jobs.v2_wire import (
    AttributeView,
    BulkDeleted,
    CorpusLimits,
    CorpusView,
    CreateDocumentBody,
    DocumentView,
    FailedDocumentView,
    JobView,
    PartView,
    SearchAnswer,
    SearchResult,
    SectionBody,
    StorageUsage,
)
from indexmill.domain.corpus import Corpus, CorpusDocument, CorpusSize, DocumentPart, NewDocument, Removal
from indexmill.domain.failure import Failure
from indexmill.domain.filter_attributes import AttributeLevel, AttributeType, FilterAttribute
from indexmill.domain.job import Job
from indexmill.http.answers import timestamp

__all__ = [
    "bulk_view",
    "corpus_view",
    "document_view",
    "failed_document_view",
    "job_list",
    "job_view",
    "new_attributes",
    "new_document",
    "search_answer",
]

_TYPES: Final = {
    "integer": AttributeType.INTEGER,
    "real_number": AttributeType.REAL,
    "text": AttributeType.TEXT,
    "boolean": AttributeType.BOOLEAN,
    "list[integer]": AttributeType.INTEGER_LIST,
    "list[real_number]": AttributeType.REAL_LIST,
    "list[text]": AttributeType.TEXT_LIST,
}
_NAMES: Final = {kind: name for name, kind in _TYPES.items()}
#: What a corpus is told again, and whether it is said of one of which nothing was said.
_DETAILS: Final = {
    "enabled": True,
    "save_history": False,
    "queries_are_answers": False,
    "documents_are_questions": False,
}


def _without_none(view: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in view.items() if each is not None}


def job_list(page: JobPage) -> dict[str, Any]:
    jobs = [job_view(job, page.details.get(job.id)) for job in page.jobs]
    return {"jobs": jobs, "metadata": {"page_key": page.page_key}}


def job_view(job: Job, detail: str | None) -> dict[str, Any]:
    view = JobView(
        id=wire_id(job.id),
        type=job_type(job).v2,
        corpus_keys=[job.collection],
        state=names_of(job).v2,
        created_at=timestamp(job.created_at),
        started_at=timestamp(job.started_at) if job.started_at is not None else None,
        completed_at=timestamp(job.finished_at) if job.finished_at is not None else None,
        created_by_username=job.submitted_by,
        kind=str(job.kind),
        progress=progress_of(job),
        items_total=job.total_items,
        items_done=done_items(job),
        items_failed=job.counters.failed,
        detail=detail,
    )
    return _without_none(view.model_dump())


def failed_document_view(failure: Failure) -> dict[str, Any]:
    return FailedDocumentView(
        id=failure.object_id,
        stage=failure.stage,
        code=failure.code,
        message=failure.sentence,
        retryable=failure.retryable,
    ).model_dump()


def new_attributes(views: Sequence[AttributeView]) -> list[FilterAttribute]:
    return [
        FilterAttribute(
            each.name,
            AttributeLevel(each.level),
            _TYPES[each.type],
            each.indexed is not False,
            each.description or "",
        )
        for each in views
    ]


def corpus_view(corpus: Corpus, size: CorpusSize | None = None) -> dict[str, Any]:
    """
    Args:
        size: None where it was not counted.
    """
    said = {name: bool(corpus.details.get(name, default)) for name, default in _DETAILS.items()}
    view = CorpusView(
        id=f"crp_{corpus.number}",
        key=corpus.key,
        name=corpus.name,
        description=corpus.description,
        encoder_name=corpus.model,
        filter_attributes=[_attribute_view(each) for each in corpus.attributes],
        limits=None if size is None else CorpusLimits(used_docs=size.documents, used_parts=size.parts),
        created_at=timestamp(corpus.created_at),
    )
    return _without_none({**view.model_dump(), **said})


def _attribute_view(attribute: FilterAttribute) -> AttributeView:
    return AttributeView.model_construct(
        name=attribute.name,
        level=attribute.level.value,
        type=_NAMES[attribute.type],
        description=attribute.description,
        indexed=attribute.indexed,
    )


def new_document(body: CreateDocumentBody) -> NewDocument:
    """The title and description of a structured one become metadata, unless that has its own.

    Raises:
        InvalidRequest: metadata that cannot be stored.
    """
    if body.type == "core":
        parts = tuple(
            DocumentPart(each.text, storable(each.metadata or {}, "document_parts"))
            for each in body.document_parts or ()
        )
        return NewDocument(body.id, parts, storable(body.metadata or {}, "metadata"), is_core=True)
    said = {"title": body.title, "description": body.description}
    metadata = {name: text for name, text in said.items() if text} | (body.metadata or {})
    return NewDocument(body.id, tuple(_parts(body.sections or ())), storable(metadata, "metadata"))


def _parts(sections: Sequence[SectionBody]) -> Iterator[DocumentPart]:
    """Sections in their order, each before those in it."""
    for section in sections:
        if section.text or not section.sections:
            metadata = of_section(section.id, storable(section.metadata or {}, "sections"))
            yield DocumentPart(section.text, metadata, section.title)
        yield from _parts(section.sections or ())


def document_view(document: CorpusDocument) -> dict[str, Any]:
    parts, usage = None, None
    if document.parts is not None:
        parts = [PartView(text=each.text, metadata=each.metadata) for each in document.parts]
        sizes = [len(each.text.encode()) for each in document.parts]
        usage = StorageUsage(bytes_used=sum(sizes), metadata_bytes_used=len(to_json(document.metadata)))
    view = DocumentView(id=document.id, metadata=document.metadata, parts=parts, storage_usage=usage)
    return _without_none(view.model_dump())


def bulk_view(removal: Removal) -> dict[str, Any]:
    was_waited_for = removal.deleted is not None
    return _without_none(
        BulkDeleted(
            response_type="success" if was_waited_for else "async",
            job_id=wire_id(removal.job),
            cutoff_timestamp=timestamp(removal.cutoff),
            deleted_count=removal.deleted,
            skipped_count=(removal.skipped or 0) if was_waited_for else None,
        ).model_dump()
    )


def search_answer(found: Sequence[FoundPart]) -> dict[str, Any]:
    return SearchAnswer(
        search_results=[
            SearchResult(
                text=each.hit.text,
                score=each.hit.score,
                part_metadata=each.hit.part_metadata,
                document_metadata=each.hit.document_metadata,
                document_id=each.hit.document_id,
                corpus_key=each.corpus.key,
                request_corpora_index=each.place,
            )
            for each in found
        ]
    ).model_dump()
