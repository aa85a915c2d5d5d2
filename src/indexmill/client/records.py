"""What the service answers, as typed records; `raw` is the answer itself, with what this version does not know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["Collection", "FailedItem", "Hit", "Job", "JobPage", "Model"]

Raw = Mapping[str, Any]

_ENDED: Final = frozenset({"succeeded", "failed", "cancelled", "refused"})
#: Counters that do not say what became of an item.
_NOT_ITEMS: Final = frozenset({"chunks", "tokens", "embedded"})


@dataclass(frozen=True)
class Job:
    """One job. `counters` are items by what became of them, and `chunks`, `tokens`, `embedded`."""

    id: str
    external_id: str | None
    kind: str
    state: str
    reason: str | None
    detail: str | None
    collection: str
    model: str
    attempt: int
    total_items: int
    progress: float
    counters: Mapping[str, int]
    created_at: str
    started_at: str | None
    finished_at: str | None
    #: The name of the API key that it was submitted with, or the subject of the token.
    submitted_by: str | None
    raw: Raw = field(repr=False)

    @classmethod
    def of(cls, raw: Raw) -> Job:
        return cls(
            id=raw["id"],
            external_id=raw.get("external_id"),
            kind=raw["kind"],
            state=raw["state"],
            reason=raw.get("reason"),
            detail=raw.get("detail"),
            collection=raw["collection"],
            model=raw["model"],
            attempt=raw["attempt"],
            total_items=raw["total_items"],
            progress=raw["progress"],
            counters=raw["counters"],
            created_at=raw["created_at"],
            started_at=raw.get("started_at"),
            finished_at=raw.get("finished_at"),
            submitted_by=raw.get("submitted_by"),
            raw=raw,
        )

    @property
    def name(self) -> str:
        """The id that the submitter gave, else the service's."""
        return self.external_id or self.id

    @property
    def ended(self) -> bool:
        return self.state in _ENDED

    @property
    def succeeded(self) -> bool:
        return self.state == "succeeded"

    @property
    def finished_items(self) -> int:
        """Items whose outcome is decided."""
        return sum(number for name, number in self.counters.items() if name not in _NOT_ITEMS)


@dataclass(frozen=True)
class JobPage:
    """Jobs, newest first. `next` is the `after` of the next page, None on the last one."""

    jobs: list[Job]
    total: int
    total_is_exact: bool
    next: str | None
    raw: Raw = field(repr=False)

    @classmethod
    def of(cls, raw: Raw) -> JobPage:
        jobs = [Job.of(each) for each in raw["jobs"]]
        return cls(jobs, raw["total"], raw["total_is_exact"], raw["next"], raw)


@dataclass(frozen=True)
class FailedItem:
    """Why one item of a job is not indexed; `position` counts the job's items from 0."""

    object_id: str
    position: int
    stage: str
    code: str
    detail: str
    retryable: bool
    raw: Raw = field(repr=False)

    @classmethod
    def of(cls, raw: Raw) -> FailedItem:
        return cls(
            object_id=raw["object_id"],
            position=raw["position"],
            stage=raw["stage"],
            code=raw["code"],
            detail=raw["detail"],
            retryable=raw["retryable"],
            raw=raw,
        )


@dataclass(frozen=True)
class Hit:
    """One document that a search found; `score` is the cosine similarity."""

    document_id: str
    score: float
    text: str | None
    payload: Mapping[str, Any] | None
    raw: Raw = field(repr=False)

    @classmethod
    def of(cls, raw: Raw) -> Hit:
        return cls(raw["document_id"], raw["score"], raw.get("text"), raw.get("payload"), raw)


@dataclass(frozen=True)
class Model:
    """One deployed embedding model."""

    id: str
    provider: str
    settings: Mapping[str, Any]
    dimension: int
    raw: Raw = field(repr=False)

    @classmethod
    def of(cls, raw: Raw) -> Model:
        return cls(raw["id"], raw["provider"], raw.get("settings", {}), raw.get("dimension", 0), raw)


@dataclass(frozen=True)
class Collection:
    """One collection and its size."""

    name: str
    model: str
    documents: int
    chunks: int
    generation: int
    raw: Raw = field(repr=False)

    @classmethod
    def of(cls, raw: Raw) -> Collection:
        return cls(raw["name"], raw["model"], raw["documents"], raw["chunks"], raw["generation"], raw)
