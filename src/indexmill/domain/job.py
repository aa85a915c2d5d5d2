"""The records that the engine takes and gives: submissions, items, jobs, pages, events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from indexmill.domain.job_state import TERMINAL_STATES, JobState, Reason
from indexmill.domain.outcome import Counters

__all__ = [
    "DEFAULT_TENANT",
    "MADE_HERE",
    "BatchWork",
    "Item",
    "Job",
    "JobEvent",
    "JobFilter",
    "JobKind",
    "JobPage",
    "JobPlace",
    "JobWalk",
    "Submission",
    "Submitted",
]

#: What is said of a job at most whose one item is not done.
_ALMOST_DONE = 0.99
#: The tenant of a service without keys.
DEFAULT_TENANT = 1


class JobKind(StrEnum):
    #: Items are embedded and written.
    UPSERTION = "upsertion"
    #: Documents are removed by id.
    DELETION = "deletion"
    #: Documents are fetched, extracted, split, embedded and written.
    INGESTION = "ingestion"
    #: Data sources are scanned; what changed in them is fetched, extracted, split, embedded and written.
    INDEXING = "indexing"
    #: The documents of deleted data sources are removed.
    CLEANUP = "cleanup"
    #: A collection's vector index is laid down anew, aside, and takes the place of the old one.
    REBUILD = "rebuild"
    #: Every document's metadata is read as other filter attributes say.
    REPLACE_FILTER_ATTRIBUTES = "replace_filter_attributes"


#: Jobs whose items' `item_info` no caller wrote.
MADE_HERE = frozenset({JobKind.INGESTION, JobKind.INDEXING})


class BatchWork(StrEnum):
    """What is done with a batch's items."""

    WRITE = "write"
    DELETE = "delete"
    #: Its one item is a data source.
    SCAN = "scan"
    #: Its one item is a collection.
    REBUILD = "rebuild"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to index or, in a deletion, one id (payload and item_info None).

    `weight`: bytes that it will take beside its JSON, where its content lies elsewhere.
    """

    object_id: str
    payload: dict[str, Any] | None = None
    item_info: dict[str, Any] | None = None
    weight: int = 0


@dataclass(frozen=True)
class Submission:
    """A job to be. `items` may be an iterator: it is read once, batch by batch."""

    kind: JobKind
    model: str
    items: Iterable[Item]
    external_id: str | None = None
    tenant: int = DEFAULT_TENANT
    #: Where to; by default the collection that is named like the model.
    collection: str | None = None
    #: That this is the number of that collection: another one may have its name by now, which gets nothing then.
    collection_number: int | None = None
    #: The one document that the job is about, so that a later delete of it finds the job.
    document: str | None = None
    #: References of spooled inputs that the job's items name; they are kept as long as the items are.
    spooled: tuple[str, ...] = ()
    #: Who is told of its progress and end, as `domain.callback.checked_callback` gives it.
    callback: dict[str, Any] | None = None
    #: The key or token of whoever submits it, by name.
    submitted_by: str | None = None

    @property
    def collection_name(self) -> str:
        return self.collection if self.collection is not None else self.model


@dataclass(frozen=True)
class Job:
    """One row of the ledger, with the counters of its batches. Times are UTC."""

    id: UUID
    external_id: str | None
    tenant: int
    kind: JobKind
    state: JobState
    reason: Reason | None
    detail: str | None
    collection: str
    model: str
    attempt: int
    total_items: int
    counters: Counters
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    #: What came of a job that changes a whole collection, for programs.
    result: dict[str, Any] | None = None
    #: The collection's own number; None where nobody has asked for it.
    collection_number: int | None = None
    #: The key or token with which it was submitted, by name; None: without any, or by the service itself.
    submitted_by: str | None = None
    #: How far one is that changes a whole collection, 0 to 1; None: not begun, ended, or of another kind.
    done: float | None = None

    @property
    def name(self) -> str:
        """The id that the caller knows: its own, else ours."""
        return self.external_id if self.external_id is not None else str(self.id)

    @property
    def is_terminal(self) -> bool:
        return self.state in TERMINAL_STATES

    @property
    def progress(self) -> float:
        """Share of items whose outcome is decided, 0 to 1; an ended job is 1, and no other one."""
        if self.is_terminal or not self.total_items:
            return 1.0 if self.is_terminal else 0.0
        if self.done is not None:
            return min(_ALMOST_DONE, self.done)
        return min(1.0, self.counters.finished / self.total_items)


@dataclass(frozen=True)
class Submitted:
    """`created` is False where the same request had been submitted before under this external id."""

    job: Job
    created: bool


@dataclass(frozen=True)
class JobFilter:
    """Which jobs to list; every given condition must hold. `created_from` inclusive, `created_before` exclusive."""

    tenant: int = DEFAULT_TENANT
    states: tuple[JobState, ...] = ()
    kinds: tuple[JobKind, ...] = ()
    collection: str | None = None
    model: str | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True)
class JobWalk:
    """Which jobs to walk through, newest first; every condition that is not None must hold, an empty one never does."""

    tenant: int = DEFAULT_TENANT
    ids: tuple[UUID, ...] | None = None
    #: Collections by number or by name: jobs of any of them.
    collections: tuple[int | str, ...] | None = None
    states: tuple[JobState, ...] | None = None
    created_from: datetime | None = None


@dataclass(frozen=True)
class JobPlace:
    """Where in the walk a page has ended: at the job of this time and id."""

    created_at: datetime
    id: UUID


@dataclass(frozen=True)
class JobPage:
    """Jobs newest first. `total` counts all that match, up to 10,000; more of them: `total_is_exact` is False."""

    jobs: list[Job] = field(default_factory=list)
    total: int = 0
    total_is_exact: bool = True
    has_more: bool = False


@dataclass(frozen=True)
class JobEvent:
    """One transition of a job; `number` counts from 1 within the job."""

    number: int
    at: datetime
    state: JobState
    reason: Reason | None
    detail: str | None
