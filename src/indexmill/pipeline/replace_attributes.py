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
from indexmill.ledger.ledger import Ledger
from indexmill.pipeline.scan_slice import commit_scan
from indexmill.pipeline.structural_work import count_work
from indexmill.vectors.attribute_sets import AttributeSets, DocumentMisfits

__all__ = ["ReplaceAttributes"]

_log = logging.getLogger(__name__)

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
                    if progress is None:
                        return
                elif progress["is_filled"]:
                    progress, are_all = self._catch_up(token, batch, progress)
                    if are_all:
                        self._switch(token, batch, progress)
                        return
                else:
                    progress = self._fill(token, batch, progress)
            except Conflict:
                # Its set was given up meanwhile: from the beginning, and in this slice, which alone knows.
                progress = None
                continue
            if time.monotonic() > until:
                break
        commit_scan(
            self.ledger, token, batch, lambda connection: self.ledger.scans.let_go(connection, token, batch, 0.0)
        )

    def _begin(self, token: UUID, batch: ClaimedBatch) -> dict[str, Any] | None:
        """An empty set, and nothing reported; None: the job is over, since a later one has done the same."""
        request = decode_body(batch.body)[0].item_info or {}
        total = count_work(self.ledger, batch.collection).documents
        progress: dict[str, Any] = {}

        def work(connection: Connection) -> None:
            progress.clear()
            later = self.sets.seq_of_active(connection, batch.collection)
            if later is not None and later > batch.seq:
                self.ledger.structural_jobs.supersede(connection, batch, later)
                return
            self.ledger.structural_jobs.forget_reports(connection, batch.job)
            progress.update({"after": None, "documents": 0, "misfits": 0, "is_filled": False, "total": total})
            for unused in self.sets.unused_sets(connection, batch.collection):
                self.sets.drop_set(connection, batch.collection, unused)
            attributes = attributes_from_json(request["attributes"])
            progress["number"] = self.sets.prepare_set(connection, batch.collection, attributes)
            self.ledger.structural_jobs.note_progress(connection, batch.job, progress, 0.0)

        try:
            commit_scan(self.ledger, token, batch, work)
        except InvalidRequest as error:
            raise ItemError(Stage.ENGINE, FailureCode.STORE_REJECTED, str(error), retryable=False) from error
        return progress or None

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
            self.ledger.structural_jobs.report(connection, batch, [_failure(each) for each in page.misfits])
            self.ledger.structural_jobs.note_progress(connection, batch.job, after, _share(after))

        commit_scan(self.ledger, token, batch, work)
        return after

    def _catch_up(self, token: UUID, batch: ClaimedBatch, before: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """Report what writers have written since the filling had been there; whether there was no more of it."""
        done: list[tuple[dict[str, Any], bool]] = []

        def work(connection: Connection) -> None:
            done.append(self._report_late(connection, batch, before))

        commit_scan(self.ledger, token, batch, work)
        return done[-1]

    def _report_late(
        self, connection: Connection, batch: ClaimedBatch, before: dict[str, Any]
    ) -> tuple[dict[str, Any], bool]:
        late = self.sets.late_misfits(connection, batch.collection, before["number"], self.page_documents)
        if not late.misfits:
            return before, late.are_all
        after = {**before, "misfits": before["misfits"] + len(late.misfits)}
        self.ledger.structural_jobs.report(connection, batch, [_failure(each) for each in late.misfits])
        self.ledger.structural_jobs.note_progress(connection, batch.job, after, _share(after))
        return after, late.are_all

    def _switch(self, token: UUID, batch: ClaimedBatch, progress: dict[str, Any]) -> None:
        previous: list[int | None] = []

        def work(connection: Connection) -> None:
            # Whoever is writing has ended: nothing is written by the old attributes after what is reported here.
            self.sets.hold_writers(connection, batch.collection)
            after, are_all = self._report_late(connection, batch, progress)
            while not are_all:
                after, are_all = self._report_late(connection, batch, after)
            previous.append(self.sets.switch_set(connection, batch.collection, progress["number"], batch.seq))
            self.ledger.structural_jobs.end(connection, batch, _result(after))

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


def _share(progress: dict[str, Any]) -> float:
    """How much of the work is done."""
    return progress["documents"] / progress["total"] if progress["total"] else 0.0


def _result(progress: dict[str, Any]) -> dict[str, Any]:
    misfits = progress["misfits"]
    # Those that were made after the filling had been there are known where they do not fit.
    documents = max(progress["documents"], misfits)
    sentence = f"Filters see the new attributes of {_counted(documents)}"
    if misfits:
        has = "has values that do" if misfits == 1 else "have values that do"
        sentence += f"; {_counted(misfits)} {has} not fit, which no filter finds"
    return {"documents": documents, "misfits": misfits, "sentence": sentence}


def _counted(documents: int) -> str:
    return "1 document" if documents == 1 else f"{documents} documents"


def _failure(misfits: DocumentMisfits) -> Failure:
    """One a document; its place is given to it where it is reported."""
    said = "; ".join(each.sentence for each in misfits.misfits[:_MAX_SENTENCES])
    more = len(misfits.misfits) - _MAX_SENTENCES
    return Failure(
        position=0,
        stage=Stage.WRITE,
        code=FailureCode.MISFIT,
        sentence=said + (f"; and {more} more" if more > 0 else ""),
        retryable=False,
        object_id=misfits.document,
    )
