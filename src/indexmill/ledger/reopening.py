"""Running an ended job again: retry of what is failed or unfinished, rerun of everything."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import psycopg

from indexmill.domain.job import Job, JobKind
from indexmill.domain.job_state import TERMINAL_STATES, JobState
from indexmill.errors import BodiesExpired, Conflict, JobNotFound
from indexmill.ledger.database import Connection, Database, run_query
from indexmill.ledger.indexing_jobs import already_running
from indexmill.ledger.jobs import read_job
from indexmill.ledger.models import Models
from indexmill.ledger.structural_jobs import WORK_OF_KIND

__all__ = ["Reopening"]


_EMBED_NOTHING = frozenset({JobKind.DELETION, JobKind.CLEANUP})
_SCANNED = frozenset({JobKind.INDEXING, JobKind.CLEANUP})


@dataclass(frozen=True)
class Reopening:
    database: Database
    models: Models

    def retry(self, job_id: UUID) -> Job:
        """An ended job with failed or unfinished items: queued again with its old `seq`; else unchanged.

        Items of a data source that has been deleted since are not run again.

        Raises:
            BodiesExpired: the items are no longer kept.
            ModelNotFound: the model has been withdrawn, and the job is no deletion.
            Conflict: its collection has been deleted.
            IndexingJobRunning: another job is at work on its knowledge base.
        """

        def work(connection: Connection) -> Job:
            # Before the job, as whoever deletes a data source does: afterwards none of its batches may be opened.
            bases = run_query(connection, "lock_knowledge_base_of_job", id=job_id)
            job = _locked(connection, job_id)
            if job.state not in TERMINAL_STATES or not _unfinished(job):
                return job
            self._require_runnable(connection, job)
            if job.kind in WORK_OF_KIND:
                self._begin_again(connection, job)
                run_query(connection, "retry_job", id=job_id)
                self._forget_work(connection, job)
                return _locked(connection, job_id)
            cleans_up = job.kind is JobKind.CLEANUP
            reopened = run_query(connection, "reopen_unfinished_batches", id=job_id, cleans_up=cleans_up)
            if not reopened:
                return job
            run_query(connection, "delete_failed_items", id=job_id, ordinals=[row["ordinal"] for row in reopened])
            self._reopen(connection, job, bases[0]["id"] if bases else None)
            return _locked(connection, job_id)

        return self.database.repeat(work)

    def rerun(self, job_id: UUID, *, force: bool) -> Job:
        """A succeeded job: queued again, whole, with a new `seq`; else unchanged.

        Raises:
            BodiesExpired: the items are no longer kept.
            ModelNotFound: the model has been withdrawn, and the job is no deletion.
            Conflict: its items were found by a scan, which only a new job makes again, or its collection has been
                deleted.
        """

        def work(connection: Connection) -> Job:
            job = _locked(connection, job_id)
            if job.state is not JobState.SUCCEEDED or not job.total_items:
                return job
            if job.kind in _SCANNED:
                raise Conflict(
                    f"Job `{job.name}` is made of what its data sources held; start a new indexing job to scan them"
                )
            self._require_runnable(connection, job)
            self._begin_again(connection, job)
            run_query(connection, "rerun_job", id=job_id, force=force)
            self._forget_work(connection, job)
            return _locked(connection, job_id)

        return self.database.repeat(work)

    def _begin_again(self, connection: Connection, job: Job) -> None:
        """All of its items are to be done."""
        run_query(connection, "delete_failed_items", id=job.id, ordinals=None)
        run_query(connection, "reopen_all_batches", id=job.id)

    def _forget_work(self, connection: Connection, job: Job) -> None:
        """How far a change of a whole collection was, and what it reported: it begins at the beginning."""
        if job.kind in WORK_OF_KIND:
            run_query(connection, "forget_reports", job=job.id)
            run_query(connection, "forget_structural_progress", job=job.id)

    def _reopen(self, connection: Connection, job: Job, knowledge_base: UUID | None) -> None:
        try:
            with connection.transaction():
                run_query(connection, "retry_job", id=job.id)
        except psycopg.errors.UniqueViolation as error:
            raise already_running(connection, knowledge_base) from error

    def _require_runnable(self, connection: Connection, job: Job) -> None:
        if job.kind not in _EMBED_NOTHING and job.kind not in WORK_OF_KIND:
            # A deletion embeds nothing: it runs without its model, as it also goes on when that is withdrawn.
            self.models.require_with(connection, job.model, job.tenant)
        if run_query(connection, "homeless_job", id=job.id):
            raise Conflict(f"Task `{job.name}` cannot run again: its collection has been deleted")
        if run_query(connection, "bodies_deleted", id=job.id):
            raise BodiesExpired(
                f"Task `{job.name}` cannot run again: its items are no longer kept; submit them as a new task"
            )


def _unfinished(job: Job) -> bool:
    return job.counters.failed + job.counters.cancelled > 0


def _locked(connection: Connection, job_id: UUID) -> Job:
    run_query(connection, "lock_jobs", ids=[job_id])
    job = read_job(connection, job_id)
    if job is None:
        raise JobNotFound(str(job_id))
    return job
