"""Replacing filter attributes: a set is filled aside with every document's values, then filters see it at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import psycopg

from indexmill.domain.bodies import decode_body
from indexmill.domain.failure import Failure, FailureCode, Stage
from indexmill.domain.filter_attributes import attributes_from_json
from indexmill.errors import Conflict, InvalidRequest, ItemError, ServiceError
from indexmill.ledger.claims import ClaimedBatch
from indexmill.ledger.database import Connection
from indexmill.ledger.failed_items import insert_failures
from indexmill.ledger.ledger import Ledger
from indexmill.pipeline.scan_slice import commit_scan
from indexmill.pipeline.structural_work import count_work
from indexmill.vectors.attribute_sets import AttributeSets, DocumentMisfits

__all__ = ["ReplaceAttributes"]

_log = logging.getLogger(__name__)

#: Documents whose values do not fit that are reported one by one; of all of them the number is told.
_MAX_REPORTED: Final = 10_000
_MAX_SENTENCES: Final = 5


@dataclass
class ReplaceAttributes:
    """One a worker process. It gives its turn back after `slice_seconds`; whoever is next goes on with it."""

    ledger: Ledger
    sets: AttributeSets
    slice_seconds: float = 2.0
    page_documents: int = 1000

    def run(self, token: UUID, batch: ClaimedBatch, check: Callable[[], None]) -> None:
        """Fill the set as far as the slice allows; when every document is in it, switch.

        Raises:
            ScanLost: nothing more may be written for it.
            ItemError: the attributes cannot be; the old ones stay.
        """
        until = time.monotonic() + self.slice_seconds
        progress = self.ledger.structural_jobs.progress(batch.job)
        while True:
            check()
            try:
                if progress is None:
                    progress = self._begin(token, batch)
                elif progress["is_filled"]:
                    self._switch(token, batch, progress)
                    return
                else:
                    progress = self._fill(token, batch, progress)
            except Conflict:
                # Its set was given up meanwhile: from the beginning.
                progress = None
            if time.monotonic() > until:
                break
        commit_scan(
            self.ledger, token, batch, lambda connection: self.ledger.scans.let_go(connection, token, batch, 0.0)
        )

    def _begin(self, token: UUID, batch: ClaimedBatch) -> dict[str, Any]:
        request = decode_body(batch.body)[0].item_info or {}
        total = count_work(self.ledger, batch.collection).documents
        progress: dict[str, Any] = {"after": None, "documents": 0, "misfits": 0, "is_filled": False, "total": total}

        def work(connection: Connection) -> None:
            for unused in self.sets.unused_sets(connection, batch.collection):
                self.sets.drop_set(connection, batch.collection, unused)
            attributes = attributes_from_json(request["attributes"])
            progress["number"] = self.sets.prepare_set(connection, batch.collection, attributes)
            self.ledger.structural_jobs.note_progress(connection, batch.job, progress, 0.0)

        try:
            commit_scan(self.ledger, token, batch, work)
        except InvalidRequest as error:
            raise ItemError(Stage.ENGINE, FailureCode.STORE_REJECTED, str(error), retryable=False) from error
        return progress

    def _fill(self, token: UUID, batch: ClaimedBatch, before: dict[str, Any]) -> dict[str, Any]:
        after: dict[str, Any] = {}

        def work(connection: Connection) -> None:
            page = self.sets.fill_page(
                connection, batch.collection, before["number"], before["after"], self.page_documents
            )
            after.update(
                before,
                after=page.next,
                documents=before["documents"] + page.documents,
                misfits=before["misfits"] + len(page.misfits),
                is_filled=page.next is None,
            )
            left = max(0, _MAX_REPORTED - before["misfits"])
            failures = [
                _failure(batch, before["misfits"] + number, each) for number, each in enumerate(page.misfits[:left], 1)
            ]
            insert_failures(connection, batch.job, batch.ordinal, failures)
            done = after["documents"] / after["total"] if after["total"] else 0.0
            self.ledger.structural_jobs.note_progress(connection, batch.job, after, done)

        commit_scan(self.ledger, token, batch, work)
        return after

    def _switch(self, token: UUID, batch: ClaimedBatch, progress: dict[str, Any]) -> None:
        documents, misfits = progress["documents"], progress["misfits"]
        sentence = f"Filters see the new attributes of {documents} {'document' if documents == 1 else 'documents'}"
        if misfits:
            sentence += f"; of {misfits} of them values do not fit and are found by no filter"
        result = {"documents": documents, "misfits": misfits, "sentence": sentence}
        previous: list[int | None] = []

        def work(connection: Connection) -> None:
            previous.append(self.sets.switch_set(connection, batch.collection, progress["number"]))
            self.ledger.structural_jobs.end(connection, batch, result)

        commit_scan(self.ledger, token, batch, work)
        number = previous[-1]
        if number is not None:
            self._drop(batch.collection, number)

    def _drop(self, collection: int, number: int) -> None:
        """Searches that began before may still read it: where waiting for them takes too long, a sweep drops it."""
        try:
            with self.ledger.database.transaction() as connection:
                self.sets.drop_set(connection, collection, number)
        except (psycopg.Error, ServiceError) as error:
            _log.info("attribute set %s is left for the sweep: %s", number, type(error).__name__)


def _failure(batch: ClaimedBatch, number: int, misfits: DocumentMisfits) -> Failure:
    """One a document; its place is behind the job's only item."""
    said = "; ".join(each.sentence for each in misfits.misfits[:_MAX_SENTENCES])
    more = len(misfits.misfits) - _MAX_SENTENCES
    return Failure(
        position=batch.first_position + number,
        stage=Stage.WRITE,
        code=FailureCode.MISFIT,
        sentence=said + (f"; and {more} more" if more > 0 else ""),
        retryable=False,
        object_id=misfits.document,
    )
