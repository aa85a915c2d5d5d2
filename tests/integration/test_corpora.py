"""Corpora: documents in parts, found by what is said of them, removed by filters, reset and deleted as a whole."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID

import psycopg
import pytest

from indexmill.corpora import Corpora
from indexmill.dialects.list_jobs.paging import Paging
from indexmill.domain.corpus import Corpus, CorpusSize, DocumentPart, DocumentState, NewDocument, NewFile
from indexmill.domain.filter_attributes import AttributeLevel, AttributeType, FilterAttribute
from indexmill.domain.job import Item, Job, JobFilter, JobKind, Submission
from indexmill.domain.job_state import JobState
from indexmill.domain.pending import Pending
from indexmill.engine import Engine
from indexmill.errors import CollectionNotFound, Conflict, InvalidRequest, ItemError
from indexmill.ledger import collections as ledger_collections
from indexmill.ledger import pages
from indexmill.ledger.corpora import Corpora as LedgerCorpora
from indexmill.ledger.database import Connection, run_query
from indexmill.ledger.transitions import Transitions
from indexmill.security.keyring import Keyring
from indexmill.security.page_keys import PageKeys
from indexmill.vectors import chunk_tables, stored_documents
from indexmill.vectors.chunk_tables import chunk_table
from indexmill.vectors.pgvector_store import PgvectorStore
from indexmill.worker.sweeps import drop_generations
from tests.draining import (
    alter_query,
    assert_conserved,
    claimed,
    drain,
    execute,
    job_of,
    lose_answers,
    rows,
    run,
    waiting_for_locks,
)
from tests.running_service import wait_until

ATTRIBUTES = [
    FilterAttribute("year", AttributeLevel.DOCUMENT, AttributeType.INTEGER),
    FilterAttribute("topic", AttributeLevel.PART, AttributeType.TEXT),
]


@pytest.fixture
def corpora(engine: Engine) -> Corpora:
    made = Corpora(engine, "tiny", "tokens-8-0")
    made.create("birds", "Birds", "Of the marsh", ATTRIBUTES)
    return made


def document(name: str, year: int, *parts: tuple[str, str], is_core: bool = True) -> NewDocument:
    given = tuple(DocumentPart(text, {"topic": topic}) for text, topic in parts)
    return NewDocument(name, given, {"year": year}, is_core)


def put(corpora: Corpora, *documents: NewDocument) -> None:
    for each in documents:
        assert corpora.submit("birds", each).state is DocumentState.INDEXED
    drain(corpora.engine)
    assert_conserved(corpora.engine)


def test_parts_are_found_by_their_own_metadata(corpora: Corpora) -> None:
    put(
        corpora,
        document("cranes", 2020, ("Cranes dance in the fog.", "dance"), ("They eat frogs.", "food")),
        document("storks", 2024, ("Storks clatter on the roof.", "dance")),
    )
    hits = corpora.query("birds", "They eat frogs.", 5, metadata_filter="part.topic = 'food'")
    assert [(hit.document_id, hit.text, hit.part_metadata) for hit in hits] == [
        ("cranes", "They eat frogs.", {"topic": "food"})
    ]
    hits = corpora.query("birds", "roof", 5, metadata_filter="doc.year > 2021")
    assert {hit.document_id for hit in hits} == {"storks"}
    assert hits[0].document_metadata == {"year": 2024}
    with pytest.raises(InvalidRequest, match="color"):
        corpora.query("birds", "roof", 5, metadata_filter="doc.color = 'red'")


def test_a_document_comes_back_in_its_parts(corpora: Corpora) -> None:
    put(corpora, document("cranes", 2020, ("\n Cranes dance.\n\n", "dance"), ("They eat frogs.", "food")))
    found = corpora.document("birds", "cranes")
    assert found is not None
    assert found.metadata == {"year": 2020}
    assert [(part.text, part.metadata) for part in found.parts or ()] == [
        ("\n Cranes dance.\n\n", {"topic": "dance"}),
        ("They eat frogs.", {"topic": "food"}),
    ]
    assert corpora.document("birds", "storks") is None


def test_no_chunk_lies_in_two_parts(corpora: Corpora) -> None:
    long = " ".join(f"word{number}" for number in range(20))
    put(corpora, document("long", 2020, (long, "a"), ("short", "b"), is_core=False))
    hits = corpora.query("birds", "short", 50)
    assert [hit.text for hit in hits if hit.part_metadata == {"topic": "b"}] == ["short"]
    assert sum(hit.part_metadata == {"topic": "a"} for hit in hits) > 1


def test_the_same_document_again(corpora: Corpora) -> None:
    put(corpora, document("cranes", 2020, ("Cranes dance.", "dance")))
    again = corpora.submit("birds", document("cranes", 2020, ("Cranes dance.", "dance")))
    assert again.state is DocumentState.ALREADY_THERE
    other = corpora.submit("birds", document("cranes", 2021, ("Cranes dance.", "dance")))
    assert other.state is DocumentState.CONFLICT


def test_verbs_that_wait_hold_nobody_up(corpora: Corpora) -> None:
    """They answer before anything is done; what they say at the end, whoever waits for the job is told."""
    put_cranes = corpora.put("birds", document("cranes", 2020, ("Cranes dance.", "dance")), 5)
    put_nothing = corpora.put("birds", document("nothing", 2020, (" ", "dance")), 5)
    assert corpora.documents("birds", 10) == []
    drain(corpora.engine)
    state, stored = put_cranes.finish(_ended(corpora, put_cranes))
    assert (state, stored.id, len(stored.parts or ())) == (DocumentState.INDEXED, "cranes", 1)
    with pytest.raises(ItemError, match="text"):
        put_nothing.finish(_ended(corpora, put_nothing))
    again = corpora.put("birds", document("cranes", 2020, ("Cranes dance.", "dance")), 5)
    assert again.job is None
    assert again.finish(None)[0] is DocumentState.ALREADY_THERE
    for was_there in (True, False):
        removal = corpora.remove("birds", "cranes", 5)
        drain(corpora.engine)
        assert removal.finish(_ended(corpora, removal)) is was_there
    many = corpora.bulk_remove("birds", ["cranes", "storks"], None, 5)
    alone = corpora.bulk_remove("birds", ["cranes"], None, None)
    assert alone.job is None
    assert alone.finish(None).deleted is None
    drain(corpora.engine)
    removed = many.finish(_ended(corpora, many))
    assert (removed.deleted, removed.skipped) == (0, 2)
    assert corpora.engine.over([put_cranes.job.id, UUID(int=0)] if put_cranes.job else []) == [
        put_cranes.job.id if put_cranes.job else None, UUID(int=0)
    ]  # fmt: skip


def _ended(corpora: Corpora, begun: Pending[Any]) -> Job:
    assert begun.job is not None
    return job_of(corpora.engine, begun.job)


def test_metadata_change_without_a_job(corpora: Corpora) -> None:
    put(corpora, document("cranes", 2020, ("Cranes dance.", "dance")))
    jobs = corpora.engine.list_jobs(JobFilter(), limit=10).total
    changed = corpora.update_metadata("birds", "cranes", {"year": 1979, "big": 1e16})
    assert changed is not None
    assert changed.metadata == {"year": 1979, "big": 1e16}
    for metadata_filter, hits in (("doc.year = 1979", 1), ("doc.year = 2020", 0), ("part.topic = 'dance'", 1)):
        assert len(corpora.query("birds", "Cranes", 5, metadata_filter=metadata_filter)) == hits
    replaced = corpora.update_metadata("birds", "cranes", {"colour": None}, replaces=True)
    assert replaced is not None
    assert replaced.metadata == {"colour": None}
    assert corpora.query("birds", "Cranes", 5, metadata_filter="doc.year = 1979") == []
    assert corpora.update_metadata("birds", "storks", {}) is None
    assert corpora.update_metadata("birds", "a\0", {}) is None
    assert corpora.engine.list_jobs(JobFilter(), limit=10).total == jobs
    # It is another document now: by what is said of it.
    given = document("cranes", 2020, ("Cranes dance.", "dance"))
    assert corpora.submit("birds", given).state is DocumentState.CONFLICT
    assert corpora.submit("birds", replace(given, metadata={"colour": None})).state is DocumentState.ALREADY_THERE
    # Submitted anew, all of it is as it was given; nothing is embedded for that.
    job = corpora.replace("birds", given)
    drain(corpora.engine)
    assert job_of(corpora.engine, job).counters.payload_updated == 1
    assert len(corpora.query("birds", "Cranes", 5, metadata_filter="doc.year = 2020")) == 1


def test_changes_of_one_document_at_the_same_time_are_all_made(corpora: Corpora) -> None:
    put(corpora, document("cranes", 2020, ("Cranes dance.", "dance")))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda n: corpora.update_metadata("birds", "cranes", {f"n{n}": n}), range(24)))
    found = corpora.document("birds", "cranes")
    assert found is not None
    assert found.metadata == {"year": 2020} | {f"n{n}": n for n in range(24)}


def test_metadata_that_no_filter_would_find_are_refused(corpora: Corpora) -> None:
    wrong = NewDocument("cranes", (DocumentPart("Cranes.", {"topic": ["a", "b"]}),), {"year": "soon"}, is_core=True)
    for verb in (corpora.submit, corpora.replace):
        with pytest.raises(
            InvalidRequest, match=r"`doc.year`: expected a whole number, got 'soon'; part 1: `part.topic`"
        ):
            verb("birds", wrong)
    with pytest.raises(InvalidRequest, match=r"`doc\.year`: expected a whole number"):
        corpora.update_metadata("birds", "cranes", {"year": 1.5})
    with pytest.raises(InvalidRequest, match=r"`doc\.year`: expected a whole number"):
        corpora.put_file("birds", NewFile("a.txt", "reference", "hash", 1, None, {"year": 1.5}), 1)
    # As long as they fit, how they are written does not matter.
    put(corpora, NewDocument("cranes", (DocumentPart("Cranes.", {"topic": 5}),), {"year": "2020"}, is_core=True))
    assert len(corpora.query("birds", "Cranes", 5, metadata_filter="doc.year = 2020 AND part.topic = '5'")) == 1


def test_a_document_whose_job_is_cancelled_is_not_called_indexed(corpora: Corpora) -> None:
    begun = corpora.put("birds", document("cranes", 2020, ("Cranes dance.", "dance")), 20)
    assert begun.job is not None
    corpora.engine.cancel(begun.job)
    with pytest.raises(Conflict):
        begun.finish(_ended(corpora, begun))


def test_of_two_who_make_the_same_corpus_one_is_told_so(corpora: Corpora) -> None:
    def make(number: int) -> Corpus | Conflict:
        try:
            attribute = FilterAttribute(f"a{number}", AttributeLevel.DOCUMENT, AttributeType.TEXT)
            return corpora.create("same", f"Of {number}", attributes=[attribute])
        except Conflict as error:
            return error

    with ThreadPoolExecutor(4) as threads:
        (made,) = [each for each in threads.map(make, range(4)) if isinstance(each, Corpus)]
    assert corpora.get("same") == made
    assert made.name == f"Of {made.attributes[0].name[1]}"


def test_a_corpus_whose_making_was_not_answered_is_made(corpora: Corpora, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_answers(monkeypatch)
    assert corpora.create("others", "Others", "", ATTRIBUTES).name == "Others"
    with pytest.raises(Conflict):
        corpora.create("others", "Others")


def test_a_key_that_is_given_up_while_it_is_looked_for_is_free(
    corpora: Corpora, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(connection: Connection, wanted: str, **values: Any) -> Any:
        found = run_query(connection, wanted, **values)
        if wanted == "open_collection":
            monkeypatch.undo()
            corpora.delete("birds")
        return found

    monkeypatch.setattr(ledger_collections, "run_query", late)
    # As if it had come a moment after the first look.
    monkeypatch.setattr(ledger_collections.Collections, "find", lambda *_: None)
    assert corpora.create("birds", "Others").name == "Others"


def test_a_corpus_that_cannot_be_made_is_not_there(corpora: Corpora, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(type(corpora.engine.ledger.corpora), "save", broken)
    with pytest.raises(ConnectionError):
        corpora.create("half", "Half")
    monkeypatch.undo()
    assert corpora.create("half", "Half").key == "half"


def test_nothing_is_counted_but_where_it_is_asked_for(corpora: Corpora, monkeypatch: pytest.MonkeyPatch) -> None:
    put(corpora, document("cranes", 2020, ("Cranes dance.", "dance"), ("Frogs.", "food")))
    assert corpora.size("birds") == CorpusSize(1, 2)
    assert corpora.size("birds", characters=True) == CorpusSize(
        1, 2, len("Cranes dance.\n\nFrogs."), len('{"year": 2020}')
    )
    alter_query(monkeypatch, "corpus_size", "count(*)", "no_such_function()")
    with pytest.raises(psycopg.errors.UndefinedFunction):
        corpora.size("birds")
    assert corpora.get("birds").attributes == tuple(ATTRIBUTES)
    assert corpora.query("birds", "Cranes", 1)
    assert corpora.page(10)[-1].attributes == tuple(ATTRIBUTES)
    for number in (2**31, 2**32 - 1):
        with pytest.raises(CollectionNotFound):
            corpora.get(number)


def test_removal_by_filter(corpora: Corpora) -> None:
    put(corpora, *(document(f"d{year}", year, (f"Text of {year}.", "x")) for year in range(2000, 2010)))
    job = corpora.remove_where("birds", "doc.year < 2004")
    drain(corpora.engine)
    assert job_of(corpora.engine, job).counters.removed == 4
    assert [each.id for each in corpora.documents("birds", 100)] == [f"d{year}" for year in range(2004, 2010)]


def test_removal_is_not_by_two_sets_of_filter_attributes(corpora: Corpora, monkeypatch: pytest.MonkeyPatch) -> None:
    put(corpora, *(document(f"d{year}", year, (f"Text of {year}.", "x")) for year in range(2000, 2010)))
    monkeypatch.setattr("indexmill.corpora.MAX_PAGE", 2)
    engine = corpora.engine
    read, pages = engine.vectors.documents, itertools.count()

    def replaced_meanwhile(*wanted: Any) -> Any:
        if next(pages) == 2:
            corpora.replace_attributes("birds", [replace(ATTRIBUTES[0], type=AttributeType.TEXT)])
            drain(engine)
        return read(*wanted)

    monkeypatch.setattr(engine.vectors, "documents", replaced_meanwhile)
    with pytest.raises(Conflict, match="send the request again"):
        corpora.remove_where("birds", "doc.year IS NOT NULL")
    drain(engine)
    assert len(corpora.documents("birds", 100)) == 10
    assert next(pages) > 2


def test_a_reset_wins_over_what_runs(corpora: Corpora) -> None:
    put(corpora, document("cranes", 2020, ("Cranes dance.", "dance")))
    job = corpora.submit("birds", document("storks", 2021, ("Storks.", "x"))).job
    held = claimed(corpora.engine)
    corpora.reset("birds")
    run(corpora.engine, held)
    assert corpora.documents("birds", 10) == []
    assert corpora.query("birds", "Storks.", 5) == []
    assert job is not None
    assert job_of(corpora.engine, job).state is JobState.CANCELLED
    put(corpora, document("cranes", 2022, ("Cranes dance.", "dance")))
    assert [
        hit.document_id for hit in corpora.query("birds", "Cranes dance.", 5, metadata_filter="doc.year = 2022")
    ] == ["cranes"]


def test_a_reset_cancels_every_job_once_however_many_there_are(
    corpora: Corpora, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of jobs at a time; one that cannot be ended is not tried for ever."""
    birds = [document(f"bird{number}", 2020, ("A bird.", "x")) for number in range(5)]
    jobs = [job for bird in birds if (job := corpora.submit("birds", bird).job) is not None]
    close, tried = Transitions.close, Counter[UUID]()

    def closing(self: Transitions, connection: Connection, job_id: UUID, **arguments: Any) -> Any:
        tried[job_id] += 1
        if job_id == jobs[2].id:
            raise psycopg.errors.RaiseException("made by a test")
        return close(self, connection, job_id, **arguments)

    monkeypatch.setattr(pages, "_JOBS_A_PAGE", 2)
    monkeypatch.setattr(Transitions, "close", closing)
    corpora.reset("birds")
    assert set(tried.values()) == {1}
    states = [job_of(corpora.engine, each).state for each in jobs]
    assert states == [JobState.QUEUED if number == 2 else JobState.CANCELLED for number in range(5)]


def test_a_reset_waits_for_no_search_and_no_index(corpora: Corpora, database_url: str) -> None:
    """Whoever reads the chunks, or builds an index of them, goes on with what there was."""
    put(corpora, document("cranes", 2020, ("Cranes dance.", "dance")))
    table = chunk_table(corpora.engine.collection("birds"))
    with psycopg.connect(database_url) as reader, ThreadPoolExecutor(1) as others:
        # As strong as what an index is built under.
        reader.execute(f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE")
        others.submit(corpora.reset, "birds").result(timeout=60)
        assert corpora.query("birds", "Cranes dance.", 5) == []
        assert reader.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,)  # noqa: S608 - our own table
    put(corpora, document("storks", 2021, ("Storks clatter.", "dance")))
    assert [hit.document_id for hit in corpora.query("birds", "Storks clatter.", 5)] == ["storks"]
    assert chunk_tables.drop_retired(corpora.engine.ledger.database, 0) == [table]


def test_a_deleted_corpus_is_gone_and_its_key_free(corpora: Corpora) -> None:
    put(corpora, document("cranes", 2020, ("Cranes dance.", "dance")))
    number = corpora.get("birds").number
    ended = corpora.engine.list_jobs(JobFilter(), limit=1).jobs[0]
    cancelled = corpora.replace("birds", document("storks", 2021, ("Storks.", "x")))
    corpora.delete(number)
    cancelled = job_of(corpora.engine, cancelled)
    for reference in ("birds", number):
        with pytest.raises(CollectionNotFound):
            corpora.get(reference)
    for again in (corpora.engine.retry, corpora.engine.rerun):
        with pytest.raises(Conflict, match="has been deleted"):
            again(ended if again == corpora.engine.rerun else cancelled)
    assert corpora.create("birds", "Birds").number != number
    assert corpora.documents("birds", 10) == []


def test_a_deleted_corpus_leaves_no_tables_and_its_jobs_do_not_run_again(corpora: Corpora) -> None:
    put(corpora, document("cranes", 2020, ("Cranes dance.", "dance")))
    job = corpora.submit("birds", document("storks", 2021, ("Storks.", "x"))).job
    assert job is not None
    held = claimed(corpora.engine)
    number = corpora.get("birds").number
    corpora.delete("birds")
    sweep = drop_generations.sweep(corpora.engine.ledger, 0)
    sweep.run()
    assert len(tables_of(corpora, number)) == 3, "whoever reads it now goes on"
    execute(corpora.engine, "UPDATE collection SET deleted_at = deleted_at - interval '2 minutes'")
    sweep.run()
    assert tables_of(corpora, number) == []
    run(corpora.engine, held)
    with pytest.raises(Conflict, match="its collection has been deleted"):
        corpora.engine.retry(job_of(corpora.engine, job))


@pytest.mark.parametrize("is_seen", [True, False])
def test_what_comes_in_at_the_moment_of_the_deletion_is_not_kept(
    corpora: Corpora, monkeypatch: pytest.MonkeyPatch, *, is_seen: bool
) -> None:
    """Whether the deletion sees the job that came in at its end, or the job was committed after its look."""
    engine, came = corpora.engine, []
    delete = type(engine.ledger.corpora).delete

    def deleted(*given: Any) -> bool:
        came.append(corpora.replace("birds", document("late", 2020, ("A late crane.", "dance"))))
        return delete(*given)

    monkeypatch.setattr(type(engine.ledger.corpora), "delete", deleted)
    if not is_seen:
        monkeypatch.setattr(type(engine.ledger.corpora), "open_jobs", lambda *_: [])
    corpora.delete("birds")
    if not is_seen:
        # Its tables may be gone when its worker comes.
        execute(engine, "UPDATE collection SET deleted_at = deleted_at - interval '2 minutes'")
        drop_generations.sweep(engine.ledger, 0).run()
    drain(engine)
    ended = job_of(engine, came[0])
    assert (ended.state, ended.counters.indexed) == (JobState.CANCELLED, 0)
    assert is_seen == (ended.detail == "Its corpus was deleted")
    assert rows(engine, "SELECT id FROM document") == []
    assert_conserved(engine)


def test_what_was_asked_of_a_corpus_never_goes_to_another_one_of_its_key(
    corpora: Corpora, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is deleted, and made anew under its key, between the look at it and what was asked."""
    old = corpora.get("birds")
    put(corpora, document("cranes", 2020, ("Cranes dance.", "dance")))
    corpora.delete("birds")
    new = corpora.create("birds", "Birds", attributes=ATTRIBUTES)
    put(corpora, document("cranes", 2024, ("Other cranes.", "food")))
    monkeypatch.setattr(type(corpora.engine.ledger.corpora), "find", lambda *_: old)
    asked: list[Callable[[], object]] = [
        lambda: corpora.query(old.number, "cranes", 5),
        lambda: corpora.documents(old.number, 5),
        lambda: corpora.document(old.number, "cranes"),
        lambda: corpora.submit(old.number, document("storks", 2021, ("Storks.", "x"))),
        lambda: corpora.replace(old.number, document("storks", 2021, ("Storks.", "x"))),
        lambda: corpora.remove_all(old.number, ["cranes"]),
        lambda: corpora.remove_where(old.number, "doc.year > 1"),
        lambda: corpora.replace_attributes(old.number, ()),
        lambda: corpora.rebuild(old.number),
    ]
    for ask in asked:
        with pytest.raises((CollectionNotFound, Conflict)):
            ask()
    monkeypatch.undo()
    drain(corpora.engine)
    assert [each.id for each in corpora.documents(new.number, 5)] == ["cranes"]
    assert list(corpora.attributes(new.number)) == ATTRIBUTES


def tables_of(corpora: Corpora, number: int) -> list[str]:
    """Of chunks, and of attributes."""
    sets = [row["number"] for row in rows(corpora.engine, "SELECT number FROM attribute_set")]
    found = rows(corpora.engine, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE ANY (%s)",
                 [f"chunk_{number}_%", *(f"%_attribute_{each}" for each in sets)])  # fmt: skip
    return [row["relname"] for row in found]


def test_keys_and_pages(corpora: Corpora) -> None:
    with pytest.raises(Conflict):
        corpora.create("birds", "Birds")
    second = corpora.create(None, "Birds & more")
    third = corpora.create(None, "Birds & more")
    assert (second.key, third.key[: len("Birds-more-")]) == ("Birds-more", "Birds-more-")
    updated = corpora.update("birds", description="Of the fen", details={"owner": "me"})
    assert (updated.name, updated.description, updated.details) == ("Birds", "Of the fen", {"owner": "me"})
    pages = []
    after = 0
    while page := corpora.page(2, after, "^Birds"):
        pages += [each.number for each in page]
        after = page[-1].number
    assert pages == sorted({corpora.get("birds").number, second.number, third.number})
    with pytest.raises(InvalidRequest, match="regular expression"):
        corpora.page(2, 0, "(")


def test_what_changed_a_corpus_of_one_document_says_so(corpora: Corpora) -> None:
    put(corpora, document("cranes", 2020, ("Cranes dance.", "dance")))
    replaced = corpora.replace_attributes("birds", ATTRIBUTES)
    drain(corpora.engine)
    rebuilt = corpora.rebuild("birds")
    drain(corpora.engine)
    for job, said in ((replaced, "attributes of 1 document"), (rebuilt, "holds 1 chunk; search is exact")):
        assert (job_of(corpora.engine, job).result or {})["sentence"].endswith(said)


def test_several_corpora_are_found_by_their_numbers_at_once(corpora: Corpora, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [corpora.get("birds").number, corpora.create("fish", "Fish").number]
    read, reads = corpora.engine.ledger.database.repeat, itertools.count()

    def counted(*work: Any) -> Any:
        next(reads)
        return read(*work)

    monkeypatch.setattr(corpora.engine.ledger.database, "repeat", counted)
    found = corpora.several([*numbers, numbers[0], 999_999, 2**33, -(2**33)])
    assert {number: each.key for number, each in found.items()} == dict(zip(numbers, ("birds", "fish"), strict=True))
    assert next(reads) == 1
    assert corpora.several([]) == {}
    assert corpora.several([2**33]) == {}


@pytest.mark.parametrize(("before", "after"), [(1, 5), (1, 20_000), (15_000, 5_000)])
def test_items_that_come_while_their_corpus_is_deleted_are_not_kept(corpora: Corpora, before: int, after: int) -> None:
    """Few items, which are stored at once; many, before the first of them are staged, and when some of them are."""
    number = corpora.get("birds").number

    def items() -> Iterator[Item]:
        yield from (Item(f"early {place}", {"text": f"Early bird {place}. {'x' * 100}"}) for place in range(before))
        corpora.delete("birds")
        yield from (Item(f"late {place}", {"text": f"Late bird {place}. {'x' * 100}"}) for place in range(after))

    with pytest.raises(Conflict, match="was deleted while the items came"):
        corpora.engine.submit(Submission(JobKind.UPSERTION, "tiny", items(), collection="birds"))
    drain(corpora.engine)
    assert not any(each["collection"] == number for each in rows(corpora.engine, "SELECT collection FROM document"))
    assert rows(corpora.engine, "SELECT id FROM job WHERE finished_at IS NULL") == []


def test_what_is_submitted_while_its_corpus_is_being_deleted_is_not_written(
    corpora: Corpora, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was admitted a moment before, and stored a moment after."""
    put(corpora, document("d", 1, ("one", "eng")))
    clear = PgvectorStore.clear
    submitted: list[Future[Job]] = []

    with ThreadPoolExecutor(1) as other:

        def late(*arguments: Any) -> None:
            clear(*arguments)
            submitted.append(other.submit(corpora.replace, "birds", document("late", 2, ("two", "eng"))))
            wait_until(lambda: waiting_for_locks(corpora.engine) > 0, 10, "the submission")

        monkeypatch.setattr(PgvectorStore, "clear", late)
        # Nobody is there any more to look for jobs, and to end them.
        monkeypatch.setattr(LedgerCorpora, "open_jobs", lambda *_: [])
        corpora.delete("birds")
        job = submitted[0].result(timeout=10)
    drain(corpora.engine)
    assert job_of(corpora.engine, job).counters.superseded == 1
    assert rows(corpora.engine, "SELECT id FROM document") == []
    assert_conserved(corpora.engine)


def test_a_page_that_is_cut_by_its_bytes_is_not_the_last(corpora: Corpora, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        put(corpora, document(f"cranes {number}", 2020, (f"Cranes dance {number}.", "dance")))
    monkeypatch.setattr(stored_documents, "_PAGE_BYTES", 1)
    paging = Paging(PageKeys(Keyring((b"k" * 32,))), "documents")
    found: list[str] = []
    key: str | None = None
    for _ in range(20):
        shown, key = paging.page(
            1,
            key,
            {"limit": 5},
            lambda said: corpora.documents("birds", said["limit"], said["after"]),
            lambda last: last.id,
        )
        found += (each.id for each in shown)
        if not key:
            break
    assert found == [f"cranes {number}" for number in range(7)]
