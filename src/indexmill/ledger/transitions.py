"""The job's transitions while it is open: start, wait, resume, and its ends. Each is one guarded statement."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from indexmill.domain.job import Job, JobKind
from indexmill.domain.job_state import JobState, Reason
from indexmill.domain.outcome import Ending, ending
from indexmill.errors import Conflict, JobNotFound
from indexmill.ledger.database import Connection, Database, is_outage, run_query
from indexmill.ledger.jobs import read_job
from indexmill.ledger.records import counters_of

__all__ = ["Transitions"]

_log = logging.getLogger(__name__)
#: Jobs that change their state in one transaction.
_GROUP = 50
#: Jobs that are finished together; so many are small ones, of which each window is the last.
_MANY = 8


@dataclass(frozen=True)
class Transitions:
    database: Database

    def start(self, job_ids: Sequence[UUID]) -> None:
        """queued -> running, for those of these jobs that are there."""
        self.database.query("start_jobs", ids=list(job_ids))

    def resume(self, job_ids: Sequence[UUID]) -> None:
        """retrying -> running, for those of these jobs that are there."""
        self.database.query("resume_jobs", ids=list(job_ids))

    def wait(self, connection: Connection, job_ids: Sequence[UUID], sentence: str) -> None:
        """running -> retrying for those of these jobs whose every open batch waits."""
        run_query(connection, "lock_jobs", ids=sorted(job_ids))
        run_query(connection, "wait_jobs", ids=list(job_ids), detail=sentence)

    def wait_stalled(self, job_ids: Sequence[UUID], sentence: str) -> None:
        """As `wait`, in transactions of its own; one that cannot is logged and stops no other."""

        def work(connection: Connection, group: list[UUID]) -> list[UUID]:
            self.wait(connection, group, sentence)
            return group

        self._in_groups(job_ids, work)

    def finish(self, job_ids: Sequence[UUID]) -> list[UUID]:
        """End those of these jobs that have no open batch left; the ids of those that ended now.

        One that cannot be ended is logged and stops no other: whoever finishes jobs has work of its own to go on with.
        """
        if len(job_ids) < _MANY:
            # Most of a large job's windows are not its last: they lock nothing and commit nothing for it.
            job_ids = [row["id"] for row in self.database.query("closed_jobs", ids=list(job_ids))]
        return self._in_groups(job_ids, self._finish)

    def alone(self, job_id: UUID, work: Callable[[Connection], object]) -> bool:
        """One of many jobs, in a transaction of its own; where it fails it is logged. Whether it went well."""

        def run(connection: Connection, job_ids: list[UUID]) -> list[UUID]:
            work(connection)
            return job_ids

        return bool(self._isolated([job_id], run))

    def _in_groups(self, job_ids: Sequence[UUID], work: Callable[[Connection, list[UUID]], list[UUID]]) -> list[UUID]:
        ids = sorted(job_ids)
        done: list[UUID] = []
        for start in range(0, len(ids), _GROUP):
            done += self._isolated(ids[start : start + _GROUP], work)
        return done

    def _isolated(self, job_ids: list[UUID], work: Callable[[Connection, list[UUID]], list[UUID]]) -> list[UUID]:
        """One transaction; where it fails by one of the jobs, each in a transaction of its own."""
        try:
            return self.database.repeat(lambda connection: work(connection, job_ids))
        except Exception as error:
            # A broken constraint, a defect: whatever it is, it is this job's and no other's.
            if is_outage(error):
                raise
            if len(job_ids) > 1:
                return [done for job_id in job_ids for done in self._isolated([job_id], work)]
            _log.exception("job %s cannot change its state; its row and its batches need a look", job_ids[0])
            return []

    def _finish(self, connection: Connection, job_ids: list[UUID]) -> list[UUID]:
        # The lock is a statement of its own: the check for open batches needs a snapshot taken after it.
        locked = [row["id"] for row in run_query(connection, "lock_open_jobs", ids=job_ids)]
        if not locked:
            return []
        sums = run_query(connection, "sum_finishable_jobs", ids=locked)
        ends: list[tuple[UUID, Ending, str | None]] = []
        for row in sums:
            end = ending(counters_of(row))
            ends.append(
                (row["id"], end, _superseded_detail(row["superseded_by"]) if end.reason is Reason.SUPERSEDED else None)
            )
        return self._end(connection, ends)

    def cancel(self, job_id: UUID) -> Job:
        """Close the open batches and end the job, in one transaction. An ended job is unchanged.

        Raises:
            JobNotFound
            Conflict: it removes what somebody has deleted.
        """

        def work(connection: Connection) -> Job:
            end = Ending(JobState.CANCELLED, Reason.BY_REQUEST)
            job = _required(connection, job_id)
            if job.kind is JobKind.CLEANUP and not job.is_terminal:
                raise Conflict(
                    f"Job `{job.name}` removes the documents of a deleted data source, which nothing else would do: "
                    "it cannot be cancelled"
                )
            self.close(connection, job_id, end, None)
            return _required(connection, job_id)

        return self.database.repeat(work)

    def revoke_earlier(self, job: Job) -> int:
        """A delete wins at once: end the open ingestions of its document that were submitted before; how many.

        What this does not reach, because a worker was faster or this process died, loses by its version.
        """
        earlier = self.database.query("earlier_ingestions", id=job.id)
        end = Ending(JobState.CANCELLED, Reason.SUPERSEDED)
        sentence = f"The document was deleted later, by job `{job.name}`"

        def work(connection: Connection, job_id: UUID) -> None:
            self.close(connection, job_id, end, sentence)

        for row in earlier:
            self.database.repeat(partial(work, job_id=row["id"]))
        return len(earlier)

    def fail(self, job_id: UUID, sentence: str) -> bool:
        """End an open job because the system cannot do it; its undecided items can be retried. As `alone`."""
        end = Ending(JobState.FAILED, Reason.SYSTEM)
        return self.alone(job_id, lambda connection: self.close(connection, job_id, end, sentence))

    def close(self, connection: Connection, job_id: UUID, end: Ending, detail: str | None) -> None:
        """Lock the job, then its open batches; take them from their leases; end the job.

        Where no batch is open any more the work has won: the job is finished by its items instead.
        """
        if not run_query(connection, "lock_open_jobs", ids=[job_id]):
            return
        closed = run_query(connection, "close_open_batches", id=job_id)
        if not closed:
            self._finish(connection, [job_id])
            return
        self._end(connection, [(job_id, end, detail)])

    def _end(self, connection: Connection, ends: list[tuple[UUID, Ending, str | None]]) -> list[UUID]:
        if not ends:
            return []
        ended = run_query(
            connection,
            "end_jobs",
            ids=[job_id for job_id, _, _ in ends],
            states=[str(end.state) for _, end, _ in ends],
            reasons=[str(end.reason) for _, end, _ in ends],
            details=[detail for _, _, detail in ends],
        )
        return [row["id"] for row in ended]


def _required(connection: Connection, job_id: UUID) -> Job:
    job = read_job(connection, job_id)
    if job is None:
        raise JobNotFound(str(job_id))
    return job


def _superseded_detail(name: str | None) -> str:
    return f"Every item was superseded by what was submitted later{f' in task `{name}`' if name else ''}"
