"""What jobs have in the spool is noted with the job, and kept exactly as long as its items are."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from indexmill.domain.job import Item, JobFilter, JobKind, Submission
from indexmill.engine import Engine
from indexmill.errors import ItemError
from indexmill.sources.spool import FolderSpool
from indexmill.worker.sweeps import prune_spool
from tests.draining import drain, execute, items_of, rows

#: More than one transaction stores.
STREAMED = 66 * 256
A, B, C = (f"spool:{letter * 64}" for letter in "abc")


def submission(*spooled: str, external_id: str | None = None, items: list[Item] | None = None) -> Submission:
    wanted = items_of({"d": "one"}) if items is None else items
    return Submission(JobKind.UPSERTION, "tiny", wanted, external_id, spooled=spooled)


def noted(engine: Engine) -> set[tuple[str, str]]:
    return {(str(row["job"]), row["reference"]) for row in rows(engine, "SELECT job, reference FROM spooled_input")}


def in_use(engine: Engine) -> set[str]:
    return engine.ledger.spooled.in_use([A, B, C])


def test_a_job_is_stored_with_what_it_has_in_the_spool(engine: Engine) -> None:
    job = engine.submit(submission(A, B, A)).job
    engine.submit(submission())
    assert noted(engine) == {(str(job.id), A), (str(job.id), B)}
    assert in_use(engine) == {A, B}
    assert engine.ledger.spooled.in_use([C]) == set()
    assert engine.ledger.spooled.in_use([]) == set()


def test_jobs_that_are_stored_together_keep_their_own(engine: Engine) -> None:
    engine.submit(submission(C, external_id="taken"))
    results = engine.submit_together(
        [submission(A), submission(A, B), submission(), submission(C, external_id="taken")]
    )
    first, second, _, existing = (each.job for each in results if not isinstance(each, Exception))
    assert noted(engine) == {
        (str(first.id), A),
        (str(second.id), A),
        (str(second.id), B),
        (str(existing.id), C),
    }


def test_a_streamed_job_keeps_its_files_from_its_first_batch_on(engine: Engine) -> None:
    seen: set[str] = set()

    def items() -> Iterator[Item]:
        for number in range(STREAMED):
            if number == STREAMED - 1:
                seen.update(in_use(engine))
            yield Item(f"d{number}", {"text": "text"})

    job = engine.submit(Submission(JobKind.UPSERTION, "tiny", items(), spooled=(A, A, B))).job
    assert seen == {A, B}
    assert noted(engine) == {(str(job.id), A), (str(job.id), B)}


def test_a_broken_upload_keeps_nothing(engine: Engine) -> None:
    def items() -> Iterator[Item]:
        for number in range(STREAMED):
            yield Item(f"d{number}", {"text": "text"})
        raise ConnectionError

    with pytest.raises(ConnectionError):
        engine.submit(Submission(JobKind.UPSERTION, "tiny", items(), spooled=(A,)))
    assert noted(engine) == set()


def test_files_are_in_use_until_the_items_of_every_job_are_gone(engine: Engine) -> None:
    engine.submit(submission(A, B))
    drain(engine)
    engine.submit(submission(B, items=items_of({"e": "two"})))
    execute(engine, "UPDATE job SET finished_at = finished_at - %s WHERE finished_at IS NOT NULL", timedelta(days=6))
    engine.ledger.retention.prune()
    assert in_use(engine) == {A, B}
    execute(engine, "UPDATE job SET finished_at = finished_at - %s WHERE finished_at IS NOT NULL", timedelta(days=2))
    engine.ledger.retention.prune()
    assert in_use(engine) == {B}


def test_a_deleted_job_leaves_no_note(engine: Engine) -> None:
    engine.submit(submission(A))
    drain(engine)
    engine.delete_finished(JobFilter())
    assert noted(engine) == set()


def test_the_sweep_removes_what_no_job_needs(engine: Engine, tmp_path: Path) -> None:
    spool = FolderSpool(tmp_path, max_bytes=10**6, default_limit=10**6)
    needed, unneeded, young = (spool.write([data]).reference for data in (b"needed", b"unneeded", b"young"))
    engine.submit(submission(needed))
    for reference in (needed, unneeded):
        an_hour_ago = time.time() - 3700
        os.utime(spool._files.path(reference.removeprefix("spool:")), (an_hour_ago, an_hour_ago))
    prune_spool.sweep(engine.ledger, spool, is_shared=False).run()
    for reference in (needed, young):
        spool.open(reference).close()
    with pytest.raises(ItemError):
        spool.open(unneeded)
