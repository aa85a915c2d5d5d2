"""Claiming work: which lane's turn it is, and its ready batches under one new lease."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import psycopg

from indexmill.domain.identifier import new_token
from indexmill.domain.job import DEFAULT_TENANT, BatchWork, JobKind
from indexmill.errors import ServiceError
from indexmill.ledger.database import Database, Row, run_query

__all__ = [
    "DELETE_LANE",
    "SCAN_LANE",
    "STRUCTURAL_LANE",
    "Claim",
    "ClaimInDoubt",
    "ClaimedBatch",
    "Claims",
    "LaneHead",
    "is_claimed_alone",
]

DELETE_LANE = "delete"
SCAN_LANE = "scan"
STRUCTURAL_LANE = "structural"


def is_claimed_alone(lane: str) -> bool:
    """Whether a tenant's scans run in it, or what changes its whole collections: `scan`, or `<tenant>/scan`."""
    tenant, slash, work = lane.rpartition("/")
    return work in (SCAN_LANE, STRUCTURAL_LANE) and (not slash or tenant.isdecimal())


@dataclass(frozen=True)
class LaneHead:
    """The first ready batch of a lane; `waited`: seconds that it has been ready."""

    lane: str
    rank: datetime
    waited: float
    tenant: int = DEFAULT_TENANT
    #: Its tenant's share of the workers.
    weight: float = 1.0


@dataclass(frozen=True)
class ClaimedBatch:
    """A batch with all that running it needs. `losses`: workers lost with it in this attempt."""

    job: UUID
    ordinal: int
    kind: JobKind
    seq: int
    force: bool
    tenant: int
    model: str
    collection: int
    first_position: int
    items: int
    size: int
    tries: int
    losses: int
    set_aside: tuple[int, ...]
    outcomes: bytes | None
    #: None: it is gone, which only a damaged database can explain.
    body: bytes | None
    #: Whether somebody is told of the job's steps.
    has_callback: bool = False
    work: BatchWork = BatchWork.WRITE
    #: The data source that its items come from.
    source: UUID | None = None
    #: Whether no two items of the job are of the same document; False: not known.
    distinct_ids: bool = False
    #: Whether its job had not been started yet.
    is_queued: bool = True

    @property
    def key(self) -> tuple[UUID, int]:
        return self.job, self.ordinal


@dataclass(frozen=True)
class Claim:
    """What one window holds: a lease token that never comes again, and its batches in rank order."""

    token: UUID
    lane: str
    batches: list[ClaimedBatch]
    #: The lane is stopped, and this window finds out whether its model works again.
    probes: bool = False
    #: Of what is not as stored, the window keeps so many bytes, and at least a batch; the rest goes back.
    work_bytes: int = 1 << 62

    @property
    def size(self) -> int:
        """Bytes of the items' JSON."""
        return sum(batch.size for batch in self.batches)

    @property
    def may_go_back(self) -> bool:
        """Whether it holds more than its window will work on: all is compared, and what has changed may be too much."""
        return self.size > self.work_bytes and self.batches[0].work is BatchWork.WRITE

    @property
    def job_ids(self) -> list[UUID]:
        return sorted({batch.job for batch in self.batches})

    @property
    def runs_item_by_item(self) -> bool:
        """After two losses: so that the item that takes its worker with it gives itself away."""
        return any(batch.losses >= 2 for batch in self.batches)


class ClaimInDoubt(ServiceError):
    """The connection was lost while batches were being claimed, perhaps after they were."""

    def __init__(self, token: UUID) -> None:
        super().__init__("database: expected an answer to a claim, the connection was lost")
        self.token = token


@dataclass(frozen=True)
class Claims:
    database: Database
    lease_seconds: float
    deadline_seconds: float
    probe_seconds: float

    def lane_heads(self) -> list[LaneHead]:
        """The lanes with ready work that are not stopped, in the order of what is first in each."""
        rows = self.database.query("lane_heads")
        return [LaneHead(row["lane"], row["rank"], float(row["waited"]), row["tenant"], row["weight"]) for row in rows]

    def claim(self, lane: str, worker: str, max_bytes: int, work_bytes: int | None = None) -> Claim | None:
        """Take ready batches of the lane: at least one, together about `max_bytes`; None where others were faster.

        `work_bytes`: as in `Claim`; by default all that is claimed.

        Committed, with the claim counted, before this returns: a statement of its own, so that a process stopped
        in the middle of it holds no lock.

        Raises:
            ClaimInDoubt: the answer was lost; whether the batches were claimed is not known.
            ServiceError: no connection could be had; nothing was claimed.
        """
        token = new_token()
        try:
            with self.database.connection() as connection:
                rows = run_query(
                    connection,
                    "claim_batches",
                    binary=True,
                    lane=lane,
                    token=token,
                    worker=worker,
                    # What scans and what changes a whole collection are windows of their own.
                    max_bytes=1 if is_claimed_alone(lane) else max_bytes,
                    lease_seconds=self.lease_seconds,
                    deadline_seconds=self.deadline_seconds,
                    probe_seconds=self.probe_seconds,
                )
        except psycopg.OperationalError as error:
            raise ClaimInDoubt(token) from error
        if not rows:
            return None
        claim = Claim(token, lane, [_claimed(row) for row in rows], probes=rows[0]["probes"])
        return claim if work_bytes is None else replace(claim, work_bytes=work_bytes)


def _claimed(row: Row) -> ClaimedBatch:
    return ClaimedBatch(
        job=row["job"],
        ordinal=row["ordinal"],
        kind=JobKind(row["kind"]),
        seq=row["seq"],
        force=row["force"],
        tenant=row["tenant"],
        model=row["model"],
        collection=row["collection"],
        first_position=row["first_position"],
        items=row["items"],
        size=row["bytes"],
        tries=row["tries"],
        losses=row["losses"],
        set_aside=tuple(row["set_aside"] or ()),
        outcomes=bytes(row["outcomes"]) if row["outcomes"] is not None else None,
        body=bytes(row["body"]) if row["body"] is not None else None,
        has_callback=row["has_callback"],
        work=BatchWork(row["work"]),
        source=row["source"],
        distinct_ids=row["distinct_ids"],
        is_queued=row["is_queued"],
    )
