"""Jobs that change a whole collection: queued behind each other, one at a time a collection, with how far each is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from indexmill.domain.bodies import DistinctIds, RequestDigest, pack
from indexmill.domain.failure import Failure, FailureCode, Stage
from indexmill.domain.identifier import new_job_id
from indexmill.domain.job import BatchWork, Item, Job, JobKind
from indexmill.domain.outcome import ItemStatus, count
from indexmill.errors import CollectionNotFound, ItemError
from indexmill.ledger.batches import BatchEnd, Batches
from indexmill.ledger.claims import ClaimedBatch
from indexmill.ledger.collections import Collection
from indexmill.ledger.database import Connection, Database, run_query
from indexmill.ledger.jobs import read_job
from indexmill.ledger.scans import outcomes_of

__all__ = ["WORK_OF_KIND", "StructuralJobs", "lost_worker"]

#: What is done by the jobs of each kind that changes a whole collection.
WORK_OF_KIND: Final[Mapping[JobKind, BatchWork]] = {
    JobKind.REBUILD: BatchWork.REBUILD,
    JobKind.REPLACE_FILTER_ATTRIBUTES: BatchWork.REPLACE,
}


@dataclass(frozen=True)
class StructuralJobs:
    """Each is one item in one batch, worked on in slices. `result`: for programs; its `sentence` becomes the detail."""

    database: Database
    batches: Batches

    def submit(
        self,
        collection: Collection,
        kind: JobKind,
        request: dict[str, Any] | None = None,
        *,
        submitted_by: str | None = None,
    ) -> Job:
        """Queue the job behind those of the collection. `request`: what its worker finds in its item's `item_info`.

        Raises:
            CollectionNotFound: it has been deleted meanwhile.
        """
        job_id = new_job_id()
        item = Item(collection.name, item_info=request or {})
        body = next(pack([item], RequestDigest(), DistinctIds())).data
        work = str(WORK_OF_KIND[kind])

        def store(connection: Connection) -> Job:
            stored = read_job(connection, job_id)
            if stored is None:
                run_query(
                    connection,
                    "insert_structural_job",
                    id=job_id,
                    kind=str(kind),
                    work=work,
                    collection=collection.id,
                    body=body,
                    submitted_by=submitted_by,
                )
                stored = read_job(connection, job_id)
            if stored is None:
                raise CollectionNotFound(collection.name, [])
            return stored

        job = self.database.repeat(store)
        self.give_turns()
        return job

    def give_turns(self) -> int:
        """Make the next job of each collection claimable where none is at work; how many."""
        try:
            return len(self.database.query("give_turns"))
        except psycopg.errors.UniqueViolation:
            # Somebody else gave a turn at the same moment; what is left comes with the next sweep.
            return 0

    def progress(self, job: UUID) -> dict[str, Any] | None:
        """What was noted last; None at the beginning."""
        rows = self.database.query("read_structural_progress", job=job)
        return rows[0]["progress"] if rows else None

    # Within the transaction of a step, in which the job and its batch are held

    def note_progress(self, connection: Connection, job: UUID, progress: dict[str, Any], done: float) -> None:
        """`done`: how much of it, 0 to 1, for people."""
        run_query(connection, "note_structural_progress", job=job, progress=Jsonb({**progress, "done": round(done, 4)}))

    def end(self, connection: Connection, batch: ClaimedBatch, result: dict[str, Any], chunks: int = 0) -> None:
        """The item is done."""
        self._end(connection, batch, ItemStatus.INDEXED, result, chunks=chunks)

    def fail(
        self, connection: Connection, batch: ClaimedBatch, error: ItemError, result: dict[str, Any] | None = None
    ) -> None:
        """The item has failed; a retry begins at the beginning."""
        failure = Failure(
            position=batch.first_position,
            stage=error.stage,
            code=error.code,
            sentence=error.sentence,
            retryable=error.retryable,
            object_id=str(batch.collection),
        )
        # What was set aside has its failure already.
        failures = [] if batch.set_aside else [failure]
        told = {**(result or {}), "sentence": error.sentence}
        self._end(connection, batch, ItemStatus.FAILED, told, failures=failures)

    def _end(
        self,
        connection: Connection,
        batch: ClaimedBatch,
        status: ItemStatus,
        result: dict[str, Any],
        *,
        chunks: int = 0,
        failures: Sequence[Failure] = (),
    ) -> None:
        outcomes = outcomes_of(status, [min(chunks, 2**32 - 1)])
        self.batches.end(connection, [BatchEnd(batch.key, outcomes, count(outcomes), failures, None)])
        run_query(connection, "note_result", job=batch.job, result=Jsonb(result))
        run_query(connection, "forget_structural_progress", job=batch.job)


def lost_worker(kind: JobKind) -> ItemError:
    """What a job failed by whose slices ended their workers again and again."""
    return ItemError(
        Stage.ENGINE,
        FailureCode.WORKER_LOST,
        f"The {kind} ended its worker process again and again",
        retryable=True,
    )
