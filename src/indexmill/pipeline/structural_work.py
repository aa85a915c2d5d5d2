"""What changes a whole collection, in slices of windows: how it is run, and how it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias
from uuid import UUID

from indexmill.domain.corpus import CorpusSize
from indexmill.domain.job import BatchWork
from indexmill.errors import ItemError, SearchTimeout
from indexmill.ledger.claims import ClaimedBatch
from indexmill.ledger.ledger import Ledger
from indexmill.ledger.structural_jobs import lost_worker
from indexmill.pipeline.scan_slice import commit_scan

__all__ = ["StructuralWork", "StructuralWorks", "count_work", "run_slice"]


class StructuralWork(Protocol):
    """One kind of it. Each step is committed together with how far it is, so that whoever is next goes on there."""

    def run(self, token: UUID, batch: ClaimedBatch, check: Callable[[], None]) -> None:
        """A slice: in the end the batch is ended, or ready (or waiting) to go on. `check` raises where it must stop.

        Raises:
            ScanLost: nothing more may be written for it.
            ItemError: it cannot be done; the job fails.
            TransientError: waiting helps.
        """
        ...


StructuralWorks: TypeAlias = Mapping[BatchWork, StructuralWork]


def count_work(ledger: Ledger, collection: int) -> CorpusSize:
    """How much there is to do, for people; nothing where counting takes too long."""
    try:
        return ledger.corpora.size(collection, characters=False)
    except SearchTimeout:
        return CorpusSize(0, 0)


def run_slice(
    works: StructuralWorks, ledger: Ledger, token: UUID, batch: ClaimedBatch, check: Callable[[], None]
) -> None:
    """A slice of the batch's work; where it cannot be done, its item fails and its job with it.

    Raises:
        ScanLost
        TransientError
    """
    try:
        if batch.set_aside:
            raise lost_worker(batch.kind)
        works[batch.work].run(token, batch, check)
    except ItemError as error:
        failure = error
        commit_scan(ledger, token, batch, lambda connection: ledger.structural_jobs.fail(connection, batch, failure))
