"""Reading jobs: one by its name or id, pages by filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from indexmill.domain.bodies import StoredItem, UnreadableBody, decode_body
from indexmill.domain.identifier import parse_job_id
from indexmill.domain.job import Job, JobFilter, JobKind, JobPage, JobPlace, JobWalk
from indexmill.domain.job_state import END_REASONS, OPEN_STATES, TERMINAL_STATES, JobState
from indexmill.ledger.database import Connection, Database, Row, run_query
from indexmill.ledger.records import job_of

__all__ = ["MAX_COUNTED", "Jobs", "filter_values", "read_job", "walk_values"]

#: Totals are exact up to here; counting further would cost as much as the table is long.
MAX_COUNTED = 10_000


def read_job(connection: Connection, job_id: UUID) -> Job | None:
    rows = run_query(connection, "find_job", id=job_id)
    return job_of(rows[0]) if rows else None


def filter_values(wanted: JobFilter) -> dict[str, Any]:
    """The bound parameters that `matching_jobs` conditions read; None means no condition."""
    return {
        "tenant": wanted.tenant,
        "states": [str(state) for state in wanted.states] or None,
        # What the indexes know states by: see the schema.
        "is_open": bool(wanted.states) and OPEN_STATES.issuperset(wanted.states),
        "reasons": _reasons(wanted.states),
        "kinds": [str(kind) for kind in (wanted.kinds or tuple(JobKind))],
        "collection": wanted.collection,
        "model": wanted.model,
        "created_from": wanted.created_from,
        "created_before": wanted.created_before,
    }


def walk_values(wanted: JobWalk) -> dict[str, Any]:
    """The bound parameters of `walk_jobs`: which of its ways to the jobs is taken follows from what is None."""
    collections, states = wanted.collections, wanted.states
    ended = [state for state in states or JobState if state in TERMINAL_STATES]
    return {
        "tenant": wanted.tenant,
        "ids": list(wanted.ids) if wanted.ids is not None else None,
        "numbers": [each for each in collections if isinstance(each, int)] if collections is not None else None,
        "names": [each for each in collections if isinstance(each, str)] if collections is not None else None,
        "states": [str(state) for state in states] if states is not None else None,
        "is_open": states is None or not OPEN_STATES.isdisjoint(states),
        "reasons": [str(reason) for state in ended for reason in END_REASONS[state]],
        "created_from": wanted.created_from,
    }


def _reasons(states: tuple[JobState, ...]) -> list[str] | None:
    """The reasons that jobs in these ended states have; None where an open state is among them."""
    if not states or not TERMINAL_STATES.issuperset(states):
        return None
    return [str(reason) for state in states for reason in END_REASONS[state]]


@dataclass(frozen=True)
class Jobs:
    database: Database

    def find(self, reference: str, kind: JobKind | None, tenant: int) -> Job | None:
        """By external id (of that kind, else the newest of any), else by id; jobs in `receiving` are not found."""
        if "\0" in reference:
            return None
        rows = self.database.query(
            "find_job_by_reference",
            tenant=tenant,
            reference=reference,
            kinds=[str(each) for each in ([kind] if kind else JobKind)],
            id=parse_job_id(reference),
        )
        return job_of(rows[0]) if rows else None

    def get(self, job_id: UUID) -> Job | None:
        with self.database.connection() as connection:
            return read_job(connection, job_id)

    def over(self, job_ids: Sequence[UUID]) -> list[UUID]:
        """Those that have ended, or that are not there any more."""
        return [row["id"] for row in self.database.query("jobs_over", ids=list(job_ids))]

    def page(self, wanted: JobFilter, *, limit: int, offset: int, after: Job | None, count: bool) -> JobPage:
        """Newest first by (created_at, id). `after` makes the cost independent of how deep the page is."""
        values = filter_values(wanted)
        rows = self.database.query(
            "page_of_jobs",
            prepare=False,
            **values,
            after_at=after.created_at if after else None,
            after_id=after.id if after else None,
            limit=limit + 1,
            offset=offset,
        )
        total = 0
        if count:
            total = self.database.query("count_jobs", prepare=False, **values, limit=MAX_COUNTED + 1)[0]["total"]
        jobs = [job_of(row) for row in rows[:limit]]
        return JobPage(jobs, min(total, MAX_COUNTED), total <= MAX_COUNTED, len(rows) > limit)

    def walk(self, wanted: JobWalk, *, after: JobPlace | None, limit: int) -> list[Job]:
        """The next jobs, newest first by (created_at, id): a page costs the same however deep it is, and however many
        jobs do not match.
        """
        conditions = (wanted.ids, wanted.collections, wanted.states)
        if any(each is not None and not each for each in conditions):
            return []
        place = {"after_at": after.created_at if after else None, "after_id": after.id if after else None}
        values = walk_values(wanted) | place | {"limit": limit}

        def read(connection: Connection) -> list[Row]:
            run_query(connection, "begin_walk")
            return run_query(connection, "walk_jobs", prepare=False, **values)

        rows = self.database.repeat(read)
        return [job_of(row) for row in rows]

    def first_item(self, job_id: UUID) -> StoredItem | None:
        """The first item of the first batch; None without items, and where bodies are no longer kept, or damaged."""
        rows = self.database.query("read_body", job=job_id, ordinal=0)
        try:
            return decode_body(bytes(rows[0]["body"]))[0] if rows else None
        except UnreadableBody:
            return None
