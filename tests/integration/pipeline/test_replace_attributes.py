"""Replacing filter attributes: the old ones apply until all is read anew, then the new ones, whatever happens."""

from __future__ import annotations

import itertools
from functools import partial

import pytest

from indexmill.corpora import Corpora
from indexmill.domain.corpus import DocumentPart, NewDocument
from indexmill.domain.filter_attributes import AttributeLevel, AttributeType, FilterAttribute
from indexmill.domain.job import Item
from indexmill.domain.job_state import JobState
from indexmill.engine import Engine
from indexmill.errors import InvalidRequest
from indexmill.pipeline.replace_attributes import ReplaceAttributes
from tests.draining import claim_next, drain, failures, job_of, lose, run, runner_of, submit
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
    assert ended.state is JobState.SUCCEEDED
    assert ended.result is not None
    assert (ended.result["documents"], ended.result["misfits"]) == (7, 1)
    assert list(failures(engine, job)) == ["d3"]
    assert [each.name for each in corpora.attributes("birds")] == ["place", "odd"]


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
        wait_until(lambda: len(watches[0].answers) > before + 4, 10, "answers after the switch")
    assert job_of(engine, job).state is JobState.SUCCEEDED
    names = list(payloads)
    watches[0].check(frozenset(names[::2]), frozenset(names[1::2]))
    watches[1].check(None, frozenset(names))
    assert writer.problems == []
    assert {answer for _, _, answer in writer.answers} == {frozenset()}


def test_a_second_one_queues_behind_the_first(corpora: Corpora) -> None:
    first = corpora.replace_attributes("birds", [FilterAttribute("place", DOC, TEXT)])
    second = corpora.replace_attributes("birds", [FilterAttribute("year", DOC, INTEGER)])
    drain(corpora.engine)
    corpora.engine.ledger.structural_jobs.give_turns()
    drain(corpora.engine)
    for job in (first, second):
        assert job_of(corpora.engine, job).state is JobState.SUCCEEDED
    assert [each.name for each in corpora.attributes("birds")] == ["year"]
