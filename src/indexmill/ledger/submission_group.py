"""Submissions that arrive together are stored together: one statement and one commit for all that wait.

Whoever finds nobody storing becomes the one that stores, for itself and for all that have come meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from uuid import UUID

from indexmill.domain.bodies import Body
from indexmill.domain.job import JobKind, Submission
from indexmill.ledger.database import Database, Row, run_query

__all__ = ["NewJob", "SubmissionGroup", "store_jobs"]

_MAX_TOGETHER = 64
_WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class NewJob:
    submission: Submission
    id: UUID
    bodies: list[Body]
    fingerprint: bytes


@dataclass
class SubmissionGroup:
    database: Database
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _waiting: list[tuple[NewJob, Future[Row | None]]] = field(default_factory=list)
    _is_storing: bool = False

    def submit(self, job: NewJob) -> Row | None:
        """Store the job with whatever else waits; its row, None where it was not stored.

        Raises:
            psycopg.Error: the statement failed for all; storing one alone may succeed, or have succeeded already.
            ServiceError: no connection could be had.
        """
        mine: Future[Row | None] = Future()
        with self._lock:
            self._waiting.append((job, mine))
            leads = not self._is_storing
            self._is_storing = True
        if leads:
            self._store_waiting()
        return mine.result(timeout=_WAIT_SECONDS)

    def _store_waiting(self) -> None:
        while True:
            with self._lock:
                together = self._waiting[:_MAX_TOGETHER]
                del self._waiting[:_MAX_TOGETHER]
                if not together:
                    self._is_storing = False
                    return
            try:
                rows = {row["id"]: row for row in store_jobs(self.database, [job for job, _ in together])}
            except BaseException as error:  # noqa: BLE001 - whoever waits must be told, whatever it is
                for _, future in together:
                    future.set_exception(error)
                continue
            for job, future in together:
                future.set_result(rows.get(job.id))


def store_jobs(database: Database, jobs: Sequence[NewJob]) -> list[Row]:
    """Store the jobs in this order, in one statement; the rows of those that were stored."""
    submissions = [job.submission for job in jobs]
    bodies = [(job.id, ordinal, body) for job in jobs for ordinal, body in enumerate(job.bodies)]
    with database.connection() as connection:
        return run_query(
            connection,
            "submit_jobs",
            ids=[job.id for job in jobs],
            tenants=[each.tenant for each in submissions],
            kinds=[str(each.kind) for each in submissions],
            external_ids=[each.external_id for each in submissions],
            models=[each.model for each in submissions],
            deletes=[each.kind is JobKind.DELETION for each in submissions],
            fingerprints=[job.fingerprint for job in jobs],
            totals=[sum(body.items for body in job.bodies) for job in jobs],
            counts=[len(job.bodies) for job in jobs],
            jobs=[job_id for job_id, _, _ in bodies],
            ordinals=[ordinal for _, ordinal, _ in bodies],
            first_positions=[body.first_position for _, _, body in bodies],
            items=[body.items for _, _, body in bodies],
            sizes=[body.size for _, _, body in bodies],
            bodies=[body.data for _, _, body in bodies],
        )
