"""Any history of a bucket and its indexing jobs, with kills and cancels: counters add up, and the last job is right."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from indexmill.domain.knowledge_base import IndexingJob, KnowledgeBase
from indexmill.engine import Engine
from indexmill.errors import IndexingJobRunning
from indexmill.settings import Settings
from tests.draining import assert_conserved, claim_next, lose
from tests.knowledge_bases import Shelf
from tests.s3_server import S3Server

NAMES = ("a", "b", "c", "d")
#: The empty one fails.
TEXTS = ("Fog.", "Cranes fly over the bog, and over the bog they call. " * 3, "")
_numbers = itertools.count()


@dataclass(frozen=True)
class Act:
    """`kind`: put, remove, start, step (a window), kill (a worker in one), cancel, retry, replace (the data source)."""

    kind: str
    name: str = "a"
    text: int = 0


names = st.sampled_from(NAMES)
acts = st.one_of(
    st.builds(Act, st.just("put"), names, st.integers(0, 2)),
    st.builds(Act, st.just("remove"), names),
    st.builds(Act, st.sampled_from(["start", "step", "step", "step", "kill", "cancel", "retry", "replace"])),
)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as running:
        yield running


@given(history=st.lists(acts, max_size=25))
@examples(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_history(engine: Engine, settings: Settings, s3: S3Server, history: list[Act]) -> None:
    shelf = Shelf(engine, settings, s3, f"history-{next(_numbers)}")
    try:
        play(shelf, history)
    finally:
        shelf.close()


def play(shelf: Shelf, history: list[Act]) -> None:
    kb = shelf.create()
    files: dict[str, str] = {}
    runner = shelf.runner(scanning={"slice_seconds": 0.0, "page_files": 2})
    for act in history:
        if act.kind == "put":
            files[act.name] = TEXTS[act.text]
            shelf.put(**{act.name: TEXTS[act.text]})
        elif act.kind == "remove":
            files.pop(act.name, None)
            shelf.remove(act.name)
        elif act.kind in {"start", "retry"}:
            _begin(shelf, kb, retries=act.kind == "retry")
        elif act.kind == "replace":
            (source,), _ = shelf.verbs.sources(kb.id, 10, 0)
            shelf.verbs.remove_source(kb.id, source.id)
            shelf.verbs.add_source(kb.id, shelf.source())
        elif act.kind == "cancel":
            shelf.verbs.cancel(shelf.last(kb).job.id)
        elif (claim := claim_next(shelf.engine, 1)) is not None:
            if act.kind == "kill":
                lose(shelf.engine, claim)
            runner.run(claim, lambda: True)
        _account(shelf, shelf.last(kb))
    shelf.drain()
    (source,), _ = shelf.verbs.sources(kb.id, 10, 0)
    # Of a data source that was deleted nothing comes back.
    assert {each.id.partition("/")[0] for each in shelf.engine.each_document(kb.collection)} <= {str(source.id)}
    last = shelf.run(kb)
    _account(shelf, last)
    assert shelf.names(kb) == {f"{name}.txt" for name, text in files.items() if text} | _kept(shelf, kb, files)
    again = shelf.run(kb)
    _account(shelf, again)
    assert (again.counts.indexed, again.counts.tokens, again.counts.removed) == (0, 0, 0)
    assert again.counts.skipped == sum(1 for text in files.values() if text)


def _kept(shelf: Shelf, kb: KnowledgeBase, files: dict[str, str]) -> set[str]:
    """A file that became empty fails, and keeps what was indexed of it."""
    return {name for name in shelf.names(kb) if files.get(name.removesuffix(".txt")) == ""}


def _begin(shelf: Shelf, kb: KnowledgeBase, *, retries: bool) -> None:
    try:
        if retries:
            shelf.engine.retry(shelf.last(kb).job)
        else:
            shelf.verbs.start(kb.id)
    except IndexingJobRunning:
        assert not shelf.last(kb).job.is_terminal


def _account(shelf: Shelf, job: IndexingJob) -> None:
    """Every file is counted once, the sources' sums are the job's, and the report says the same."""
    assert_conserved(shelf.engine)
    counts = job.counts
    decided = counts.indexed + counts.skipped + counts.failed + counts.cancelled
    said = Counter(row.status for row in shelf.verbs.report_rows(job.job.id))
    assert counts.total == sum(said.values()) - said["removed"] - _undecided_removals(shelf, job)
    assert (counts.indexed, counts.failed, counts.removed) == (said["indexed"], said["failed"], said["removed"])
    if job.job.is_terminal:
        assert decided == counts.total
        assert counts.skipped == said["unchanged"] + said["superseded"]
        assert job.job.counters.removed + job.job.counters.absent == counts.removed
        assert job.job.counters.indexed + job.job.counters.payload_updated == counts.indexed
        assert job.job.counters.tokens == counts.tokens
        assert all(run.is_complete for run in job.runs)


def _undecided_removals(shelf: Shelf, job: IndexingJob) -> int:
    with shelf.engine.ledger.database.connection() as connection:
        row = connection.execute(
            "SELECT coalesce(sum(items - removed - absent), 0) AS left_over FROM batch "
            "WHERE job = %s AND work = 'delete'",
            [job.job.id],
        ).fetchone()
    assert row is not None
    return int(row["left_over"])
