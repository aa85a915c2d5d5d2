"""What a scan of a data source writes: what it found, as batches of its job, together with how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

import numpy as np

from indexmill.domain.bodies import Body
from indexmill.domain.failure import Failure
from indexmill.domain.outcome import OUTCOME_DTYPE, ItemStatus, OutcomeArray, encode_outcomes
from indexmill.ledger.batches import Batches
from indexmill.ledger.claims import ClaimedBatch
from indexmill.ledger.database import Connection, Database, run_query
from indexmill.ledger.failed_items import insert_failures
from indexmill.ledger.transitions import Transitions

__all__ = ["CrawlUrl", "KnownFile", "NewBatch", "ScanPhase", "ScanProgress", "Scans", "WrittenFile", "outcomes_of"]


class ScanPhase(StrEnum):
    #: Files are being found.
    LISTING = "listing"
    #: The listing came to its end: what it did not meet is being removed.
    REMOVING = "removing"
    ENDED = "ended"


@dataclass(frozen=True)
class ScanProgress:
    """How far a scan is. `cursor`: where its phase goes on, None at its beginning."""

    phase: ScanPhase
    cursor: str | None


@dataclass(frozen=True)
class KnownFile:
    """A file that is indexed. `is_there`: its document has not been removed by anybody else."""

    revision: str
    chunks: int
    is_there: bool


@dataclass(frozen=True)
class NewBatch:
    """Items that a scan found. `outcomes`: of a batch that is decided already, with `failures` by index."""

    body: Body
    source_bytes: int = 0
    deletes: bool = False
    outcomes: OutcomeArray | None = None
    failure: Failure | None = None


@dataclass(frozen=True)
class CrawlUrl:
    """A URL that is to be visited, in `wait` seconds."""

    url: str
    tries: int
    wait: float


@dataclass(frozen=True)
class WrittenFile:
    """A file whose document was written, or found as it should be."""

    source: UUID
    key: str
    document: str
    revision: str
    size: int
    chunks: int
    seq: int


@dataclass(frozen=True)
class Scans:
    database: Database
    transitions: Transitions
    batches: Batches

    def progress(self, job: UUID, source: UUID) -> ScanProgress:
        row = self.database.query("read_job_source", job=job, source=source)[0]
        return ScanProgress(ScanPhase(row["phase"]), row["cursor"])

    def known(self, collection: int, source: UUID, keys: Sequence[str]) -> dict[str, KnownFile]:
        """Those of these files that are indexed."""
        rows = self.database.query("listed_files", collection=collection, source=source, keys=list(keys))
        return {row["key"]: KnownFile(row["revision"], row["chunks"], row["is_there"]) for row in rows}

    def gone(self, source: UUID, seq: int, after: str | None, limit: int) -> list[tuple[str, str]]:
        """Indexed files, key and document, that no scan since `seq` has met."""
        rows = self.database.query("gone_files", source=source, seq=seq, after=after or "", limit=limit)
        return [(row["key"], row["document"]) for row in rows]

    # Within the transaction of a step

    def hold(self, connection: Connection, token: UUID, batch: ClaimedBatch) -> bool:
        """Lock the job, then the scan's batch; whether it is still ours. New batches may be appended then."""
        if not run_query(connection, "lock_open_jobs", ids=[batch.job]):
            return False
        return bool(self.batches.fence(connection, token, {batch.key}))

    def note_step(self, connection: Connection, batch: ClaimedBatch, step: UUID) -> None:
        """This transaction is the one that `has_step` asks for."""
        run_query(connection, "note_step", job=batch.job, ordinal=batch.ordinal, step=step)

    def has_step(self, connection: Connection, batch: ClaimedBatch, step: UUID) -> bool:
        """Whether the transaction that has noted the step was committed, and none came after it."""
        return bool(run_query(connection, "has_step", job=batch.job, ordinal=batch.ordinal, step=step))

    def append(
        self, connection: Connection, batch: ClaimedBatch, new: Sequence[NewBatch], references: Sequence[str] = ()
    ) -> None:
        """Add the batches to the job. Their bodies' positions count from 0; here they get their place."""
        if not new:
            return
        place = run_query(connection, "next_place", job=batch.job)[0]
        ordinal, position = place["ordinal"], place["position"]
        first_positions = [position + each.body.first_position for each in new]
        run_query(
            connection,
            "append_batches",
            job=batch.job,
            source=batch.source,
            ordinals=list(range(ordinal, ordinal + len(new))),
            works=["delete" if each.deletes else "write" for each in new],
            first_positions=first_positions,
            items=[each.body.items for each in new],
            sizes=[each.body.size for each in new],
            source_bytes=[each.source_bytes for each in new],
            outcomes=[None if each.outcomes is None else encode_outcomes(each.outcomes) for each in new],
            unchanged=[_count(each, ItemStatus.UNCHANGED) for each in new],
            failed=[_count(each, ItemStatus.FAILED) for each in new],
            chunks=[0 if each.outcomes is None else int(each.outcomes["chunks"].sum()) for each in new],
            bodies=[each.body.data for each in new],
            references=list(references),
        )
        for index, each in enumerate(new):
            if each.failure is not None:
                failure = replace(each.failure, position=first_positions[index])
                insert_failures(connection, batch.job, ordinal + index, [failure])

    def see(self, connection: Connection, batch: ClaimedBatch, keys: Sequence[str]) -> None:
        """These files are still in their source."""
        if keys:
            run_query(connection, "see_files", source=batch.source, keys=list(keys), seq=batch.seq)

    def advance(
        self,
        connection: Connection,
        batch: ClaimedBatch,
        progress: ScanProgress,
        *,
        error_code: str | None = None,
        error_sentence: str | None = None,
    ) -> None:
        run_query(
            connection,
            "advance_scan",
            job=batch.job,
            source=batch.source,
            cursor=progress.cursor,
            phase=str(progress.phase),
            error_code=error_code,
            error_sentence=error_sentence,
        )

    def end(self, connection: Connection, batch: ClaimedBatch) -> None:
        """The scan came to its end; from now on only what it found counts."""
        run_query(connection, "end_scan", job=batch.job, ordinal=batch.ordinal)
        run_query(connection, "forget_crawl", job=batch.job, source=batch.source)

    def let_go(self, connection: Connection, token: UUID, batch: ClaimedBatch, seconds: float) -> None:
        """The scan goes on later, at the earliest in so many seconds; others take their turn."""
        run_query(connection, "yield_scan", job=batch.job, ordinal=batch.ordinal, seconds=seconds)
        run_query(connection, "delete_lease", token=token)

    # The files of the manifest, within the commit of their documents

    def record(self, connection: Connection, files: Sequence[WrittenFile]) -> None:
        """These files are indexed now."""
        if files:
            run_query(
                connection,
                "record_source_files",
                sources=[each.source for each in files],
                keys=[each.key for each in files],
                documents=[each.document for each in files],
                revisions=[each.revision for each in files],
                sizes=[each.size for each in files],
                chunks=[each.chunks for each in files],
                seqs=[each.seq for each in files],
            )

    def forget(self, connection: Connection, documents: Sequence[tuple[UUID, str, int]]) -> None:
        """These documents, by source, id and the job's sequence number, are removed now."""
        if documents:
            run_query(
                connection,
                "forget_source_files",
                sources=[source for source, _, _ in documents],
                documents=[document for _, document, _ in documents],
                seqs=[seq for _, _, seq in documents],
            )

    # The frontier of a crawl

    def crawl_next(self, batch: ClaimedBatch) -> CrawlUrl | None:
        """The URL whose turn it is; None where all that are known have been visited."""
        rows = self.database.query("crawl_next", job=batch.job, source=batch.source)
        return CrawlUrl(rows[0]["url"], rows[0]["tries"], rows[0]["wait"]) if rows else None

    def crawl_counts(self, batch: ClaimedBatch) -> tuple[int, int]:
        """How many URLs have been visited, and how many are known."""
        row = self.database.query("crawl_counts", job=batch.job, source=batch.source)[0]
        return row["visited"], row["known"]

    def crawl_add(
        self, connection: Connection, batch: ClaimedBatch, urls: Sequence[str], max_known: int, *, visited: bool = False
    ) -> None:
        """URLs that were met; those that are new are to be visited. `visited`: they have been."""
        if urls:
            run_query(
                connection,
                "crawl_seed",
                job=batch.job,
                source=batch.source,
                urls=list(dict.fromkeys(urls)),
                visited=visited,
                max_known=max_known,
            )

    def crawl_known(self, batch: ClaimedBatch, urls: Sequence[str]) -> set[str]:
        """Those of these URLs that have been visited."""
        rows = self.database.query("crawl_known", job=batch.job, source=batch.source, urls=list(urls))
        return {row["url"] for row in rows}

    def crawl_visited(self, connection: Connection, batch: ClaimedBatch, url: str) -> None:
        run_query(connection, "crawl_visited", job=batch.job, source=batch.source, url=url)

    def crawl_later(self, connection: Connection, batch: ClaimedBatch, url: str, seconds: float) -> None:
        run_query(connection, "crawl_later", job=batch.job, source=batch.source, url=url, seconds=seconds)


def outcomes_of(status: ItemStatus, chunks: Sequence[int]) -> OutcomeArray:
    """The outcomes of a batch whose items all came to this."""
    outcomes = np.zeros(len(chunks), dtype=OUTCOME_DTYPE)
    outcomes["status"] = status
    outcomes["chunks"] = chunks
    return outcomes


def _count(batch: NewBatch, status: ItemStatus) -> int:
    return 0 if batch.outcomes is None else int((batch.outcomes["status"] == status).sum())
