"""Ending batches: the fence, their outcomes, and waiting for another try."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from indexmill.domain.failure import Failure
from indexmill.domain.outcome import Counters, OutcomeArray, encode_outcomes
from indexmill.ledger.database import Connection, Database, run_query
from indexmill.ledger.failed_items import insert_failures
from indexmill.ledger.transitions import Transitions

__all__ = ["BatchEnd", "BatchKey", "Batches"]

BatchKey: TypeAlias = tuple[UUID, int]


@dataclass(frozen=True)
class BatchEnd:
    """What a batch ends with. `superseded_by`: the greatest `seq` that won over one of its items."""

    key: BatchKey
    outcomes: OutcomeArray
    counters: Counters
    failures: Sequence[Failure]
    superseded_by: int | None


@dataclass(frozen=True)
class Batches:
    database: Database
    transitions: Transitions

    def fence(self, connection: Connection, token: UUID, keys: Collection[BatchKey]) -> set[BatchKey]:
        """Lock those of these batches that still carry the token, in order; only they may be written.

        From here on the transaction ends by itself when its client falls silent.
        """
        run_query(connection, "guard_commit")
        rows = run_query(connection, "fence_batches", token=token)
        return {(row["job"], row["ordinal"]) for row in rows} & set(keys)

    def end(self, connection: Connection, ends: Sequence[BatchEnd]) -> None:
        """running -> done, with outcomes, counters and failures; the batches are fenced already."""
        run_query(
            connection,
            "end_batches",
            jobs=[end.key[0] for end in ends],
            ordinals=[end.key[1] for end in ends],
            outcomes=[encode_outcomes(end.outcomes) for end in ends],
            superseded_by=[end.superseded_by for end in ends],
            indexed=[end.counters.indexed for end in ends],
            unchanged=[end.counters.unchanged for end in ends],
            payload_updated=[end.counters.payload_updated for end in ends],
            superseded=[end.counters.superseded for end in ends],
            removed=[end.counters.removed for end in ends],
            absent=[end.counters.absent for end in ends],
            failed=[end.counters.failed for end in ends],
            chunks=[end.counters.chunks for end in ends],
            tokens=[end.counters.tokens for end in ends],
            embedded=[end.counters.embedded for end in ends],
        )
        for end in ends:
            insert_failures(connection, end.key[0], end.key[1], end.failures)

    def has_committed(self, token: UUID, keys: Collection[BatchKey], patience: float | None = None) -> bool:
        """After a commit whose answer was lost: whether it happened. A finished batch keeps its token.

        Waits for the doubtful transaction to end, so that the answer is final.
        """

        def work(connection: Connection) -> bool:
            rows = run_query(
                connection,
                "reread_batches",
                token=token,
                jobs=[key[0] for key in keys],
                ordinals=[key[1] for key in keys],
            )
            return any(row["state"] == "done" for row in rows)

        return self.database.repeat(work, patience)

    def defer(self, token: UUID, seconds: float, sentence: str) -> int:
        """running -> waiting for the lease's batches: a transient cause. How many batches."""

        def work(connection: Connection) -> int:
            run_query(connection, "lock_jobs_of_lease", token=token)
            rows = run_query(connection, "defer_batches", token=token, seconds=seconds)
            run_query(connection, "delete_lease", token=token)
            self.transitions.wait(connection, sorted({row["job"] for row in rows}), sentence)
            return len(rows)

        return self.database.repeat(work)
