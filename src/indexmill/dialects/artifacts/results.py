"""What an ingest has indexed, as its task and its callback tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from indexmill.dialects.artifacts.translate import document_view
from indexmill.domain.bodies import StoredItem
from indexmill.domain.callback import CallbackEvent
from indexmill.domain.job import Job, JobKind
from indexmill.domain.job_state import JobState, Reason
from indexmill.vectors.stored_documents import StoredDocument

__all__ = ["Documents", "documents_told", "indexed_documents"]


class Documents(Protocol):
    """The engine's verbs that are needed."""

    def first_item(self, job: Job) -> StoredItem | None: ...

    def documents(
        self, collection_name: str, *, limit: int, ids: Sequence[str] | None = None
    ) -> list[StoredDocument]: ...


def documents_told(job: Job, event: CallbackEvent, stored: Documents) -> list[dict[str, Any]]:
    """As `indexed_documents`, of the end that the event is about: the job may run again by now."""
    ended = replace(job, state=JobState(event.data["state"]), reason=Reason(event.data["reason"]))
    return indexed_documents(ended, stored)


def indexed_documents(job: Job, stored: Documents) -> list[dict[str, Any]]:
    """The documents of a succeeded ingest, as they were submitted; none where nothing had changed."""
    if job.kind is JobKind.DELETION or job.state is not JobState.SUCCEEDED or job.reason is Reason.NOTHING_CHANGED:
        return []
    item = stored.first_item(job)
    if item is None:
        return []
    info = item.item_info or {}
    known = {"file_name": info.get("file_name"), "hash": info.get("sha256")}
    if known["hash"] is None:
        # Of a URI only whoever has read it knows the bytes' hash.
        found = stored.documents(job.collection, ids=[item.object_id], limit=1)
        known |= {name: value for each in found for name, value in (each.item_info or {}).items() if name in known}
    return [document_view(item.object_id, job.collection, item.payload, known)]
