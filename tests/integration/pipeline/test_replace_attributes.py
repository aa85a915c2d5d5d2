"""Replacing filter attributes: the old ones apply until all is read anew, then the new ones, whatever happens."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from indexmill.corpora import Corpora
from indexmill.domain.corpus import DocumentPart, NewDocument
from indexmill.domain.filter_attributes import AttributeLevel, AttributeType, FilterAttribute
from indexmill.domain.job import BatchWork, Item, Job, JobKind
from indexmill.domain.job_state import JobState, Reason
from indexmill.engine import Engine
from indexmill.errors import CollectionNotFound, InvalidRequest, LimitReached
from indexmill.ledger.ledger import open_ledger
from indexmill.pipeline.replace_attributes import ReplaceAttributes
from indexmill.pipeline.run_window import WindowRunner
from indexmill.settings import Settings
from indexmill.vectors.attribute_sets import AttributeSets
from tests.draining import (
    assert_conserved,
    claim_next,
    claimed,
    delete,
    drain,
    failures,
    job_of,
    lose,
    rows,
    run,
    runner_of,
    submit,
)
from tests.integration.pipeline.lossy_proxy import lossy_proxy
from tests.replacing import BY_BOTH, BY_NEW, NEW, OLD, Answer, Watch, texts_and_values
from tests.running_service import wait_until

DOC, INTEGER, TEXT = AttributeLevel.DOCUMENT, AttributeType.INTEGER, AttributeType.TEXT


@pytest.fixture
def corpora(engine: Engine) -> Corpora:
    made = Corpora(engine, "tiny", "tokens-8-0")
    made.create("birds", "Birds", "", [FilterAttribute("year", DOC, INTEGER)])
    for number in range(7):
        metadata = {"year": number, "place": f"fen{number % 2}", "odd": "x" if number == 3 else number}
        made.submit("birds", NewDocument(f"d{number}", (DocumentPart(f"Bird {number}."),), metadata))
    drain(engine)
    return made


def found(corpora: Corpora, metadata_filter: str) -> set[str]:
    return {hit.document_id for hit in corpora.query("birds", "Bird", 20, metadata_filter=metadata_filter)}


def test_the_old_ones_apply_until_the_new_ones_do(corpora: Corpora) -> None:
    engine = corpora.engine
    job = corpora.replace_attributes(
        "birds", [FilterAttribute("place", DOC, TEXT), FilterAttribute("odd", DOC, INTEGER)]
    )
    work = ReplaceAttributes(engine.ledger, engine.vectors.attribute_sets, slice_seconds=0.0, page_documents=2)
    steps = 0
    progress = []
    while (claim := claim_next(engine)) is not None:
        assert found(corpora, "doc.year >= 5") == {"d5", "d6"}
        with pytest.raises(InvalidRequest, match="place"):
            found(corpora, "doc.place = 'fen1'")
        runner = runner_of(engine)
        runner.structural = {claim.batches[0].work: work}
        steps += 1
        progress.append(job_of(engine, job).progress)
        if steps == 2:
            # Its worker dies; the next one goes on.
            lose(engine, claim)
            continue
        run(engine, claim, runner)
    assert steps > 4
    # It is told how far it is, and that nothing remains only at its end.
    assert progress == sorted(progress)
    assert len(set(progress)) > 3
    assert 0 < max(progress) < job_of(engine, job).progress == 1
    assert found(corpora, "doc.place = 'fen1'") == {"d1", "d3", "d5"}
    assert found(corpora, "doc.odd < 10") == {f"d{number}" for number in range(7) if number != 3}
    with pytest.raises(InvalidRequest, match="year"):
        found(corpora, "doc.year >= 5")
    ended = job_of(engine, job)
    assert (ended.state, ended.reason) == (JobState.SUCCEEDED, Reason.WITH_FAILURES)
    assert ended.result is not None
    assert (ended.result["documents"], ended.result["misfits"]) == (7, 1)
    assert ended.detail == (
        "Filters see the new attributes of 7 documents; 1 document has values that do not fit, which no filter finds"
    )
    assert (ended.total_items, ended.counters.kept, ended.counters.failed) == (2, 1, 1)
    assert list(failures(engine, job)) == ["d3"]
    assert_conserved(engine)
    assert [each.name for each in corpora.attributes("birds")] == ["place", "odd"]


def steps_of(engine: Engine, *, page_documents: int = 2) -> WindowRunner:
    """A worker whose replacements do one step a window."""
    work = ReplaceAttributes(
        engine.ledger, engine.vectors.attribute_sets, slice_seconds=0.0, page_documents=page_documents
    )
    return runner_of(engine, structural={BatchWork.REPLACE: work})


def misfitting(engine: Engine, count: int) -> list[str]:
    """So many documents that another door takes, with a year that is no number; and one with a number."""
    names = [f"m{number:03}" for number in range(count)]
    submit(engine, [*(Item(name, {"text": name, "year": f"about {name}"}) for name in names), GOOD])
    drain(engine)
    return names


def replace_with_year(corpora: Corpora) -> Job:
    return corpora.replace_attributes("tiny", [FilterAttribute("year", DOC, INTEGER)])


GOOD = Item("good", {"text": "good", "year": 2000})


def test_what_another_door_takes_no_filter_finds_and_the_next_replacement_reports(engine: Engine) -> None:
    """Every one of them, page after page: they are counted as they are listed."""
    corpora = Corpora(engine, "tiny", "whole")
    replace_with_year(corpora)
    names = misfitting(engine, 300)
    hits = corpora.query("tiny", "m", 400, metadata_filter="doc.year IS NOT NULL")
    assert [hit.document_id for hit in hits] == ["good"]
    job = replace_with_year(corpora)
    drain(engine)
    ended = job_of(engine, job)
    assert (ended.state, ended.reason) == (JobState.SUCCEEDED, Reason.WITH_FAILURES)
    assert (ended.total_items, ended.counters.indexed, ended.counters.failed) == (301, 1, 300)
    reported = failures(engine, job)
    assert list(reported) == names
    assert [each.position for each in reported.values()] == list(range(1, 301))
    assert reported["m007"].sentence == "`doc.year`: expected a whole number, got 'about m007'"
    assert_conserved(engine)


def year(name: str, value: object) -> Item:
    return Item(name, {"text": f"{name} {value}", "year": value})


def fill_all(engine: Engine, job: Job, runner: WindowRunner) -> None:
    """Every document has been read; the switch comes next."""
    while not (engine.ledger.structural_jobs.progress(job.id) or {}).get("is_filled"):
        run(engine, claimed(engine), runner)


def test_what_is_written_after_it_was_read_is_reported_too_and_once(engine: Engine) -> None:
    """Of documents as they are at the end; what was reported before stays so."""
    corpora = Corpora(engine, "tiny", "whole")
    submit(engine, [year(name, 1) for name in ("better", "gone", "twice", "worse")] + [year("bad", "b")])
    drain(engine)
    job = replace_with_year(corpora)
    # A page holds one of them, so that what is written late takes several.
    runner = steps_of(engine, page_documents=1)
    fill_all(engine, job, runner)
    assert list(failures(engine, job)) == ["bad"]
    structural = claimed(engine)
    for value in ("x", "y"):
        submit(engine, [year(name, value) for name in ("bad", "better", "gone", "new", "twice")])
        drain(engine)
    submit(engine, [year("better", 2), year("worse", "z")])
    delete(engine, ["gone"])
    drain(engine)
    lose(engine, structural)
    drain(engine, runner)
    ended = job_of(engine, job)
    assert (ended.state, ended.reason) == (JobState.SUCCEEDED, Reason.WITH_FAILURES)
    reported = failures(engine, job)
    assert sorted(reported) == ["bad", "new", "twice", "worse"]
    assert reported["twice"].sentence == "`doc.year`: expected a whole number, got 'y'"
    assert (ended.total_items, ended.counters.failed) == (5, 4)
    assert ended.result is not None
    assert (ended.result["documents"], ended.result["misfits"]) == (5, 4)
    assert_conserved(engine)
    # Whoever asks again hears the same.
    again = replace_with_year(corpora)
    engine.ledger.structural_jobs.give_turns()
    drain(engine)
    assert sorted(failures(engine, again)) == sorted(reported)


def test_what_is_written_in_the_moment_of_the_switch_is_reported_too(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpora = Corpora(engine, "tiny", "whole")
    submit(engine, [year("first", 1)])
    drain(engine)
    job = replace_with_year(corpora)
    runner = steps_of(engine)
    fill_all(engine, job, runner)
    structural = claimed(engine)
    sets = engine.vectors.attribute_sets
    hold_writers = AttributeSets.hold_writers

    def late(*arguments: Any) -> None:
        monkeypatch.undo()
        submit(engine, [year("late", "x")])
        drain(engine)
        hold_writers(*arguments)

    monkeypatch.setattr(AttributeSets, "hold_writers", late)
    run(engine, structural, runner)
    engine.ledger.transitions.finish([job.id])
    assert sets.active(engine.collection("tiny").id).attributes == (FilterAttribute("year", DOC, INTEGER),)
    assert list(failures(engine, job)) == ["late"]
    assert job_of(engine, job).counters.failed == 1
    assert_conserved(engine)


def test_cancelled_it_counts_what_it_has_reported_and_retried_it_reports_all_once(engine: Engine) -> None:
    corpora = Corpora(engine, "tiny", "whole")
    names = misfitting(engine, 6)
    job = replace_with_year(corpora)
    runner = steps_of(engine)
    for _ in range(4):
        run(engine, claimed(engine), runner)
    assert job_of(engine, job).counters.failed == len(failures(engine, job)) > 0
    engine.cancel(job_of(engine, job))
    cancelled = job_of(engine, job)
    assert (cancelled.state, cancelled.counters.cancelled) == (JobState.CANCELLED, 1)
    assert cancelled.counters.failed == len(failures(engine, job))
    assert_conserved(engine)
    for again in (engine.retry, engine.retry, partial(engine.rerun, force=False)):
        again(job_of(engine, job))
        assert (job_of(engine, job).total_items, failures(engine, job)) == (1, {})
        engine.ledger.structural_jobs.give_turns()
        drain(engine, runner)
        ended = job_of(engine, job)
        assert (ended.state, ended.reason) == (JobState.SUCCEEDED, Reason.WITH_FAILURES)
        assert list(failures(engine, job)) == names
        assert_conserved(engine)


def test_a_page_whose_commit_is_made_again_is_reported_once(
    engine: Engine, settings: Settings, database_url: str
) -> None:
    """The answer to each commit is lost, so that it is tried again: it had been made."""
    corpora = Corpora(engine, "tiny", "whole")
    names = misfitting(engine, 5)
    job = replace_with_year(corpora)
    with lossy_proxy(database_url) as proxy:
        far = open_ledger(proxy.url, settings, pool_size=3)
        proxy.marker = b"idempotency_key"
        proxy.losses.extend(["after", "none"] * 50)
        work = ReplaceAttributes(far, engine.vectors.attribute_sets, slice_seconds=0.0, page_documents=2)
        drain(engine, runner_of(engine, far, structural={BatchWork.REPLACE: work}))
        far.database.close()
    assert proxy.lost >= 4
    ended = job_of(engine, job)
    assert (ended.state, ended.counters.failed) == (JobState.SUCCEEDED, 5)
    assert ended.result is not None
    assert (ended.result["documents"], ended.result["misfits"]) == (6, 5)
    assert list(failures(engine, job)) == names
    assert_conserved(engine)


def test_begun_anew_it_reports_nothing_twice(engine: Engine) -> None:
    """Its set was given up under it."""
    corpora = Corpora(engine, "tiny", "whole")
    names = misfitting(engine, 5)
    job = replace_with_year(corpora)
    runner = steps_of(engine)
    for _ in range(3):
        run(engine, claimed(engine), runner)
    collection = engine.collection("tiny")
    assert collection.prepared_set is not None
    with engine.ledger.database.transaction() as connection:
        engine.vectors.attribute_sets.drop_set(connection, collection.id, collection.prepared_set)
    drain(engine, runner)
    assert list(failures(engine, job)) == names
    assert job_of(engine, job).counters.failed == 5
    assert_conserved(engine)


def test_retried_it_does_not_take_the_place_of_a_later_one(engine: Engine) -> None:
    corpora = Corpora(engine, "tiny", "whole")
    misfitting(engine, 1)
    first = replace_with_year(corpora)
    drain(engine)
    second = corpora.replace_attributes("tiny", [FilterAttribute("text", DOC, TEXT)])
    engine.ledger.structural_jobs.give_turns()
    drain(engine)
    assert job_of(engine, second).state is JobState.SUCCEEDED
    engine.retry(job_of(engine, first))
    engine.ledger.structural_jobs.give_turns()
    drain(engine)
    retried = job_of(engine, first)
    assert (retried.state, retried.reason) == (JobState.CANCELLED, Reason.SUPERSEDED)
    assert str(second.id) in (retried.detail or "")
    assert [each.name for each in corpora.attributes("tiny")] == ["text"]
    assert_conserved(engine)


def test_what_is_written_meanwhile_is_right_before_and_after(corpora: Corpora) -> None:
    engine = corpora.engine
    corpora.replace_attributes("birds", [FilterAttribute("place", DOC, TEXT)])
    claim = claim_next(engine)
    assert claim is not None
    runner = runner_of(engine)
    work = ReplaceAttributes(engine.ledger, engine.vectors.attribute_sets, slice_seconds=0.0, page_documents=2)
    runner.structural = {claim.batches[0].work: work}
    run(engine, claim, runner)
    corpora.replace("birds", NewDocument("d0", (DocumentPart("Bird 0."),), {"year": 99, "place": "moor"}))
    corpora.remove_all("birds", ["d1"])
    drain(engine)
    assert found(corpora, "doc.place = 'moor'") == {"d0"}
    assert found(corpora, "doc.place = 'fen1'") == {"d3", "d5"}


def test_every_answer_is_by_the_old_set_or_by_the_new_one(engine: Engine) -> None:
    payloads = texts_and_values(500)
    submit(engine, [Item(name, payload) for name, payload in payloads.items()])
    drain(engine)
    corpora = Corpora(engine, "tiny", "whole")
    corpora.replace_attributes("tiny", OLD)
    drain(engine)

    def ask(metadata_filter: str) -> Answer:
        try:
            hits = corpora.query("tiny", "document", 500, metadata_filter=metadata_filter)
        except InvalidRequest:
            return None
        return frozenset(hit.document_id for hit in hits)

    changes = iter(payloads)
    watches = [Watch(partial(ask, each)) for each in (BY_BOTH, BY_NEW)]
    # It changes nothing that is asked for, in documents that are being read anew.
    writer = Watch(lambda: frozenset() if corpora.update_metadata("tiny", next(changes), {"n": 1}) else None)
    work = ReplaceAttributes(engine.ledger, engine.vectors.attribute_sets, slice_seconds=0.0, page_documents=40)
    with watches[0].running(2), watches[1].running(), writer.running():
        job = corpora.replace_attributes("tiny", NEW)
        for step in itertools.count():
            claim = claim_next(engine)
            if claim is None:
                break
            runner = runner_of(engine)
            runner.structural = {claim.batches[0].work: work}
            if step == 6:
                lose(engine, claim)
            else:
                run(engine, claim, runner)
        before = len(watches[0].answers)
        wait_until(lambda: len(watches[0].answers) > before + 4, 60, "answers after the switch")
    assert job_of(engine, job).state is JobState.SUCCEEDED
    names = list(payloads)
    watches[0].check(frozenset(names[::2]), frozenset(names[1::2]))
    watches[1].check(None, frozenset(names))
    assert writer.problems == []
    assert {answer for _, _, answer in writer.answers} == {frozenset()}


def test_where_too_many_items_wait_no_change_of_a_whole_corpus_is_queued(engine: Engine) -> None:
    submit(engine, [Item("d", {"text": "d"})])
    drain(engine)

    def refuse(tenant: int, count: int) -> None:
        raise LimitReached(f"{count} more of tenant {tenant}", 5)

    corpora = Corpora(replace(engine, check_queue=refuse), "tiny", "whole")
    with pytest.raises(LimitReached, match="1 more of tenant 1"):
        replace_with_year(corpora)
    with pytest.raises(LimitReached):
        corpora.rebuild("tiny")
    assert rows(engine, "SELECT FROM job WHERE kind <> 'upsertion'") == []


def test_of_a_deleted_collection_nothing_is_queued(engine: Engine) -> None:
    submit(engine, [Item("d", {"text": "d"})])
    drain(engine)
    collection = engine.collection("tiny")
    Corpora(engine, "tiny", "whole").delete("tiny")
    with pytest.raises(CollectionNotFound):
        engine.ledger.structural_jobs.submit(collection, JobKind.REBUILD)


def test_a_second_one_queues_behind_the_first(corpora: Corpora) -> None:
    first = corpora.replace_attributes("birds", [FilterAttribute("place", DOC, TEXT)])
    second = corpora.replace_attributes("birds", [FilterAttribute("year", DOC, INTEGER)])
    drain(corpora.engine)
    corpora.engine.ledger.structural_jobs.give_turns()
    drain(corpora.engine)
    for job in (first, second):
        assert job_of(corpora.engine, job).state is JobState.SUCCEEDED
    assert [each.name for each in corpora.attributes("birds")] == ["year"]
