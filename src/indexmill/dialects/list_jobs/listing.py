"""Pages of jobs for both versions: what is asked for becomes a walk, and where it stops becomes a page key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import floor
from typing import Any, Final
from uuid import UUID

from indexmill.domain.job import Job, JobPlace, JobWalk
from indexmill.domain.job_state import JobState
from indexmill.engine import Engine
from indexmill.errors import JobNotFound
from indexmill.http.service import Door
from indexmill.security.page_keys import PageKeys

__all__ = ["JobListing", "JobPage", "done_items", "oldest_listed", "progress_of", "seconds_at", "wire_id"]

#: Older jobs are not listed.
_OLDEST_DAYS: Final = 180
_DAY: Final = 86_400


def wire_id(job_id: UUID) -> str:
    return f"job_{job_id}"


def oldest_listed() -> int:
    """The epoch's second before which no job is listed."""
    return int(datetime.now(UTC).timestamp()) - _OLDEST_DAYS * _DAY


def seconds_at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def progress_of(job: Job) -> float:
    """Rounded down: 1 is said only when every item is decided."""
    return floor(job.progress * 10_000) / 10_000


def done_items(job: Job) -> int:
    """Items that are decided, and have neither failed nor been cancelled."""
    counters = job.counters
    return counters.finished - counters.failed - counters.cancelled


@dataclass(frozen=True)
class JobPage:
    """`details`: what there is to say of a job, by its id."""

    jobs: list[Job]
    details: dict[UUID, str]
    page_key: str


class JobListing:
    """The jobs of a tenant, newest first. Synchronous: routes call it in threads.

    Args:
        name: of this listing; a page key of another one is refused.
    """

    def __init__(self, name: str, door: Door, keys: PageKeys) -> None:
        self._name = name
        self._door = door
        self._keys = keys

    @property
    def _engine(self) -> Engine:
        return self._door.engine

    def first(self, wanted: JobWalk, limit: int) -> JobPage:
        return self._page(wanted, None, limit)

    def next(self, tenant: int, page_key: str) -> JobPage:
        """
        Raises:
            InvalidRequest: not a key of this listing.
        """
        said = self._keys.open(self._name, tenant, page_key)
        at, job = said["after"]
        return self._page(_walk(tenant, said), JobPlace(datetime.fromisoformat(at), UUID(job)), said["limit"])

    def id_of(self, reference: str) -> tuple[UUID, ...]:
        """The job that has this id in any door's form; none where there is none."""
        try:
            return (self._engine.find(reference).id,)
        except JobNotFound:
            return ()

    def details_of(self, jobs: Sequence[Job]) -> dict[UUID, str]:
        """Why jobs ended as they did: what the ledger says, else the first of their items that failed."""
        untold = [job for job in jobs if job.detail is None and job.is_terminal and job.counters.failed]
        failures = self._engine.failed_items_of(untold, limit=1)
        told = {job.id: job.detail for job in jobs if job.detail is not None}
        for job in untold:
            first = failures.get(job.id)
            if first:
                items = "item" if job.total_items == 1 else "items"
                told[job.id] = (
                    f"{job.counters.failed} of {job.total_items} {items} failed; the first: {first[0].sentence}"
                )
        return told

    def _page(self, wanted: JobWalk, after: JobPlace | None, limit: int) -> JobPage:
        # One more than asked for says whether there is another page.
        found = self._engine.walk_jobs(wanted, after=after, limit=limit + 1)
        jobs = found[:limit]
        key = ""
        if len(found) > limit:
            last = jobs[-1]
            place = [last.created_at.isoformat(), str(last.id)]
            key = self._keys.seal(self._name, wanted.tenant, {**_said(wanted), "after": place, "limit": limit})
        return JobPage(jobs, self.details_of(jobs), key)


def _said(wanted: JobWalk) -> dict[str, Any]:
    """The conditions as JSON has them."""
    since = wanted.created_from
    return {
        "ids": _each(wanted.ids, str),
        "collections": _each(wanted.collections, lambda each: each),
        "states": _each(wanted.states, str),
        "since": since.isoformat() if since is not None else None,
    }


def _walk(tenant: int, said: dict[str, Any]) -> JobWalk:
    return JobWalk(
        tenant,
        ids=_each(said["ids"], UUID),
        collections=_each(said["collections"], lambda each: each),
        states=_each(said["states"], JobState),
        created_from=datetime.fromisoformat(said["since"]) if said["since"] is not None else None,
    )


def _each(values: Sequence[Any] | None, made: Callable[[Any], Any]) -> tuple[Any, ...] | None:
    return tuple(made(each) for each in values) if values is not None else None
