"""Making jobs durable: small requests in one statement, streamed ones batch by batch in state `receiving`."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from indexmill.domain.backoff import backoff_seconds
from indexmill.domain.bodies import Body, DistinctIds, RequestDigest, pack
from indexmill.domain.identifier import new_job_id
from indexmill.domain.job import MADE_HERE, Job, JobKind, Submission, Submitted
from indexmill.errors import Conflict, IndexmillError, JobExists, ServiceError
from indexmill.ledger.database import Connection, Database, is_repeatable, run_query
from indexmill.ledger.jobs import Jobs, read_job
from indexmill.ledger.models import Models
from indexmill.ledger.new_jobs import NewJob, insert_jobs, store_jobs
from indexmill.ledger.records import job_of
from indexmill.ledger.transitions import Transitions

__all__ = ["Submissions"]

#: A request of more batches than this, or more bytes, is stored in several transactions.
_BATCHES_AT_ONCE = 32
_BYTES_AT_ONCE = 8 * 1024 * 1024
_REPEATS = 5

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Submissions:
    database: Database
    jobs: Jobs
    models: Models
    transitions: Transitions

    def submit(self, submission: Submission) -> Submitted:
        """Store the job. The same external id with the same request gives the existing job.

        Raises:
            ModelNotFound: nothing was created.
            JobExists: the external id belongs to another request.
            InvalidRequest: an item that cannot be stored as JSON.
            ServiceError: the database could not be reached.
        """
        digest, ids = _digest(submission), DistinctIds()
        groups = _groups(_packed(submission, digest, ids))
        first = next(groups, [])
        second = next(groups, None)
        if second is None:
            return self._submit_small(NewJob(submission, new_job_id(), first, digest.value(), ids.value()))
        created = self._receive(submission, new_job_id(), itertools.chain([first, second], groups), digest, ids)
        return self._submitted(submission, created, digest.value())

    def submit_new(self, submission: Submission) -> Submitted | None:
        """Store the ingestion that makes a document, unless there is one or another job is making it.

        Nothing comes between the look and the job: of those who make one document at once, one does. A job that will
        lose by its version makes nothing.

        Returns:
            None: the document is there. Not `created`: the job that is making it, of whatever content.

        Raises:
            What `submit` raises.
        """
        job = _encoded(submission)
        place: dict[str, Any] = {
            "tenant": submission.tenant,
            "collection": submission.collection_name,
            "number": submission.collection_number,
            "document": submission.document,
        }

        def work(connection: Connection) -> tuple[bool, Job | None]:
            run_query(connection, "guard_commit")
            run_query(connection, "lock_document", **place)
            # A statement of its own: it sees what was committed before it was this one's turn.
            for found in run_query(connection, "document_in_the_way", **place):
                if found["is_there"]:
                    return True, None
                if found["job"] is not None:
                    return False, read_job(connection, found["job"])
            rows = insert_jobs(connection, [job])
            return False, job_of(rows[0]) if rows else None

        try:
            is_there, stored = self.database.repeat(work)
        except psycopg.errors.UniqueViolation:
            # An earlier try of ours was committed although its answer was lost, and has failed since.
            is_there, stored = False, self.jobs.get(job.id)
        if is_there:
            return None
        if stored is not None and stored.id != job.id:
            return Submitted(stored, created=False)
        return self._submitted(submission, stored, job.fingerprint)

    def submit_together(self, submissions: Sequence[Submission]) -> list[Submitted | IndexmillError]:
        """Store several small requests in one commit; each one's result, or what `submit` would have raised for it."""
        results: dict[int, Submitted | IndexmillError] = {}
        wanted: dict[int, NewJob] = {}
        for number, submission in enumerate(submissions):
            try:
                wanted[number] = _encoded(submission)
            except IndexmillError as error:
                results[number] = error
        try:
            rows = {row["id"]: row for row in store_jobs(self.database, list(wanted.values()))}
        except (psycopg.Error, ServiceError) as error:
            # One of them, or the connection, is to blame: each finds out for itself, under the id that it has.
            _log.info("storing together failed (%s); storing each alone", type(error).__name__)
            results |= {number: self._guarded(partial(self._submit_small, job)) for number, job in wanted.items()}
        else:
            for number, job in wanted.items():
                row = rows.get(job.id)
                created = job_of(row) if row is not None else None
                results[number] = self._guarded(partial(self._submitted, job.submission, created, job.fingerprint))
        return [results[number] for number in range(len(submissions))]

    @staticmethod
    def _guarded(work: Callable[[], Submitted]) -> Submitted | IndexmillError:
        try:
            return work()
        except IndexmillError as error:
            return error
        except psycopg.Error as error:
            # Its own trouble, not its neighbours'.
            _log.warning("a submission failed: %s (SQLSTATE %s)", type(error).__name__, error.sqlstate)
            return ServiceError("database: expected the job to be stored, it was refused")

    def _submit_small(self, job: NewJob) -> Submitted:
        return self._submitted(job.submission, self._store_alone(job), job.fingerprint)

    def _submitted(self, submission: Submission, created: Job | None, fingerprint: bytes) -> Submitted:
        """The stored job, ended at once if it has no items; where none was stored, the one that is there."""
        if created is None:
            return self._existing(submission, fingerprint)
        if created.total_items == 0:
            self.transitions.finish([created.id])
            created = self.jobs.get(created.id) or created
        return Submitted(created, created=True)

    def _store_alone(self, wanted: NewJob) -> Job | None:
        """One statement; None where the external id is taken (or the model is unknown)."""
        for attempt in range(1, _REPEATS + 1):
            try:
                rows = store_jobs(self.database, [wanted])
                return job_of(rows[0]) if rows else None
            except psycopg.errors.UniqueViolation:
                # An earlier try of ours was committed although its answer was lost.
                return self.jobs.get(wanted.id)
            except psycopg.Error as error:
                if not is_repeatable(error):
                    raise
                if attempt == _REPEATS:
                    raise ServiceError("database: expected the job to be stored, it failed repeatedly") from error
                time.sleep(backoff_seconds(attempt, base=0.1))
        raise AssertionError("unreachable")

    def _receive(
        self,
        submission: Submission,
        job_id: UUID,
        groups: Iterator[list[Body]],
        digest: RequestDigest,
        ids: DistinctIds,
    ) -> Job | None:
        ordinal = total = 0
        self.models.require(submission.model, submission.tenant)
        identity = _identity(submission, job_id)
        self.database.repeat(lambda connection: run_query(connection, "receive_job", **identity))
        try:
            for bodies in groups:
                values = _columns(ordinal, bodies)
                self.database.repeat(lambda c, v=values: run_query(c, "receive_batches", id=job_id, **v))  # type: ignore[misc]
                ordinal += len(bodies)
                total += sum(body.items for body in bodies)
            received = {"fingerprint": digest.value(), "distinct_ids": ids.value(), "total_items": total}
            return self.database.repeat(lambda connection: self._queue(connection, submission, job_id, received))
        except BaseException:
            # A broken upload leaves nothing behind; what this cannot reach, the prune sweep finds.
            self.database.repeat(lambda connection: run_query(connection, "drop_receiving_job", id=job_id))
            raise

    def _queue(
        self, connection: Connection, submission: Submission, job_id: UUID, received: dict[str, Any]
    ) -> Job | None:
        """receiving -> queued; where the external id is taken, or the collection gone, the staging is dropped: None."""
        try:
            with connection.transaction():
                run_query(
                    connection,
                    "queue_job",
                    id=job_id,
                    external_id=submission.external_id,
                    **received,
                    callback=None if submission.callback is None else Jsonb(submission.callback),
                )
        except psycopg.errors.UniqueViolation:
            run_query(connection, "drop_receiving_job", id=job_id)
            return None
        job = read_job(connection, job_id)
        if job is None:
            # Its collection was deleted meanwhile, or its staging pruned.
            run_query(connection, "drop_receiving_job", id=job_id)
        return job

    def _existing(self, submission: Submission, fingerprint: bytes) -> Submitted:
        rows = self.database.query(
            "find_submission",
            tenant=submission.tenant,
            kind=submission.kind,
            external_id=submission.external_id,
        )
        if not rows:
            self.models.require(submission.model, submission.tenant)
            name, number = submission.collection_name, submission.collection_number
            found = self.database.query("find_collection", tenant=submission.tenant, name=name)
            if not found or number not in (None, found[0]["collection"]):
                raise Conflict(f"Collection `{name}` was deleted while the items came; submit them to another one")
            raise ServiceError("database: expected the job to be stored, it was not; send the request again")
        if bytes(rows[0]["fingerprint"]) != fingerprint:
            raise JobExists(submission.external_id or "")
        return Submitted(job_of(rows[0]), created=False)


def _encoded(submission: Submission) -> NewJob:
    """Raises: InvalidRequest."""
    digest, ids = _digest(submission), DistinctIds()
    bodies = list(_packed(submission, digest, ids))
    return NewJob(submission, new_job_id(), bodies, digest.value(), ids.value())


def _packed(submission: Submission, digest: RequestDigest, ids: DistinctIds) -> Iterator[Body]:
    return pack(submission.items, digest, ids, is_upload=submission.kind in MADE_HERE)


def _digest(submission: Submission) -> RequestDigest:
    return RequestDigest(submission.kind, submission.model, submission.collection_name)


def _groups(bodies: Iterator[Body]) -> Iterator[list[Body]]:
    """Bodies in groups that one transaction stores."""
    group: list[Body] = []
    size = 0
    for body in bodies:
        if len(group) == _BATCHES_AT_ONCE or (group and size + len(body.data) > _BYTES_AT_ONCE):
            yield group
            group, size = [], 0
        group.append(body)
        size += len(body.data)
    if group:
        yield group


def _identity(submission: Submission, job_id: UUID) -> dict[str, Any]:
    return {
        "id": job_id,
        "tenant": submission.tenant,
        "kind": str(submission.kind),
        "external_id": submission.external_id,
        "model": submission.model,
        "collection": submission.collection_name,
        "number": submission.collection_number,
        "deletes": submission.kind is JobKind.DELETION,
        "references": list(submission.spooled),
        "submitted_by": submission.submitted_by,
    }


def _columns(first_ordinal: int, bodies: list[Body]) -> dict[str, Any]:
    return {
        "ordinals": list(range(first_ordinal, first_ordinal + len(bodies))),
        "first_positions": [body.first_position for body in bodies],
        "items": [body.items for body in bodies],
        "sizes": [body.size for body in bodies],
        "bodies": [body.data for body in bodies],
    }
