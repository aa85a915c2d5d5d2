"""Another writer between a window's decision and its commit: skips are compared again, versions guarded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from indexmill.domain.job import Item, Job
from indexmill.engine import Engine
from indexmill.vectors.pgvector_store import PgvectorStore
from tests.draining import (
    PLENTY,
    alter_query,
    assert_conserved,
    claimed,
    delete,
    documents,
    drain,
    execute,
    hold_back,
    job_of,
    rows,
    run,
    submit,
    upsert,
)


def run_beside(engine: Engine, job: Job, beside: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the job's window; `beside` happens once, after it has decided what to skip and before it writes."""
    claim = claimed(engine)
    assert claim.job_ids == [job.id]
    pending = [beside]
    stage_now, skip_now = PgvectorStore.stage, PgvectorStore.skip

    def stage(store: PgvectorStore, connection: Any, staged: Any) -> None:
        if pending:
            pending.pop()()
        stage_now(store, connection, staged)

    def skip(store: PgvectorStore, connection: Any, collection: Any, skipped: Any) -> list[int] | None:
        if pending:
            pending.pop()()
        return skip_now(store, connection, collection, skipped)

    with monkeypatch.context() as patch:
        patch.setattr(PgvectorStore, "stage", stage)
        patch.setattr(PgvectorStore, "skip", skip)
        run(engine, claim)


def store(engine: Engine) -> None:
    """What later submissions of `a` compare themselves with; after it comes something that is never done with."""
    upsert(engine, {"a": "same"})
    drain(engine)
    hold_back(engine, upsert(engine, {"another": "still open"}))


def skip_beside(engine: Engine, beside: Callable[[], object], monkeypatch: pytest.MonkeyPatch, *items: Item) -> Job:
    """`a` is stored, and submitted again unchanged (or as these items) while `beside` happens; the job then."""
    store(engine)
    job = submit(engine, items or [Item("a", {"text": "same"})])
    run_beside(engine, job, beside, monkeypatch)
    return job_of(engine, job)


def write_older(engine: Engine, statement: str) -> None:
    """Another writer commits an older version meanwhile: its window decided earlier and was slow."""
    assert execute(engine, statement) == 1


def overtake(engine: Engine) -> None:
    """A later submission is written meanwhile."""
    upsert(engine, {"a": "overtaking"}, external_id="overtaker")
    drain(engine)


@pytest.mark.parametrize("payload", [{"text": "same"}, {"text": "same", "kind": "new"}], ids=["skip", "payload"])
def test_a_skip_whose_ground_has_moved_embeds_instead(
    engine: Engine, payload: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = (
        "UPDATE document SET fingerprint = 'elsewhere', payload_hash = 'elsewhere', text = 'between', payload = '{}' "
        "WHERE id = 'a'"
    )
    items = [Item("a", payload), Item("b", {"text": "neighbour"})]
    counters = skip_beside(engine, lambda: write_older(engine, moved), monkeypatch, *items).counters
    assert (counters.indexed, counters.unchanged, counters.payload_updated) == (2, 0, 0)
    assert documents(engine)["a"]["text"] == "same"
    assert documents(engine)["a"]["payload"] == payload
    assert_conserved(engine)


def test_a_skip_whose_payload_has_moved_writes_the_payload(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = "UPDATE document SET payload_hash = 'elsewhere', payload = '{}' WHERE id = 'a'"
    job = skip_beside(engine, lambda: write_older(engine, moved), monkeypatch)
    assert documents(engine)["a"]["payload"] == {"text": "same"}
    assert job.counters.unchanged == 0


def test_a_skip_of_a_document_that_has_been_deleted_meanwhile_embeds(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older delete that ran late: the tombstone is older than the skip, so the document must come back whole."""
    store(engine)
    delete(engine, ["a"])
    slow = engine.ledger.claims.claim("delete", "test/slow", PLENTY)
    assert slow is not None
    job = upsert(engine, {"a": "same"})
    run_beside(engine, job, lambda: run(engine, slow), monkeypatch)
    assert len(documents(engine)["a"]["vectors"]) == 1
    assert job_of(engine, job).counters.indexed == 1
    assert_conserved(engine)


def test_a_skip_of_a_document_whose_row_is_gone_embeds(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = "WITH key AS (DELETE FROM document RETURNING key) DELETE FROM chunk_1_1 USING key WHERE document = key.key"
    skip_beside(engine, lambda: write_older(engine, gone), monkeypatch)
    assert len(documents(engine)["a"]["vectors"]) == 1
    assert_conserved(engine)


def test_a_skip_that_a_later_submission_overtook_is_superseded(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    job = skip_beside(engine, lambda: overtake(engine), monkeypatch)
    assert documents(engine)["a"]["text"] == "overtaking"
    assert "`overtaker`" in str(job.detail)


def test_a_slow_window_loses_to_one_that_was_submitted_later(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = upsert(engine, {"a": "earlier"})
    run_beside(engine, earlier, lambda: overtake(engine), monkeypatch)
    assert documents(engine)["a"]["text"] == "overtaking"
    assert "`overtaker`" in str(job_of(engine, earlier).detail)


def test_without_the_version_guard_a_slow_window_would_be_seen_to_win(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    alter_query(
        monkeypatch, "write_documents", "WHERE (d.seq, d.position) <= (excluded.seq, excluded.position)", "WHERE true"
    )
    with pytest.raises(AssertionError):
        test_a_slow_window_loses_to_one_that_was_submitted_later(engine, monkeypatch)


def never_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken build: a skip never looks at what is stored now."""
    compared = "WHEN 2 THEN d.fingerprint = excluded.fingerprint AND d.payload_hash = excluded.payload_hash"
    alter_query(monkeypatch, "write_documents", compared, "WHEN 2 THEN true")


def test_without_the_compare_a_skip_would_be_seen_to_keep_another_text(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_compare(monkeypatch)
    with pytest.raises(AssertionError):
        test_a_skip_whose_ground_has_moved_embeds_instead(engine, {"text": "same"}, monkeypatch)


def test_without_the_look_at_the_stored_chunks_a_skip_would_be_seen_to_leave_none(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    never_compare(monkeypatch)
    alter_query(monkeypatch, "write_documents", "previous_chunks = d.chunks", "previous_chunks = 1")
    with pytest.raises((AssertionError, KeyError)):
        test_a_skip_of_a_document_that_has_been_deleted_meanwhile_embeds(engine, monkeypatch)


def test_batches_of_which_nothing_has_changed_are_ended_without_staging(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """600 items are three batches; one item changes, so only its batch goes the long way."""
    texts = {f"d{number}": f"text {number}" for number in range(600)}
    upsert(engine, texts)
    drain(engine)
    hold_back(engine, upsert(engine, {"another": "still open"}))
    staged: list[str] = []
    original = PgvectorStore.stage

    def stage(store: PgvectorStore, connection: Any, documents: Any) -> None:
        staged.extend(document.id for document in documents)
        original(store, connection, documents)

    monkeypatch.setattr(PgvectorStore, "stage", stage)
    job = upsert(engine, {**texts, "d300": "changed"})
    drain(engine)
    counters = job_of(engine, job).counters
    assert (counters.unchanged, counters.indexed, counters.chunks) == (599, 1, 600)
    assert counters.embedded == 1
    assert len(staged) == 256
    assert documents(engine)["d300"]["text"] == "changed"
    assert {row["seq"] for row in rows(engine, "SELECT seq FROM document")} == {3}
    assert_conserved(engine)


def test_a_batch_that_was_cancelled_meanwhile_is_not_skipped(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    store(engine)
    job = upsert(engine, {"a": "same"})
    run_beside(engine, job, lambda: engine.cancel(job), monkeypatch)
    assert job_of(engine, job).counters.cancelled == 1
    assert rows(engine, "SELECT seq FROM document") == [{"seq": 1}]
    assert_conserved(engine)
