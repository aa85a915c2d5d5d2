"""Jobs that change a whole collection: queued behind each other, one at a time a collection, with how far each is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from indexmill.domain.bodies import MAX_BATCH_ITEMS, DistinctIds, RequestDigest, pack
from indexmill.domain.failure import Failure, FailureCode, Stage
from indexmill.domain.identifier import new_job_id
from indexmill.domain.job import BatchWork, Item, Job, JobKind
from indexmill.domain.outcome import ItemStatus, count, encode_outcomes
from indexmill.errors import CollectionNotFound, ItemError
from indexmill.ledger.batches import BatchEnd, Batches
from indexmill.ledger.claims import ClaimedBatch
from indexmill.ledger.collections import Collection
from indexmill.ledger.database import Connection, Database, run_query
from indexmill.ledger.failed_items import insert_failures
from indexmill.ledger.jobs import read_job
from indexmill.ledger.scans import outcomes_of

__all__ = ["WORK_OF_KIND", "StructuralJobs", "lost_worker"]

#: What is done by the jobs of each kind that changes a whole collection.
WORK_OF_KIND: Final[Mapping[JobKind, BatchWork]] = {
    JobKind.REBUILD: BatchWork.REBUILD,
    JobKind.REPLACE_FILTER_ATTRIBUTES: BatchWork.REPLACE,
}

_SUPERSEDED: Final = "What was submitted later has been done already, and stays"


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

    def report(self, connection: Connection, batch: ClaimedBatch, failures: Sequence[Failure]) -> None:
        """What of the collection could not be done: failed items beside the job's own one, which goes on.

        Each gets its position here. They are batches that are decided already.
        """
        if not failures:
            return
        place = run_query(connection, "next_place", job=batch.job)[0]
        groups = [failures[first : first + MAX_BATCH_ITEMS] for first in range(0, len(failures), MAX_BATCH_ITEMS)]
        ordinals = list(range(place["ordinal"], place["ordinal"] + len(groups)))
        first_positions = [place["position"] + number * MAX_BATCH_ITEMS for number in range(len(groups))]
        run_query(
            connection,
            "report_items",
            job=batch.job,
            work=str(batch.work),
            ordinals=ordinals,
            first_positions=first_positions,
            items=[len(group) for group in groups],
            outcomes=[encode_outcomes(outcomes_of(ItemStatus.FAILED, [0] * len(group))) for group in groups],
        )
        for ordinal, first, group in zip(ordinals, first_positions, groups, strict=True):
            placed = [replace(each, position=first + number) for number, each in enumerate(group)]
            insert_failures(connection, batch.job, ordinal, placed)

    def forget_reports(self, connection: Connection, job: UUID) -> None:
        """The job begins at its beginning: what it has reported so far counts no more."""
        run_query(connection, "forget_reports", job=job)

    def supersede(self, connection: Connection, batch: ClaimedBatch, seq: int) -> None:
        """The item is not done: the job with this `seq`, which was submitted later, has had its say."""
        self._end(connection, batch, ItemStatus.SUPERSEDED, {"sentence": _SUPERSEDED}, superseded_by=seq)

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
        superseded_by: int | None = None,
    ) -> None:
        outcomes = outcomes_of(status, [min(chunks, 2**32 - 1)])
        self.batches.end(connection, [BatchEnd(batch.key, outcomes, count(outcomes), failures, superseded_by)])
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
