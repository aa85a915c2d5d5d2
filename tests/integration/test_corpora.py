"""Corpora: documents in parts, found by what is said of them, removed by filters, reset and deleted as a whole."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from indexmill.corpora import Corpora
from indexmill.domain.corpus import DocumentPart, DocumentState, NewDocument
from indexmill.domain.filter_attributes import AttributeLevel, AttributeType, FilterAttribute
from indexmill.domain.job import Job
from indexmill.domain.job_state import JobState
from indexmill.domain.pending import Pending
from indexmill.engine import Engine
from indexmill.errors import CollectionNotFound, Conflict, InvalidRequest, ItemError
from indexmill.worker.sweeps import drop_generations
from tests.draining import assert_conserved, claimed, drain, execute, job_of, rows, run

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
        assert corpora.submit("birds", each)[0] is DocumentState.INDEXED
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
    put(corpora, document("cranes", 2020, ("Cranes dance.", "dance"), ("They eat frogs.", "food")))
    found = corpora.document("birds", "cranes")
    assert found is not None
    assert found.metadata == {"year": 2020}
    assert [(part.text, part.metadata) for part in found.parts or ()] == [
        ("Cranes dance.", {"topic": "dance"}),
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
    assert (
        corpora.submit("birds", document("cranes", 2020, ("Cranes dance.", "dance")))[0] is DocumentState.ALREADY_THERE
    )
    assert corpora.submit("birds", document("cranes", 2021, ("Cranes dance.", "dance")))[0] is DocumentState.CONFLICT


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
        removal = corpora.remove("birds", "cranes")
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


def test_removal_by_filter(corpora: Corpora) -> None:
    put(corpora, *(document(f"d{year}", year, (f"Text of {year}.", "x")) for year in range(2000, 2010)))
    job = corpora.remove_where("birds", "doc.year < 2004")
    drain(corpora.engine)
    assert job_of(corpora.engine, job).counters.removed == 4
    assert [each.id for each in corpora.documents("birds", 100)] == [f"d{year}" for year in range(2004, 2010)]


def test_a_reset_wins_over_what_runs(corpora: Corpora) -> None:
    put(corpora, document("cranes", 2020, ("Cranes dance.", "dance")))
    _, job = corpora.submit("birds", document("storks", 2021, ("Storks.", "x")))
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


def test_a_deleted_corpus_is_gone_and_its_key_free(corpora: Corpora) -> None:
    put(corpora, document("cranes", 2020, ("Cranes dance.", "dance")))
    number = corpora.get("birds").number
    corpora.delete(number)
    for reference in ("birds", number):
        with pytest.raises(CollectionNotFound):
            corpora.get(reference)
    assert corpora.create("birds", "Birds").number != number
    assert corpora.documents("birds", 10) == []


def test_a_deleted_corpus_leaves_no_tables_and_its_jobs_do_not_run_again(corpora: Corpora) -> None:
    put(corpora, document("cranes", 2020, ("Cranes dance.", "dance")))
    _, job = corpora.submit("birds", document("storks", 2021, ("Storks.", "x")))
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
    with pytest.raises(Conflict, match="its collection was deleted"):
        corpora.engine.retry(job_of(corpora.engine, job))


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
