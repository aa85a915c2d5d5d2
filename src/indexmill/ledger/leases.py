"""Leases: renewal while a window runs, giving back, and the rescue of what dead workers held."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from indexmill.domain.bodies import StoredItem, UnreadableBody, decode_body
from indexmill.domain.failure import Failure, FailureCode, Stage
from indexmill.domain.item_source import reported_item_info
from indexmill.domain.outcome import open_positions
from indexmill.errors import ServiceError
from indexmill.ledger.database import Connection, Database, Row, is_outage, run_query
from indexmill.ledger.failed_items import insert_failures

__all__ = ["LOSSES_OF_AN_ITEM", "MAX_LOSSES", "Leases"]

_log = logging.getLogger(__name__)
#: A batch that was lost so often with no single item to blame is failed as a whole.
MAX_LOSSES = 6
#: An item fails at its third loss.
LOSSES_OF_AN_ITEM = 3
#: Until a lease whose rescue failed is tried again.
_POSTPONE_SECONDS = 60.0


@dataclass(frozen=True)
class Leases:
    database: Database
    lease_seconds: float
    deadline_seconds: float

    def renew(self, token: UUID) -> int:
        """Extend the lease, though not past its deadline; how many batches still carry the token.

        Revives a lease that has expired, as long as nobody has rescued its batches.
        """
        rows = self.database.query("renew_lease", token=token, seconds=self.lease_seconds)
        return int(rows[0]["held"]) if rows else 0

    def note_position(self, token: UUID, position: int | None) -> None:
        """Write down which item runs alone now (None: none), before it runs; each has the deadline to itself."""
        self.database.query(
            "note_position",
            token=token,
            position=position,
            seconds=self.lease_seconds,
            deadline_seconds=self.deadline_seconds,
        )

    def give_back(self, token: UUID) -> int:
        """Make the batches ready again and end the lease; counts as no loss. How many batches."""

        def work(connection: Connection) -> int:
            run_query(connection, "lock_jobs_of_lease", token=token)
            returned = run_query(connection, "return_batches", token=token, lost=False)
            run_query(connection, "delete_lease", token=token)
            return len(returned)

        return self.database.repeat(work)

    def return_some(self, token: UUID, keys: Collection[tuple[UUID, int]]) -> None:
        """Make these batches of the lease ready again, with no loss counted; it goes on with the others."""

        def work(connection: Connection) -> None:
            run_query(connection, "lock_jobs_of_lease", token=token)
            jobs, ordinals = [job for job, _ in keys], [ordinal for _, ordinal in keys]
            run_query(connection, "return_some_batches", token=token, jobs=jobs, ordinals=ordinals)

        self.database.repeat(work)

    def lose(self, token: UUID) -> int:
        """Give up a window that fails by its own doing: its batches are ready again, and it counts as a loss."""
        return sum(self._rescue_one(row) for row in self.database.query("expire_lease", token=token))

    def drop(self, token: UUID) -> None:
        """End the lease of a window that has committed."""
        self.database.query("delete_lease", token=token)

    def expire_of(self, worker: str) -> None:
        """Let the leases of a process, or of all of a supervisor's, that is known to be dead be rescued at once."""
        self.database.query("expire_leases", worker=worker)

    def rescue(self) -> int:
        """Make the batches of expired leases ready again; how many batches. Waits one lease after an outage.

        A lease that cannot be rescued is logged and postponed, so that the next turns get past it.
        """
        expired = self.database.query("expired_leases", seconds=self.lease_seconds)
        return sum(self._rescue_one(row) for row in expired)

    def _rescue_one(self, lease: Row) -> int:
        try:
            return self.database.repeat(lambda connection: self._rescue(connection, lease))
        except _LeaseLives:
            return 0
        except ServiceError as error:
            if is_outage(error):
                raise
            _log.warning("lease %s is not rescued yet: %s", lease["token"], type(error.__cause__).__name__)
            return 0
        except Exception:  # noqa: BLE001 - an unreadable body, a broken constraint, a defect: this lease's, no other's
            _log.exception("lease %s cannot be rescued; its batches need a look", lease["token"])
            self.database.query("postpone_lease", token=lease["token"], seconds=_POSTPONE_SECONDS)
            return 0

    def _rescue(self, connection: Connection, lease: Row) -> int:
        # Jobs before batches: the order in which everybody locks.
        run_query(connection, "lock_jobs_of_lease", token=lease["token"])
        rescued = run_query(connection, "return_batches", token=lease["token"], lost=True)
        for batch in rescued:
            _set_aside(connection, batch, lease)
        if not run_query(connection, "delete_expired_lease", token=lease["token"]):
            # Renewed meanwhile, or one of its batches is in the middle of a commit: leave it alone this time.
            raise _LeaseLives
        return len(rescued)


class _LeaseLives(Exception):
    pass


def _set_aside(connection: Connection, batch: Row, lease: Row) -> None:
    """Fail the item that took its worker with it for the third time; a batch lost too often fails as a whole."""
    first, items = batch["first_position"], batch["items"]
    position = lease["position"]
    if position is not None and batch["losses"] >= LOSSES_OF_AN_ITEM and first <= position < first + items:
        positions = [position]
    elif batch["losses"] >= MAX_LOSSES:
        positions = open_positions(batch["outcomes"], first, items, batch["set_aside"] or ())
    else:
        return
    # What has been set aside is not set aside again: a worker may be lost after it, too.
    positions = [each for each in positions if each not in set(batch["set_aside"] or ())]
    if not positions:
        return
    bodies = run_query(connection, "read_body", job=batch["job"], ordinal=batch["ordinal"])
    try:
        contents = decode_body(bytes(bodies[0]["body"]) if bodies else None)
    except UnreadableBody:
        # Whoever claims the batch next ends its job.
        return
    run_query(connection, "set_aside", job=batch["job"], ordinal=batch["ordinal"], positions=positions)
    is_known = positions == [position]
    failures = [_lost(contents[each - first], each, lease["past_deadline"], is_known=is_known) for each in positions]
    insert_failures(connection, batch["job"], batch["ordinal"], failures)


def _lost(item: StoredItem, position: int, past_deadline: bool, *, is_known: bool) -> Failure:
    """`is_known`: this item ran alone when it happened; else it is one of a batch of which any may be to blame."""
    code = FailureCode.DEADLINE if past_deadline else FailureCode.WORKER_LOST
    cause = "ran past its time limit" if past_deadline else "ended its worker process"
    subject, times = ("The item", LOSSES_OF_AN_ITEM) if is_known else ("The batch of this item", MAX_LOSSES)
    return Failure(
        position=position,
        stage=Stage.ENGINE,
        code=code,
        sentence=f"{subject} {cause} {times} times and was set aside; check its content before trying again",
        retryable=True,
        object_id=item.object_id,
        payload=item.payload,
        item_info=reported_item_info(item.item_info),
    )
