"""Jobs over data sources: started one a knowledge base at a time, read with what became of each source and file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from indexmill.domain.bodies import DistinctIds, RequestDigest, decode_body, pack
from indexmill.domain.identifier import new_job_id
from indexmill.domain.job import Item, Job, JobKind
from indexmill.domain.job_state import JobState, Reason
from indexmill.domain.knowledge_base import FileCounts, IndexingJob, ReportRow, SourceRun, SourceRunStatus
from indexmill.domain.outcome import ItemStatus, decode_outcomes
from indexmill.errors import IndexingJobRunning, JobNotFound
from indexmill.ledger.database import Connection, Database, Row, run_query
from indexmill.ledger.records import job_of
from indexmill.ledger.transitions import Transitions

__all__ = ["IndexingJobs"]

_REPORT_BATCHES = 64


@dataclass(frozen=True)
class IndexingJobs:
    database: Database
    transitions: Transitions

    def start(
        self,
        connection: Connection,
        knowledge_base: UUID,
        sources: Sequence[UUID],
        kind: JobKind,
        *,
        submitted_by: str | None = None,
        job_id: UUID | None = None,
    ) -> None:
        """Queue a job, with this id if one is given, that scans (`INDEXING`) or removes (`CLEANUP`) these sources.

        The base is locked.

        Raises:
            IndexingJobRunning: one is at work on this knowledge base.
        """
        try:
            with connection.transaction():
                run_query(
                    connection,
                    "insert_source_job",
                    id=job_id or new_job_id(),
                    knowledge_base=knowledge_base,
                    kind=str(kind),
                    phase="removing" if kind is JobKind.CLEANUP else "listing",
                    sources=list(sources),
                    bodies=[_scan_body(source) for source in sources],
                    submitted_by=submitted_by,
                )
        except psycopg.errors.UniqueViolation as error:
            running = self.running(connection, knowledge_base)
            raise IndexingJobRunning(str(knowledge_base), str(running)) from error

    def running(self, connection: Connection, knowledge_base: UUID) -> UUID | None:
        """The indexing job that is at work on this knowledge base."""
        rows = run_query(connection, "running_indexing_job", knowledge_base=knowledge_base)
        return rows[0]["id"] if rows else None

    def leave_out(self, connection: Connection, job_id: UUID, sources: Sequence[UUID]) -> None:
        """Close these sources' open batches of the job: after the commit nothing of them is written."""
        if run_query(connection, "lock_open_jobs", ids=[job_id]):
            run_query(connection, "close_source_batches", job=job_id, sources=list(sources))

    def get(self, job_id: UUID, tenant: int) -> IndexingJob:
        """Raises: JobNotFound."""
        found = self.read([job_id], tenant)
        if not found:
            raise JobNotFound(str(job_id))
        return found[0]

    def read(self, ids: Sequence[UUID], tenant: int) -> list[IndexingJob]:
        """Those of these jobs that are indexing jobs, in the order of the ids."""
        if not ids:
            return []
        with self.database.connection() as connection:
            rows = {row["id"]: row for row in run_query(connection, "find_indexing_jobs", ids=list(ids), tenant=tenant)}
            runs: dict[UUID, list[Row]] = {}
            for row in run_query(connection, "job_sources", jobs=list(rows)):
                runs.setdefault(row["job"], []).append(row)
        return [_indexing_job(rows[each], runs.get(each, [])) for each in ids if each in rows]

    def page(self, limit: int, offset: int, knowledge_base: UUID | None, tenant: int) -> tuple[list[IndexingJob], int]:
        """Newest first, and how many there are."""
        if knowledge_base is None:
            total = self.database.query("count_indexing_jobs", tenant=tenant)[0]["total"]
            place = _place(limit, offset, total)
            rows = self.database.query("page_of_indexing_jobs", prepare=False, tenant=tenant, **place)
        else:
            counted = self.database.query("count_indexing_jobs_of_knowledge_base", knowledge_base=knowledge_base)
            total = counted[0]["total"]
            place = _place(limit, offset, total)
            rows = self.database.query(
                "page_of_indexing_jobs_of_knowledge_base", prepare=False, knowledge_base=knowledge_base, **place
            )
        return self.read([row["id"] for row in rows], tenant), total

    def last_of(self, knowledge_bases: Sequence[UUID], tenant: int) -> dict[UUID, IndexingJob]:
        """The newest job of each of these knowledge bases that has one."""
        if not knowledge_bases:
            return {}
        rows = self.database.query("last_indexing_jobs", knowledge_bases=list(knowledge_bases))
        return {job.knowledge_base: job for job in self.read([row["id"] for row in rows], tenant)}

    def last_of_sources(self, sources: Sequence[UUID], tenant: int) -> dict[UUID, IndexingJob]:
        """The newest job of each of these data sources that has one."""
        if not sources:
            return {}
        wanted = {
            row["source"]: row["id"] for row in self.database.query("last_jobs_of_sources", sources=list(sources))
        }
        jobs = {each.job.id: each for each in self.read(sorted(set(wanted.values())), tenant)}
        return {source: jobs[job_id] for source, job_id in wanted.items() if job_id in jobs}

    def report(self, job_id: UUID) -> Iterator[ReportRow]:
        """Every file of the job, in the order in which its scans found them; memory stays that of a few batches."""
        after = -1
        while rows := self.database.query("report_batches", job=job_id, after=after, limit=_REPORT_BATCHES):
            for row in rows:
                yield from self._report_batch(job_id, row)
            after = rows[-1]["ordinal"]

    def _report_batch(self, job_id: UUID, row: Row) -> Iterator[ReportRow]:
        first, items = row["first_position"], decode_body(bytes(row["body"]))
        outcomes = decode_outcomes(None if row["outcomes"] is None else bytes(row["outcomes"]), len(items))
        statuses = outcomes["status"].tolist()
        failures: dict[int, Row] = {}
        if ItemStatus.FAILED in statuses:
            found = self.database.query("report_failures", job=job_id, first=first, last=first + len(items) - 1)
            failures = {each["position"]: each for each in found}
        for index, item in enumerate(items):
            info = item.item_info or {}
            failure = failures.get(first + index, {})
            yield ReportRow(
                source=row["source"],
                key=item.object_id.partition("/")[2],
                status=_status_name(statuses[index], row["state"]),
                chunks=int(outcomes["chunks"][index]),
                tokens=int(outcomes["tokens"][index]),
                bytes=int(info.get("size", 0)),
                code=failure.get("code"),
                sentence=failure.get("sentence"),
            )


def _place(limit: int, offset: int, total: int) -> dict[str, Any]:
    """Where a page is, counted from the end that is nearer."""
    if offset <= total // 2:
        return {"from_end": False, "limit": limit, "offset": offset}
    return {
        "from_end": True,
        "limit": min(limit, max(0, total - offset)),
        "offset": max(0, total - offset - limit),
    }


def _scan_body(source: UUID) -> bytes:
    """A scan is one item, so that everything that holds for batches holds for it."""
    body = next(pack([Item(str(source), item_info={"data_source": str(source)})], RequestDigest(), DistinctIds()))
    return body.data


_STATUS_NAMES = {
    ItemStatus.OPEN: "pending",
    ItemStatus.INDEXED: "indexed",
    ItemStatus.UNCHANGED: "unchanged",
    ItemStatus.PAYLOAD_UPDATED: "indexed",
    ItemStatus.SUPERSEDED: "superseded",
    ItemStatus.REMOVED: "removed",
    ItemStatus.ABSENT: "removed",
    ItemStatus.FAILED: "failed",
    ItemStatus.CANCELLED: "cancelled",
}


def _status_name(status: int, batch_state: str) -> str:
    if status == ItemStatus.OPEN and batch_state == "cancelled":
        return "cancelled"
    return _STATUS_NAMES[ItemStatus(status)]


def _indexing_job(row: Row, sources: Sequence[Row]) -> IndexingJob:
    job = job_of(row)
    runs = tuple(_source_run(job, each) for each in sources)
    return IndexingJob(job, row["knowledge_base"], runs, has_report=job.is_terminal and row["has_bodies"])


def _source_run(job: Job, row: Row) -> SourceRun:
    files = FileCounts(
        total=int(row["total"]),
        indexed=int(row["indexed"]),
        skipped=int(row["skipped"]),
        failed=int(row["failed"]),
        removed=int(row["removed"]),
        cancelled=int(row["cancelled"]),
        chunks=int(row["chunks"]),
        tokens=int(row["tokens"]),
        bytes_total=int(row["bytes_total"]),
        bytes_indexed=int(row["bytes_indexed"]),
    )
    status = _run_status(job, row, files)
    is_open = status in {SourceRunStatus.PENDING, SourceRunStatus.RUNNING}
    return SourceRun(
        source=row["source"],
        status=status,
        files=files,
        started_at=row["started_at"],
        completed_at=None if is_open else row["completed_at"],
        error_code=row["error_code"],
        error_sentence=row["error_sentence"],
    )


def _run_status(job: Job, row: Row, files: FileCounts) -> SourceRunStatus:
    if row["open"]:
        return SourceRunStatus.PENDING if row["started_at"] is None else SourceRunStatus.RUNNING
    is_system_failure = job.state is JobState.FAILED and job.reason is Reason.SYSTEM
    if row["cancelled_batches"] and not is_system_failure:
        return SourceRunStatus.CANCELLED
    if row["cancelled_batches"] or row["failed_scans"] or files.failed:
        kept = files.indexed + files.skipped + files.removed
        return SourceRunStatus.PARTIALLY_UPDATED if kept else SourceRunStatus.FAILED
    # What is gone from the source may have been gone from the collection too.
    is_changed = files.indexed + files.removed > 0 and job.reason is not Reason.NOTHING_CHANGED
    return SourceRunStatus.UPDATED if is_changed else SourceRunStatus.NOT_UPDATED
