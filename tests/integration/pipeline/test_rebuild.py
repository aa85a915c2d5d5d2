"""Rebuilding: a generation aside has everything in the end, whatever was written, killed or cancelled meanwhile."""

from __future__ import annotations

import itertools
import random
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from indexmill.domain.failure import FailureCode
from indexmill.domain.job import BatchWork, Job
from indexmill.domain.job_state import JobState, Reason
from indexmill.engine import Engine
from indexmill.ledger.claims import STRUCTURAL_LANE
from indexmill.ledger.ledger import open_ledger
from indexmill.pipeline.rebuild import Rebuild
from indexmill.pipeline.run_window import WindowOutcome, WindowRunner
from indexmill.settings import Settings
from indexmill.vectors.chunk_tables import drop_retired
from indexmill.vectors.vector_store import SearchQuery
from tests.draining import (
    alter_query,
    assert_conserved,
    delete,
    documents,
    drain,
    execute,
    failures,
    job_of,
    lose,
    lose_answers,
    rows,
    run,
    runner_of,
    structural_works,
    upsert,
    waiting_for_locks,
    wake,
)
from tests.integration.pipeline.lossy_proxy import lossy_proxy
from tests.integration.vectors.indexed import THRESHOLD, fill, sweep_indexes
from tests.rebuilding import claim_other, claim_rebuild, rebuilder


def step(engine: Engine, runner: WindowRunner) -> WindowOutcome | None:
    claim = claim_rebuild(engine)
    return None if claim is None else run(engine, claim, runner)


def finish(engine: Engine, runner: WindowRunner, **search: Any) -> None:
    """Step by step to the end; what waits for an index gets it."""
    for _ in range(500):
        if step(engine, runner) is None:
            if not rows(engine, "SELECT FROM batch WHERE state = 'waiting' AND available_at < 'infinity'"):
                return
            sweep_indexes(engine, **search)
            wake(engine)
    raise AssertionError("the rebuild does not end")


def tables(engine: Engine) -> set[str]:
    found = rows(engine, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'chunk%%'")
    return {row["relname"] for row in found}


def give_up_and_drop(engine: Engine) -> None:
    """The sweep, where every search has ended."""
    engine.ledger.generations.give_up_abandoned()
    drop_retired(engine.ledger.database, 0)


def assert_whole(engine: Engine, texts: dict[str, str]) -> None:
    """The chunks in use are those of the living documents, with the vectors of their texts."""
    assert_conserved(engine)
    stored = documents(engine)
    assert {name: row["text"] for name, row in stored.items()} == texts
    for text in texts.values():
        hits = engine.search("tiny", text=text, limit=1)
        # Its own vector, and no other's.
        assert [(hit.text, round(hit.score, 4)) for hit in hits] == [(text, 1)]


TEXTS = {f"d{number}": f"text {number}" for number in range(30)}


def test_a_rebuild_lays_the_chunks_down_anew(engine: Engine) -> None:
    upsert(engine, TEXTS)
    drain(engine)
    before = documents(engine)
    job = engine.rebuild("tiny")
    assert (job.kind, job.state, job.total_items) == ("rebuild", JobState.QUEUED, 1)

    drain(engine, rebuilder(engine, page_chunks=7))

    ended = job_of(engine, job)
    assert (ended.state, ended.reason, ended.progress) == (JobState.SUCCEEDED, Reason.COMPLETE, 1.0)
    assert ended.result is not None
    assert {**ended.result, "sentence": ""} == {
        "generation": 2, "chunks": 30, "index": "exact", "ef_search": None, "recall_at_10": 1.0, "sampled": 0,
        "sentence": "",
    }  # fmt: skip
    assert ended.detail == ended.result["sentence"] == "Generation 2 holds 30 chunks; search is exact"
    assert engine.collection("tiny").generation == 2
    assert documents(engine) == before
    assert_whole(engine, TEXTS)
    assert tables(engine) == {"chunk_1_1", "chunk_1_2"}
    assert drop_retired(engine.ledger.database, 60) == []
    assert drop_retired(engine.ledger.database, 0) == ["chunk_1_1"]
    upsert(engine, {"d0": "another text"})
    drain(engine)
    assert_whole(engine, TEXTS | {"d0": "another text"})


def test_commits_of_a_rebuild_whose_answers_were_lost_count_once(
    engine: Engine, settings: Settings, database_url: str
) -> None:
    upsert(engine, TEXTS)
    drain(engine)
    job = engine.rebuild("tiny")
    with lossy_proxy(database_url) as proxy:
        far = open_ledger(proxy.url, settings, pool_size=3)
        proxy.marker = b"idempotency_key"
        proxy.losses.extend(["after", "none"] * 50)
        work = structural_works(engine)[BatchWork.REBUILD]
        assert isinstance(work, Rebuild)
        here = replace(work, ledger=far, page_chunks=12)
        drain(engine, runner_of(engine, far, structural={BatchWork.REBUILD: here}))
        far.database.close()
    assert proxy.lost >= 5
    ended = job_of(engine, job)
    assert (ended.state, ended.result and ended.result["chunks"]) == (JobState.SUCCEEDED, 30)
    assert_whole(engine, TEXTS)


def test_a_step_whose_commit_is_made_again_is_done_once(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    upsert(engine, TEXTS)
    drain(engine)
    job = engine.rebuild("tiny")
    with monkeypatch.context() as patch:
        lose_answers(patch)
        drain(engine, rebuilder(engine, page_chunks=7))
    ended = job_of(engine, job)
    assert ended.state is JobState.SUCCEEDED
    assert ended.result is not None
    assert (ended.result["generation"], ended.result["chunks"]) == (2, 30)
    assert_whole(engine, TEXTS)


def test_the_new_index_is_measured_and_used(engine: Engine) -> None:
    fill(engine)
    job = engine.rebuild("tiny")
    finish(engine, rebuilder(engine, exact_chunks=THRESHOLD, recall_sample=20))
    result = job_of(engine, job).result
    assert result is not None
    assert (result["index"], result["recall_at_10"], result["sampled"]) == ("hnsw", 1.0, 20)
    collection = engine.collection("tiny")
    assert (collection.generation, collection.ef_search) == (2, result["ef_search"])
    (summary,) = engine.collections()
    assert (summary.index, summary.recall, summary.generation) == ("hnsw", 1.0, 2)


def test_while_it_waits_for_its_index_the_job_is_running(engine: Engine) -> None:
    fill(engine)
    job = engine.rebuild("tiny")
    runner = rebuilder(engine, exact_chunks=THRESHOLD)
    while step(engine, runner) is not None:
        pass
    assert rows(engine, "SELECT state FROM batch") == [{"state": "waiting"}]
    stalled, _ = engine.ledger.workload.stalled_jobs()
    engine.ledger.transitions.wait_stalled(stalled, "waiting")
    assert job_of(engine, job).state is JobState.RUNNING


def test_an_index_that_nobody_builds_is_not_waited_for_for_ever(engine: Engine) -> None:
    fill(engine)
    job = engine.rebuild("tiny")
    runner = rebuilder(engine, exact_chunks=THRESHOLD)
    work = runner.structural[BatchWork.REBUILD]
    assert isinstance(work, Rebuild)
    work.max_idle_polls = 3
    for _ in range(50):
        if step(engine, runner) is None:
            wake(engine)
    ended = job_of(engine, job)
    assert ended.state is JobState.FAILED
    assert ended.detail == "The new index was not built: the log of the service says why; the old one stays in use"
    assert engine.collection("tiny").generation == 1
    assert_conserved(engine)


def test_a_worse_index_is_refused_and_the_old_one_stays(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(engine)
    sweep_indexes(engine)
    job = engine.rebuild("tiny")
    runner = rebuilder(engine, exact_chunks=THRESHOLD, recall_sample=5)
    with monkeypatch.context() as broken:
        alter_query(broken, "near_chunks", "LIMIT %(candidates)s", "LIMIT least(9, %(candidates)s)")
        finish(engine, runner)
    ended = job_of(engine, job)
    assert (ended.state, ended.reason) == (JobState.FAILED, Reason.BY_ITEMS)
    assert ended.detail == (
        "The new index finds 0.9000 of the ten nearest chunks, expected 0.98 (search.min_recall); "
        "the old one stays in use"
    )
    (failure,) = failures(engine, job).values()
    assert failure.code is FailureCode.RECALL_TOO_LOW
    assert (engine.collection("tiny").generation, engine.collection("tiny").ef_search) == (1, 100)
    give_up_and_drop(engine)
    assert tables(engine) == {"chunk_1_1"}
    assert engine.collection("tiny").next_generation is None

    engine.retry(job_of(engine, job))
    engine.ledger.structural_jobs.give_turns()
    finish(engine, runner)
    assert job_of(engine, job).state is JobState.SUCCEEDED
    assert engine.collection("tiny").generation == 3
    assert_conserved(engine)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_written_between_its_steps_is_in_it(engine: Engine, seed: int) -> None:
    """Upserts and deletes at every moment, workers that die between and within steps, the sweeps at any time."""
    chance = random.Random(seed)
    expected = dict(TEXTS)
    upsert(engine, expected)
    drain(engine)
    job = engine.rebuild("tiny")
    runner = rebuilder(engine, page_chunks=chance.choice([1, 4, 11]))
    texts = itertools.count()
    for _ in range(500):
        for _ in range(chance.randint(0, 3)):
            names = chance.sample([*expected, "new", "newer", "newest"], 3)
            if chance.random() < 0.3:
                delete(engine, names)
                expected = {name: text for name, text in expected.items() if name not in names}
            else:
                changed = {name: f"changed {next(texts)}" for name in names}
                upsert(engine, changed)
                expected |= changed
            engine.ledger.structural_jobs.give_turns()
            while (claim := claim_other(engine)) is not None:
                run(engine, claim)
        claim = claim_rebuild(engine)
        if claim is None:
            break
        if chance.random() < 0.2:
            lose(engine, claim)
        else:
            run(engine, claim, runner)
    assert job_of(engine, job).state is JobState.SUCCEEDED
    assert_whole(engine, expected)
    assert rows(engine, "SELECT count(*) AS n FROM rebuild_change") == [{"n": 0}]
    give_up_and_drop(engine)
    assert len(tables(engine)) == 1


def test_a_change_that_is_committed_while_the_log_is_read_is_not_lost(engine: Engine) -> None:
    """It changes a document that the log names already; the copy that the rebuild makes then is without it."""
    upsert(engine, TEXTS)
    drain(engine)
    engine.rebuild("tiny")
    runner = rebuilder(engine)
    step(engine, runner)
    upsert(engine, {"d1": "first change"})
    run_others(engine)
    with engine.ledger.database.transaction() as connection:
        engine.ledger.collections.share(connection, 1)
        (logged,) = connection.execute("SELECT document FROM rebuild_change").fetchall()
        connection.execute("UPDATE chunk_1_1 SET start_offset = 7 WHERE document = %s", [logged["document"]])
        connection.execute(
            "INSERT INTO rebuild_change (collection, generation, document) VALUES (1, 2, %s)", [logged["document"]]
        )
        # It takes what the log says, and waits for nobody.
        step(engine, runner)
        assert rows(engine, "SELECT FROM rebuild_change") == []
        assert rows(engine, "SELECT FROM chunk_1_2 WHERE start_offset = 7") == []
    finish(engine, runner)
    assert engine.collection("tiny").generation == 2
    found = rows(engine, "SELECT document FROM chunk_1_2 WHERE start_offset = 7")
    assert found == [{"document": logged["document"]}]


def test_the_switch_waits_for_commits_under_way(engine: Engine) -> None:
    upsert(engine, TEXTS)
    drain(engine)
    engine.rebuild("tiny")
    runner = rebuilder(engine, slice_seconds=60)
    step(engine, rebuilder(engine))
    claim = claim_rebuild(engine)
    assert claim is not None
    with engine.ledger.database.transaction() as connection:
        engine.ledger.collections.share(connection, 1)
        thread = threading.Thread(target=run, args=(engine, claim, runner))
        thread.start()
        until = time.monotonic() + 30
        while not waiting_for_locks(engine) and time.monotonic() < until:
            time.sleep(0.01)
        assert engine.collection("tiny").generation == 1
        connection.execute("UPDATE chunk_1_1 SET start_offset = 7 WHERE document = 3")
        connection.execute("INSERT INTO rebuild_change (collection, generation, document) VALUES (1, 2, 3)")
    thread.join(timeout=60)
    assert engine.collection("tiny").generation == 2
    assert rows(engine, "SELECT document FROM chunk_1_2 WHERE start_offset = 7") == [{"document": 3}]


def run_others(engine: Engine) -> None:
    while (claim := claim_other(engine)) is not None:
        run(engine, claim)


# One at a time


def test_a_second_rebuild_waits_for_the_first(engine: Engine) -> None:
    upsert(engine, TEXTS)
    drain(engine)
    first, second = engine.rebuild("tiny"), engine.rebuild("tiny")
    runner = rebuilder(engine)
    for _ in range(3):
        claim = claim_rebuild(engine)
        assert claim is not None
        assert claim.job_ids == [first.id]
        run(engine, claim, runner)
        engine.ledger.structural_jobs.give_turns()
        if job_of(engine, first).is_terminal:
            break
        assert job_of(engine, second).state is JobState.QUEUED
        assert not [head for head in engine.ledger.claims.lane_heads() if head.lane != STRUCTURAL_LANE]
    finish(engine, runner)
    assert job_of(engine, first).is_terminal
    engine.ledger.structural_jobs.give_turns()
    finish(engine, runner)
    assert engine.collection("tiny").generation == 3
    assert job_of(engine, second).state is JobState.SUCCEEDED


def test_other_collections_do_not_wait(engine: Engine) -> None:
    engine.open_collection("other", "tiny", "whole")
    one, two = engine.rebuild("tiny"), engine.rebuild("other")
    ready = rows(engine, "SELECT job FROM batch WHERE state = 'ready'")
    assert {row["job"] for row in ready} == {one.id, two.id}


def test_turns_that_are_given_at_the_same_moment_are_one(engine: Engine) -> None:
    for _ in range(4):
        engine.rebuild("tiny")
    execute(engine, "UPDATE job SET turn_at = NULL")
    execute(engine, "UPDATE batch SET state = 'waiting', available_at = 'infinity'")
    threads = [threading.Thread(target=engine.ledger.structural_jobs.give_turns) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows(engine, "SELECT FROM batch WHERE state = 'ready'")) == 1


def retried(engine: Engine, job: Job) -> Job:
    engine.retry(job_of(engine, job))
    return job_of(engine, job)


def test_a_retried_one_waits_for_its_turn_again(engine: Engine) -> None:
    first = engine.rebuild("tiny")
    engine.cancel(first)
    second = engine.rebuild("tiny")
    assert retried(engine, first).state is JobState.QUEUED
    claim = claim_rebuild(engine)
    assert claim is not None
    assert claim.job_ids == [second.id]
    assert claim_rebuild(engine) is None


# Giving it up


def test_a_cancelled_rebuild_leaves_nothing(engine: Engine) -> None:
    upsert(engine, TEXTS)
    drain(engine)
    job = engine.rebuild("tiny")
    runner = rebuilder(engine, page_chunks=5)
    for _ in range(3):
        step(engine, runner)
    upsert(engine, {"d1": "changed"})
    run_others(engine)
    assert rows(engine, "SELECT count(*) AS n FROM rebuild_change") == [{"n": 1}]
    engine.cancel(job)
    assert claim_rebuild(engine) is None
    give_up_and_drop(engine)
    assert tables(engine) == {"chunk_1_1"}
    assert rows(engine, "SELECT count(*) AS n FROM rebuild_change") == [{"n": 0}]
    assert engine.collection("tiny").next_generation is None
    assert_whole(engine, TEXTS | {"d1": "changed"})


def test_a_cancel_in_the_middle_of_a_step_wins(engine: Engine) -> None:
    upsert(engine, TEXTS)
    drain(engine)
    job = engine.rebuild("tiny")
    claim = claim_rebuild(engine)
    assert claim is not None
    engine.cancel(job)
    assert run(engine, claim, rebuilder(engine)) is WindowOutcome.LOST
    assert engine.collection("tiny").generation == 1
    assert engine.collection("tiny").next_generation is None


def test_a_rebuild_that_kills_its_workers_fails(engine: Engine) -> None:
    job = engine.rebuild("tiny")
    for _ in range(3):
        claim = claim_rebuild(engine)
        assert claim is not None
        lose(engine, claim, position=0)
    finish(engine, rebuilder(engine))
    ended = job_of(engine, job)
    assert (ended.state, ended.detail) == (
        JobState.FAILED,
        "The rebuild ended its worker process again and again",
    )


# Searching


def test_a_search_that_meets_another_generation_is_repeated(engine: Engine) -> None:
    upsert(engine, TEXTS)
    drain(engine)
    stale = engine.collection("tiny")
    engine.rebuild("tiny")
    drain(engine, rebuilder(engine))
    upsert(engine, {"d0": "new text"})
    drain(engine)
    query = SearchQuery(engine.models.embed_query(stale.deployment, "new text"), 1, {})
    assert [hit.text for hit in engine.vectors.search(stale, query)] == ["new text"]
    drop_retired(engine.ledger.database, 0)
    assert tables(engine) == {"chunk_1_2"}
    assert [hit.text for hit in engine.vectors.search(stale, query)] == ["new text"]


def test_a_table_that_a_search_reads_is_not_dropped(engine: Engine) -> None:
    upsert(engine, TEXTS)
    drain(engine)
    with engine.ledger.database.transaction() as search:
        search.execute("SELECT count(*) FROM chunk_1_1")
        engine.rebuild("tiny")
        drain(engine, rebuilder(engine))
        assert drop_retired(engine.ledger.database, 0) == []
    assert drop_retired(engine.ledger.database, 0) == ["chunk_1_1"]
