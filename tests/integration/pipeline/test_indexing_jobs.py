"""Indexing jobs over a real bucket: what changed is read, what is gone is removed, and every file is accounted for."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from indexmill.corpora import Corpora
from indexmill.dialects.indexing_jobs.translate import source_run_view
from indexmill.domain.job import Item, JobKind, Submission
from indexmill.domain.job_state import JobState, Reason
from indexmill.domain.knowledge_base import Chunking, ChunkingAlgorithm, FileCounts, KnowledgeBase, SourceRunStatus
from indexmill.domain.outcome import Ending
from indexmill.engine import Engine
from indexmill.errors import Conflict, DataSourceNotFound, IndexingJobRunning, InvalidRequest
from indexmill.knowledge_bases import KnowledgeBases
from indexmill.ledger.database import Connection, Row, run_query
from indexmill.ledger.ledger import open_ledger
from indexmill.pipeline.run_window import WindowOutcome
from indexmill.pipeline.scan import SourceScan
from indexmill.settings import Settings
from indexmill.sources.bucket_listing import DataSourceBucket
from indexmill.sources.source import Check, FetchedSource
from tests.draining import assert_conserved, claim_next, claimed, execute, lose, lose_answers, rows, run, runner_of
from tests.integration.pipeline.lossy_proxy import lossy_proxy
from tests.knowledge_bases import Shelf
from tests.s3_server import S3Server

_numbers = itertools.count()


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as running:
        yield running


@pytest.fixture
def shelf(engine: Engine, settings: Settings, s3: S3Server) -> Iterator[Shelf]:
    made = Shelf(engine, settings, s3, f"shelf-{next(_numbers)}")
    yield made
    made.close()


def test_a_bucket_is_indexed_and_then_only_what_changed(shelf: Shelf) -> None:
    shelf.put(crane="Cranes dance in the fog.", lamp="A lamp on the pier.", tide="The tide comes at nine.")
    kb = shelf.create()
    shelf.drain()
    first = shelf.last(kb)
    assert (first.job.state, first.job.reason) == (JobState.SUCCEEDED, Reason.COMPLETE)
    assert (first.counts.total, first.counts.indexed, first.counts.chunks) == (3, 3, 3)
    assert first.counts.tokens > 0
    assert first.counts.bytes_total == first.counts.bytes_indexed > 0
    assert first.runs[0].status is SourceRunStatus.UPDATED
    assert shelf.names(kb) == {"crane.txt", "lamp.txt", "tide.txt"}

    second = shelf.run(kb)
    assert (second.job.state, second.job.reason) == (JobState.SUCCEEDED, Reason.NOTHING_CHANGED)
    assert second.counts == FileCounts(total=3, skipped=3, bytes_total=first.counts.bytes_total)
    assert second.runs[0].status is SourceRunStatus.NOT_UPDATED

    shelf.put(lamp="A lamp that has gone out.", boat="A boat.")
    shelf.remove("tide")
    third = shelf.run(kb)
    counts = third.counts
    assert (counts.total, counts.indexed, counts.skipped, counts.removed) == (3, 2, 1, 1)
    assert shelf.names(kb) == {"crane.txt", "lamp.txt", "boat.txt"}
    hits = shelf.verbs.retrieve(kb.id, "A lamp that has gone out.", 5)
    assert hits[0].document.id.endswith("/lamp.txt")
    assert all(not hit.document.id.endswith("/tide.txt") for hit in hits)


@pytest.mark.parametrize("algorithm", [ChunkingAlgorithm.HIERARCHICAL, ChunkingAlgorithm.SEMANTIC])
def test_a_chunking_that_is_not_there_yet_is_kept_and_the_job_says_what_was_used(
    shelf: Shelf, algorithm: ChunkingAlgorithm
) -> None:
    shelf.put(crane="Cranes dance in the fog.")
    source = replace(shelf.source(), chunking=Chunking(algorithm))
    kb = shelf.create(source)
    assert shelf.verbs.sources(kb.id, 10, 0)[0][0].chunking.algorithm is algorithm
    shelf.drain()
    last = shelf.last(kb)
    assert (last.job.state, last.counts.indexed) == (JobState.SUCCEEDED, 1)
    said = last.runs[0].error_sentence
    assert said is not None
    assert "section" in said
    assert source_run_view(last.runs[0])["error_details"] == said


def test_files_of_a_window_are_fetched_several_at_once(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fetch waits until four are under way: one after another none would ever end."""
    texts = {f"file{number:02}": f"Text number {number}." for number in range(16)}
    shelf.put(**texts)
    fetch, barrier = DataSourceBucket.fetch, threading.Barrier(4)

    def fetch_with_others(bucket: DataSourceBucket, key: str, check: Check) -> FetchedSource:
        barrier.wait(60)
        return fetch(bucket, key, check)

    monkeypatch.setattr(DataSourceBucket, "fetch", fetch_with_others)
    kb = shelf.create()
    shelf.drain()
    assert shelf.last(kb).counts.indexed == 16
    assert shelf.names(kb) == {f"{name}.txt" for name in texts}
    for each in shelf.engine.each_document(kb.collection):
        assert each.payload is not None
        (hit,) = shelf.engine.search_chunks(kb.collection, "x", limit=1, ids=[each.id])
        assert hit.text == texts[str(each.payload["item_name"]).removesuffix(".txt")]
    assert not list((shelf.settings.data_folder / "fetched").glob("*.part"))


def test_the_same_bytes_with_another_time_are_unchanged(shelf: Shelf) -> None:
    shelf.put(crane="Cranes dance.")
    kb = shelf.create()
    shelf.drain()
    with shelf.engine.ledger.database.connection() as connection:
        connection.execute("UPDATE source_file SET revision = 'an earlier listing'")
    again = shelf.run(kb)
    assert again.job.reason is Reason.NOTHING_CHANGED
    assert (again.counts.skipped, again.counts.tokens, again.counts.total) == (1, 0, 1)
    third = shelf.run(kb)
    assert third.counts.skipped == 1


def test_a_document_that_somebody_else_removed_comes_back(shelf: Shelf) -> None:
    shelf.put(crane="Cranes dance.")
    kb = shelf.create()
    shelf.drain()
    document = next(shelf.engine.each_document(kb.collection)).id
    with shelf.engine.ledger.database.connection() as connection:
        connection.execute("DELETE FROM document WHERE id = %s", [document])
    assert shelf.run(kb).counts.indexed == 1
    assert shelf.names(kb) == {"crane.txt"}


def test_a_bucket_that_cannot_be_listed_removes_nothing(shelf: Shelf) -> None:
    shelf.put(crane="Cranes dance.")
    kb = shelf.create()
    shelf.drain()
    shelf.remove("crane")
    shelf.s3.delete_bucket(Bucket=shelf.bucket)
    failed = shelf.run(kb)
    assert (failed.job.state, failed.job.reason) == (JobState.FAILED, Reason.BY_ITEMS)
    run_ = failed.runs[0]
    assert (run_.status, run_.error_code) == (SourceRunStatus.FAILED, "bucket_not_found")
    assert failed.counts == FileCounts()
    assert shelf.names(kb) == {"crane.txt"}


def test_a_job_that_is_cancelled_while_its_listing_fails_is_no_more_than_cancelled(shelf: Shelf) -> None:
    kb = shelf.create()
    shelf.s3.delete_bucket(Bucket=shelf.bucket)

    def is_held() -> bool:
        shelf.verbs.cancel(shelf.last(kb).job.id)
        return True

    assert shelf.runner().run(claimed(shelf.engine), is_held) is WindowOutcome.LOST
    assert shelf.last(kb).job.state is JobState.CANCELLED
    assert_conserved(shelf.engine)


def test_commits_of_a_scan_whose_answers_were_lost_count_once(
    shelf: Shelf, settings: Settings, database_url: str
) -> None:
    shelf.put(**{f"file{number}": f"Text number {number}." for number in range(3)})
    kb = shelf.create()
    shelf.drain()
    shelf.remove("file0")
    shelf.put(file1="Another text.", file3="One more.")
    shelf.verbs.start(kb.id)
    with lossy_proxy(database_url) as proxy:
        far = open_ledger(proxy.url, settings, pool_size=3)
        proxy.marker = b"idempotency_key"
        proxy.losses.extend(["after", "none"] * 50)
        scan = SourceScan(far, shelf.reader.data_sources, slice_seconds=0.0, page_files=2)
        while (claim := claim_next(shelf.engine)) is not None:
            runner_of(shelf.engine, far, documents=shelf.reader, scan=scan).run(claim, lambda: True)
        far.database.close()
    assert proxy.lost >= 4
    assert_conserved(shelf.engine)
    counts = shelf.last(kb).counts
    assert (counts.total, counts.indexed, counts.skipped, counts.removed) == (3, 2, 1, 1)
    assert shelf.names(kb) == {"file1.txt", "file2.txt", "file3.txt"}


def test_one_job_at_a_time(shelf: Shelf) -> None:
    shelf.put(crane="Cranes dance.")
    kb = shelf.create()
    running = shelf.last(kb)
    with pytest.raises(IndexingJobRunning, match=f"already has an indexing job running.*{running.job.id}"):
        shelf.verbs.start(kb.id)
    shelf.drain()
    assert shelf.run(kb).job.is_terminal


@pytest.mark.parametrize("verb", ["start", "retry"])
def test_a_job_that_ends_just_as_another_is_refused_for_it_is_not_in_its_way(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    shelf.put(crane="Cranes dance.")
    kb = shelf.create()
    first = shelf.verbs.cancel(shelf.last(kb).job.id)
    running = shelf.verbs.start(kb.id).job
    looks: list[str] = []

    def ending(connection: Connection, name: str, /, **values: Any) -> list[Row]:
        if name == "running_indexing_job" and not looks:
            looks.append(name)
            shelf.verbs.cancel(running.id)
        return run_query(connection, name, **values)

    monkeypatch.setattr("indexmill.ledger.indexing_jobs.run_query", ending)
    started = shelf.verbs.start(kb.id).job if verb == "start" else shelf.engine.retry(first.job)
    assert looks
    assert started.state is JobState.QUEUED
    assert shelf.verbs.job(running.id).job.state is JobState.CANCELLED


def test_verbs_whose_answers_were_lost_happen_once(shelf: Shelf, settings: Settings, database_url: str) -> None:
    shelf.put(crane="Cranes dance.")
    kb = shelf.create()
    shelf.drain()
    with lossy_proxy(database_url) as proxy:
        far = open_ledger(proxy.url, settings, pool_size=3)
        proxy.marker = b"idempotency_key"
        proxy.losses.extend(["after", "none"] * 50)
        engine = Engine(far, shelf.engine.vectors, shelf.engine.models, lambda: None)
        verbs = KnowledgeBases(engine, lambda *_: b"", lambda *_: None)
        added = verbs.add_source(kb.id, shelf.source())
        assert verbs.sources(kb.id, 10, 0)[1] == 2
        started = verbs.start(kb.id).job
        verbs.remove_source(kb.id, added.id)
        shelf.drain()
        assert verbs.job(started.id).counts.skipped == 1
        verbs.delete(kb.id)
        corpora = Corpora(engine, "tiny", "whole")
        made = corpora.create("birds", "Birds", "", [], {})
        corpora.delete(made.key)
        far.database.close()
    assert proxy.lost == 6
    assert [each.name for each in shelf.engine.collections() if each.name == "birds"] == []


def test_what_a_job_needs(shelf: Shelf) -> None:
    kb = shelf.verbs.create("empty", "tiny", [], {})
    with pytest.raises(InvalidRequest, match="no data source"):
        shelf.verbs.start(kb.id)
    with pytest.raises(DataSourceNotFound):
        shelf.verbs.start(kb.id, [kb.id])


def test_a_killed_scan_goes_on_from_its_cursor(shelf: Shelf) -> None:
    shelf.put(**{f"file{number:02}": f"Text number {number}." for number in range(5)})
    kb = shelf.create()
    held = claimed(shelf.engine)
    lose(shelf.engine, held)
    # Its own worker wakes up again: nothing of it counts.
    run(shelf.engine, held, shelf.runner())
    assert shelf.last(kb).counts.total == 0
    shelf.drain(scanning={"slice_seconds": 0.0, "page_files": 2})
    assert shelf.last(kb).counts.indexed == 5


def test_a_deleted_data_source_is_cleaned_at_once_and_left_out_of_the_running_job(shelf: Shelf, s3: S3Server) -> None:
    other = f"{shelf.bucket}-other"
    shelf.s3.create_bucket(Bucket=other)
    shelf.s3.put_object(Bucket=other, Key="boat.txt", Body=b"A boat.")
    shelf.put(crane="Cranes dance.")
    kb = shelf.create(shelf.source(), shelf.source(other))
    shelf.drain()
    assert shelf.names(kb) == {"crane.txt", "boat.txt"}
    sources, total = shelf.verbs.sources(kb.id, 10, 0)
    assert total == 2
    job = shelf.verbs.start(kb.id)
    shelf.verbs.remove_source(kb.id, sources[1].id)
    shelf.drain()
    assert shelf.names(kb) == {"crane.txt"}
    ended = shelf.verbs.job(job.job.id)
    assert ended.job.is_terminal
    assert [each.status for each in ended.runs] == [SourceRunStatus.NOT_UPDATED, SourceRunStatus.CANCELLED]
    assert shelf.verbs.sources(kb.id, 10, 0)[1] == 1


def test_a_deleted_knowledge_base_leaves_no_document(shelf: Shelf) -> None:
    shelf.put(crane="Cranes dance.", lamp="A lamp.")
    kb = shelf.create()
    shelf.drain()
    shelf.put(boat="A boat.")
    running = shelf.verbs.start(kb.id)
    shelf.verbs.delete(kb.id)
    shelf.drain()
    assert shelf.names(kb) == set()
    assert shelf.verbs.job(running.job.id).job.state is JobState.CANCELLED


def _age(shelf: Shelf, days: int, *tables: str) -> None:
    for table, column in (("job", "finished_at"), ("data_source", "deleted_at"), ("knowledge_base", "deleted_at")):
        if table in tables:
            past = f"UPDATE {table} SET {column} = {column} - make_interval(days => %s)"  # noqa: S608
            execute(shelf.engine, past, days)


def test_what_is_deleted_is_forgotten_when_no_job_names_it_any_more(shelf: Shelf) -> None:
    shelf.put(crane="Cranes dance.")
    gone, stays = shelf.create(), shelf.create()
    shelf.drain()
    (source,) = shelf.verbs.sources(stays.id, 10, 0)[0]
    shelf.verbs.delete(gone.id)
    shelf.verbs.remove_source(stays.id, source.id)
    added = shelf.verbs.add_source(stays.id, shelf.source())
    shelf.drain()

    def pruned() -> tuple[int, int]:
        found = shelf.engine.ledger.retention.prune()
        return found["prune_data_sources"], found["prune_knowledge_bases"]

    assert pruned() == (0, 0)
    # Deleted long ago, but a job that is still there tells of them.
    _age(shelf, 181, "data_source", "knowledge_base")
    assert pruned() == (0, 0)
    _age(shelf, 181, "job")
    assert pruned() == (2, 1)
    assert [row["id"] for row in rows(shelf.engine, "SELECT id FROM data_source")] == [added.id]
    assert [row["id"] for row in rows(shelf.engine, "SELECT id FROM knowledge_base")] == [stays.id]
    assert rows(shelf.engine, "SELECT 1 FROM batch") == []
    assert shelf.run(stays).counts.indexed == 1


def test_the_collection_of_a_deleted_knowledge_base_goes_when_it_is_empty(shelf: Shelf) -> None:
    shelf.put(crane="Cranes dance.")
    empty, shared = shelf.create(), shelf.create()
    shelf.drain()
    shelf.engine.submit(
        Submission(JobKind.UPSERTION, "tiny", [Item("mine", {"text": "A"})], collection=shared.collection)
    )
    shelf.verbs.delete(empty.id)
    shelf.verbs.delete(shared.id)

    def left() -> list[str]:
        shelf.engine.ledger.retention.prune()
        return [each.name for each in shelf.engine.collections() if each.name in (empty.collection, shared.collection)]

    # Its documents are still to be removed.
    assert left() == [empty.collection, shared.collection]
    shelf.drain()
    assert left() == [shared.collection]
    assert [each.id for each in shelf.engine.documents(shared.collection, limit=10)] == ["mine"]
    assert shelf.create().collection == empty.collection


def test_the_files_of_a_knowledge_base_whose_corpus_was_deleted_are_forgotten(shelf: Shelf) -> None:
    shelf.put(crane="Cranes dance.")
    kb = shelf.create()
    shelf.drain()
    shelf.verbs.delete(kb.id)
    Corpora(shelf.engine, "tiny", "whole").delete(kb.collection)
    shelf.drain()
    _age(shelf, 181, "job", "data_source", "knowledge_base")
    shelf.engine.ledger.retention.prune()
    assert rows(shelf.engine, "SELECT 1 FROM source_file") == []
    assert rows(shelf.engine, "SELECT 1 FROM data_source") == []


def test_the_files_of_a_deleted_source_whose_corpus_was_reset_are_forgotten(shelf: Shelf) -> None:
    shelf.put(crane="Cranes dance.")
    kb = shelf.create()
    shelf.drain()
    (source,) = shelf.verbs.sources(kb.id, 10, 0)[0]
    shelf.verbs.remove_source(kb.id, source.id)
    Corpora(shelf.engine, "tiny", "whole").reset(kb.collection)
    added = shelf.verbs.add_source(kb.id, shelf.source())
    shelf.verbs.start(kb.id)
    shelf.drain()
    _age(shelf, 181, "job", "data_source")
    shelf.engine.ledger.retention.prune()
    assert [row["source"] for row in rows(shelf.engine, "SELECT source FROM source_file")] == [added.id]
    assert [row["id"] for row in rows(shelf.engine, "SELECT id FROM data_source")] == [added.id]


def being_removed(shelf: Shelf) -> tuple[KnowledgeBase, UUID]:
    """A knowledge base whose one source, with one document, has been deleted, and the cleanup that is queued."""
    shelf.put(crane="Cranes dance.")
    kb = shelf.create()
    shelf.drain()
    (source,) = shelf.verbs.sources(kb.id, 10, 0)[0]
    shelf.verbs.remove_source(kb.id, source.id)
    (cleanup,) = rows(shelf.engine, "SELECT id FROM job WHERE kind = 'cleanup'")
    return kb, cleanup["id"]


def test_the_removal_of_what_was_deleted_cannot_be_cancelled(shelf: Shelf) -> None:
    kb, job = being_removed(shelf)
    with pytest.raises(Conflict, match="it cannot be cancelled"):
        shelf.engine.cancel(shelf.engine.find(str(job)))
    shelf.drain()
    cleanup = shelf.engine.find(str(job))
    assert (cleanup.state, shelf.names(kb)) == (JobState.SUCCEEDED, set())
    assert shelf.engine.cancel(cleanup).state is JobState.SUCCEEDED


def test_a_deleted_source_whose_documents_are_still_there_is_not_forgotten(shelf: Shelf) -> None:
    kb, job = being_removed(shelf)
    end = Ending(JobState.FAILED, Reason.SYSTEM)
    transitions = shelf.engine.ledger.transitions
    transitions.alone(job, lambda connection: transitions.close(connection, job, end, "broken"))
    _age(shelf, 181, "job", "data_source")
    found = shelf.engine.ledger.retention.prune()
    assert (found["prune_jobs"], found["prune_data_sources"]) == (2, 0)
    assert shelf.names(kb) == {"crane.txt"}


def test_a_page_whose_commit_is_made_again_is_in_the_job_once(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.put(**{f"file{number}": f"Text number {number}." for number in range(5)})
    kb = shelf.create()
    with monkeypatch.context() as patch:
        lose_answers(patch)
        shelf.drain(scanning={"page_files": 2})
    first = shelf.last(kb)
    assert (first.job.state, first.counts.total, first.counts.indexed) == (JobState.SUCCEEDED, 5, 5)
    shelf.remove("file1", "file3")
    shelf.verbs.start(kb.id)
    with monkeypatch.context() as patch:
        lose_answers(patch)
        shelf.drain(scanning={"page_files": 2})
    second = shelf.last(kb)
    assert second.job.state is JobState.SUCCEEDED
    assert (second.counts.skipped, second.counts.removed, second.job.total_items) == (3, 2, 5)


def test_a_verb_whose_answer_was_lost_is_done_once(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.put(crane="Cranes dance.")
    lose_answers(monkeypatch)
    kb = shelf.create()
    first = shelf.last(kb)
    shelf.drain()
    added = shelf.verbs.add_source(kb.id, shelf.source())
    sources, total = shelf.verbs.sources(kb.id, 10, 0)
    assert (len(sources), total) == (2, 2)
    second = shelf.verbs.start(kb.id)
    shelf.drain()
    shelf.verbs.remove_source(kb.id, added.id)
    shelf.drain()
    assert shelf.verbs.cancel(second.job.id).counts.indexed == 1
    assert [job.job.id for job in shelf.verbs.jobs(10, 0)[0]] == [second.job.id, first.job.id]
    shelf.verbs.delete(kb.id)
    assert len(rows(shelf.engine, "SELECT 1 FROM job WHERE kind = 'cleanup'")) == 2


def test_cancel_leaves_the_rest_for_the_next_job(shelf: Shelf) -> None:
    shelf.put(**{f"file{number}": f"Text number {number}." for number in range(4)})
    kb = shelf.create()
    runner = shelf.runner()
    run(shelf.engine, claimed(shelf.engine), runner)
    job = shelf.verbs.cancel(shelf.last(kb).job.id)
    assert job.job.state is JobState.CANCELLED
    assert job.runs[0].status is SourceRunStatus.CANCELLED
    assert (job.counts.total, job.counts.cancelled) == (4, 4)
    shelf.drain()
    assert shelf.names(kb) == set()
    assert shelf.run(kb).counts.indexed == 4


def test_every_file_is_in_the_report(shelf: Shelf) -> None:
    shelf.put(crane="Cranes dance.", lamp="A lamp.", tide="The tide.", void="")
    kb = shelf.create()
    shelf.drain()
    shelf.remove("tide")
    shelf.put(lamp="Another lamp.")
    job = shelf.run(kb)
    rows = {row.key: row for row in shelf.verbs.report_rows(job.job.id)}
    assert {key: row.status for key, row in rows.items()} == {
        "crane.txt": "unchanged",
        "lamp.txt": "indexed",
        "void.txt": "failed",
        "tide.txt": "removed",
    }
    assert rows["void.txt"].code == "no_content"
    assert rows["lamp.txt"].tokens > 0
    assert rows["crane.txt"].bytes == len("Cranes dance.")
    assert (job.job.reason, job.runs[0].status) == (Reason.WITH_FAILURES, SourceRunStatus.PARTIALLY_UPDATED)
    assert job.has_report


def test_a_retry_reads_what_failed(shelf: Shelf) -> None:
    shelf.put(crane="Cranes dance.", void="")
    kb = shelf.create()
    shelf.drain()
    job = shelf.last(kb)
    assert job.counts.failed == 1
    shelf.put(void="Not empty any more.")
    assert shelf.engine.retry(job.job).state is JobState.QUEUED
    with pytest.raises(IndexingJobRunning):
        shelf.verbs.start(kb.id)
    shelf.drain()
    again = shelf.verbs.job(job.job.id)
    assert (again.counts.failed, again.counts.indexed, again.job.attempt) == (0, 2, 2)
    with pytest.raises(Conflict, match="start a new indexing job"):
        shelf.engine.rerun(again.job)


def test_a_retry_waits_for_the_job_that_runs(shelf: Shelf) -> None:
    shelf.put(void="")
    kb = shelf.create()
    shelf.drain()
    failed = shelf.last(kb)
    running = shelf.verbs.start(kb.id)
    with pytest.raises(IndexingJobRunning, match=f"`{kb.id}` .*`{running.job.id}`"):
        shelf.engine.retry(failed.job)


def test_a_retry_brings_nothing_of_a_deleted_data_source_back(shelf: Shelf, s3: S3Server) -> None:
    other = f"{shelf.bucket}-other"
    shelf.s3.create_bucket(Bucket=other)
    for name in ("boat.txt", "sail.txt"):
        shelf.s3.put_object(Bucket=other, Key=name, Body=b"")
    shelf.put(crane="Cranes dance.", void="")
    kb = shelf.create(shelf.source(), shelf.source(other))
    shelf.drain()
    job = shelf.last(kb)
    assert job.counts.failed == 3
    removed = job.runs[1].source
    shelf.verbs.remove_source(kb.id, removed)
    shelf.drain()
    for name in ("boat.txt", "sail.txt"):
        shelf.s3.put_object(Bucket=other, Key=name, Body=b"Not empty any more.")
    shelf.put(void="Not empty any more.")
    assert shelf.engine.retry(job.job).state is JobState.QUEUED
    shelf.drain()
    assert shelf.names(kb) == {"crane.txt", "void.txt"}
    retried = shelf.verbs.job(job.job.id)
    assert [run.files.failed for run in retried.runs] == [0, 2]
    # Nothing else is left to be tried.
    assert shelf.engine.retry(retried.job).state is JobState.SUCCEEDED
    assert_conserved(shelf.engine)


def test_a_job_whose_only_data_source_is_deleted_is_cancelled_for_good(shelf: Shelf) -> None:
    shelf.put(crane="Cranes dance.")
    kb = shelf.create()
    shelf.verbs.remove_source(kb.id, shelf.last(kb).runs[0].source)
    job = shelf.last(kb).job
    assert (job.state, job.reason) == (JobState.CANCELLED, Reason.BY_REQUEST)
    assert shelf.engine.retry(job).state is JobState.CANCELLED
    shelf.drain()
    assert shelf.names(kb) == set()


def test_a_file_that_somebody_else_removed_before_counts_as_removed(shelf: Shelf) -> None:
    shelf.put(crane="Cranes dance.", lamp="A lamp.")
    kb = shelf.create()
    shelf.drain()
    source = shelf.last(kb).runs[0].source
    shelf.engine.submit(Submission(JobKind.DELETION, "tiny", [Item(f"{source}/lamp.txt")], collection=kb.collection))
    shelf.drain()
    shelf.remove("lamp")
    job = shelf.run(kb)
    assert (job.counts.removed, job.runs[0].status) == (1, SourceRunStatus.NOT_UPDATED)
    assert job.job.reason is Reason.NOTHING_CHANGED
    assert [row.status for row in shelf.verbs.report_rows(job.job.id)].count("removed") == 1
    assert shelf.run(kb).counts.removed == 0


def test_a_cancelled_scan_is_taken_up_again_by_a_retry(shelf: Shelf) -> None:
    shelf.put(**{f"file{number}": f"Text number {number}." for number in range(5)})
    kb = shelf.create()
    run(shelf.engine, claimed(shelf.engine), shelf.runner(scanning={"slice_seconds": 0.0, "page_files": 2}))
    job = shelf.verbs.cancel(shelf.last(kb).job.id)
    assert job.counts.total == 2
    shelf.engine.retry(job.job)
    shelf.drain()
    assert shelf.verbs.job(job.job.id).counts.indexed == 5
