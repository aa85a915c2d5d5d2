"""Making documents of corpora: of those who come at the same time with one id, one makes it, and each is told so."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from indexmill.corpora import Corpora
from indexmill.domain.corpus import CorpusDocument, DocumentPart, DocumentState, NewDocument, NewFile
from indexmill.domain.job import JobFilter, Submitted
from indexmill.domain.pending import Pending
from indexmill.errors import Conflict, InvalidRequest, ServiceError
from indexmill.ledger import database
from indexmill.new_documents import WantedDocument, submission_of
from tests.draining import alter_query, assert_conserved, claim_next, claimed, drain, job_of, once, run

WRITERS = 6


@pytest.fixture
def corpora(engine: Any) -> Corpora:
    made = Corpora(engine, "tiny", "tokens-8-0")
    made.create("birds", "Birds")
    return made


def document(text: str, name: str = "cranes") -> NewDocument:
    return NewDocument(name, (DocumentPart(text),), is_core=True)


def outcome(corpora: Corpora, begun: Pending[tuple[DocumentState, CorpusDocument]]) -> tuple[DocumentState, str]:
    """What became of it, and the text that is stored."""
    ended = None if begun.job is None else job_of(corpora.engine, begun.job)
    assert ended is None or ended.is_terminal
    state, found = begun.finish(ended)
    return state, (found.parts or ())[0].text


def jobs(corpora: Corpora) -> int:
    return corpora.engine.list_jobs(JobFilter(), limit=1).total


def test_of_many_who_make_different_documents_of_one_id_one_does(corpora: Corpora) -> None:
    """While a worker runs: some find the first one stored, others find it being made, others come with it."""
    ids = [f"d{n}" for n in range(20)]
    together, is_over = threading.Barrier(WRITERS), threading.Event()

    def write(number: int) -> list[Pending[tuple[DocumentState, CorpusDocument]]]:
        begun = []
        for name in ids:
            together.wait(60)
            begun.append(corpora.put("birds", document(f"{name} of {number}", name), 20))
        return begun

    def work() -> None:
        while not is_over.is_set():
            drain(corpora.engine)

    with ThreadPoolExecutor(WRITERS + 1) as threads:
        worker = threads.submit(work)
        try:
            by_writer = list(threads.map(write, range(WRITERS)))
        finally:
            is_over.set()
        worker.result()
    drain(corpora.engine)
    assert_conserved(corpora.engine)
    for name, begun in zip(ids, zip(*by_writer, strict=True), strict=True):
        outcomes = [outcome(corpora, each) for each in begun]
        states = [state for state, _ in outcomes]
        assert sorted(states) == [DocumentState.CONFLICT] * (WRITERS - 1) + [DocumentState.INDEXED]
        winner = states.index(DocumentState.INDEXED)
        assert {text for _, text in outcomes} == {f"{name} of {winner}"}
    assert jobs(corpora) == len(ids)


def test_of_those_who_make_the_same_document_the_others_are_told_that_it_is_there(corpora: Corpora) -> None:
    with ThreadPoolExecutor(WRITERS) as threads:
        begun = list(threads.map(lambda _: corpora.put("birds", document("Cranes dance."), 20), range(WRITERS)))
    drain(corpora.engine)
    states = sorted(outcome(corpora, each)[0] for each in begun)
    assert states == [DocumentState.ALREADY_THERE] * (WRITERS - 1) + [DocumentState.INDEXED]
    assert jobs(corpora) == 1


def test_one_that_is_stored_between_the_look_and_the_job_is_not_overwritten(
    corpora: Corpora, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = corpora.engine.vectors.documents

    def other() -> None:
        corpora.submit("birds", document("The first."))
        drain(corpora.engine)

    come = once(other)

    def slow(*wanted: Any) -> Any:
        found = look(*wanted)
        come()
        return found

    monkeypatch.setattr(corpora.engine.vectors, "documents", slow)
    begun = corpora.put("birds", document("The second."), 20)
    assert begun.job is None
    assert outcome(corpora, begun) == (DocumentState.CONFLICT, "The first.")


@pytest.mark.parametrize("name", [".", ".."])
def test_an_id_that_a_url_cannot_hold_is_refused(corpora: Corpora, name: str) -> None:
    """`DELETE .../documents/..`, as clients send it, deletes the corpus."""
    with pytest.raises(InvalidRequest, match="expected one that can stand in a URL"):
        corpora.put("birds", document("Cranes dance.", name), 5)
    assert jobs(corpora) == 0


def test_files_too_are_made_by_one(corpora: Corpora) -> None:
    first = corpora.put_file("birds", NewFile("a.txt", "sha256:" + "0" * 64, "0" * 64, 1), 20)
    other = corpora.put("birds", document("No file.", "a.txt"), 20)
    assert first.job is not None
    assert other.job is not None
    assert other.job.id == first.job.id


def test_where_the_first_comes_to_nothing_the_second_may_send_it_again(corpora: Corpora) -> None:
    first = corpora.put("birds", document("The first."), 20)
    second = corpora.put("birds", document("The second."), 20)
    assert first.job is not None
    assert second.job is not None
    assert second.job.id == first.job.id
    ended = corpora.engine.cancel(first.job)
    with pytest.raises(Conflict, match="send it again"):
        second.finish(ended)
    again = corpora.put("birds", document("The second."), 20)
    drain(corpora.engine)
    assert outcome(corpora, again) == (DocumentState.INDEXED, "The second.")


def test_an_ingestion_that_a_delete_has_overtaken_is_in_nobodys_way(corpora: Corpora) -> None:
    corpora.submit("birds", document("The first."))
    held = claimed(corpora.engine)
    corpora.remove("birds", "cranes", 20)
    deletion = claim_next(corpora.engine)
    assert deletion is not None
    run(corpora.engine, deletion)
    begun = corpora.put("birds", document("The second."), 20)
    assert begun.job is not None
    drain(corpora.engine)
    run(corpora.engine, held)
    assert outcome(corpora, begun) == (DocumentState.INDEXED, "The second.")


def test_nobody_waits_for_ever_for_whoever_holds_the_lock_of_a_document(
    corpora: Corpora, monkeypatch: pytest.MonkeyPatch
) -> None:
    alter_query(monkeypatch, "guard_commit", "'5s'", "'20ms'")
    monkeypatch.setattr(database, "_REPEATS", 2)
    with corpora.engine.ledger.database.transaction() as stopped:
        database.run_query(stopped, "lock_document", tenant=1, collection="birds", number=None, document="cranes")
        with pytest.raises(ServiceError):
            corpora.submit("birds", document("Cranes dance."))
        assert corpora.submit("birds", document("Storks clatter.", "storks")).state is DocumentState.INDEXED
    assert corpora.submit("birds", document("Cranes dance.")).state is DocumentState.INDEXED


def test_a_submission_whose_answer_was_lost_is_not_in_its_own_way(
    corpora: Corpora, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = uuid4()
    monkeypatch.setattr("indexmill.ledger.submissions.new_job_id", lambda: job_id)
    submission = submission_of(corpora.get("birds"), WantedDocument.of_parts(document("Cranes dance.")))

    def submit() -> Submitted:
        """As the same try, made again."""
        submitted = corpora.engine.submit_new(submission)
        assert submitted is not None
        assert (submitted.job.id, submitted.created) == (job_id, True)
        return submitted

    submit()
    corpora.engine.cancel(submit().job)
    assert submit().job.is_terminal
    assert jobs(corpora) == 1
