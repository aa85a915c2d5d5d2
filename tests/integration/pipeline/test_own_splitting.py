"""Items of indexing jobs are split as each says, in one collection; another splitting embeds again."""

from __future__ import annotations

from pathlib import Path

from indexmill.domain.job import Item, Job, JobKind
from tests.documents import COLLECTION, Library, chunks_of, finished, stored, text_item
from tests.draining import embedded_texts

WORDS = 5
#: Small sections, each with a heading.
TEXT = "\n\n".join(f"# Crane {number}\n\nIt stands in the fog." for number in range(6))


def _index(library: Library, *items: Item) -> Job:
    return finished(library, library._submit(JobKind.INDEXING, list(items), COLLECTION))


def _item(name: str, splitting: str) -> Item:
    return text_item(name, TEXT, file_name="page.md", splitting=splitting)


def _lengths(library: Library, name: str) -> list[int]:
    return [len(TEXT[start:end].split()) for start, end in chunks_of(library.engine, COLLECTION, name)]


def test_two_items_of_one_collection_are_split_differently(library: Library, tmp_path: Path) -> None:
    _index(library, _item("fixed", f"fixed-{WORDS}"), _item("sections", "sections-20"), _item("whole", "whole"))
    total = len(TEXT.split())
    assert _lengths(library, "fixed") == [WORDS] * (total // WORDS) + [total % WORDS] * (total % WORDS > 0)
    assert all(length <= 20 for length in _lengths(library, "sections"))
    assert all(TEXT[start] == "#" for start, _ in chunks_of(library.engine, COLLECTION, "sections"))
    assert _lengths(library, "whole") == [total]


def test_another_splitting_embeds_again_and_the_same_does_not(library: Library, tmp_path: Path) -> None:
    _index(library, _item("a", "fixed-5"), _item("b", "fixed-5"))
    embedded = len(embedded_texts(tmp_path))
    again = _index(library, _item("a", "fixed-5"), _item("b", "fixed-5"))
    assert (again.counters.unchanged, len(embedded_texts(tmp_path))) == (2, embedded)
    changed = _index(library, _item("a", "fixed-6"), _item("b", "fixed-5"))
    assert (changed.counters.indexed, changed.counters.unchanged) == (1, 1)
    assert len(embedded_texts(tmp_path)) > embedded
    assert {each["fingerprint"] == stored(library)["a"]["fingerprint"] for each in stored(library).values()} == {
        True,
        False,
    }


def test_an_item_of_another_front_door_cannot_say_how_it_is_split(library: Library) -> None:
    finished(library, library.ingest(_item("a", "fixed-5")))
    finished(library, library.upsert(Item("b", {"text": TEXT}, {"splitting": "fixed-5"})))
    assert max(_lengths(library, "a")) > WORDS
    assert max(_lengths(library, "b")) > WORDS
