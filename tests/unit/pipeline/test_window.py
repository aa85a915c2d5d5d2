"""What a window knows of its items: how each becomes chunks, and what that makes of its recipe."""

from __future__ import annotations

from uuid import uuid4

from indexmill.domain.bodies import StoredItem
from indexmill.domain.document import canonical_json
from indexmill.domain.job import JobKind
from indexmill.ledger.claims import Claim
from indexmill.ledger.collections import Collection
from indexmill.models.embedding_model import Deployment
from indexmill.pipeline.load import load_items
from indexmill.pipeline.window import Window
from tests.unit.pipeline.items import batch


def _window(kind: JobKind, *splittings: str | None) -> Window:
    of = batch(kind, items=len(splittings))
    collection = Collection(1, "shelf", "tokens-512-64", 1, 0, Deployment("tiny", "static"))
    window = Window(Claim(uuid4(), "lane", [of]), {of.collection: collection}, 0)
    named = [{"source": "data_source"} if each is None else {"splitting": each} for each in splittings]
    window.contents[of.key] = [StoredItem("d", None, canonical_json(each).encode()) for each in named]
    load_items(window)
    return window


def test_items_of_one_collection_may_be_split_differently_and_have_recipes_of_their_own() -> None:
    window = _window(JobKind.INDEXING, "fixed-64", "sections-64", None)
    assert [item.splitting for item in window.items] == ["fixed-64", "sections-64", None]
    recipes = [window.recipe_of(item) for item in window.items]
    assert len(set(recipes)) == 3
    assert recipes[0].endswith("/fixed-64")
    assert recipes[2] == window.collection_of(window.items[2]).recipe


def test_callers_cannot_say_how_their_items_are_split() -> None:
    for kind in (JobKind.UPSERTION, JobKind.INGESTION):
        window = _window(kind, "fixed-1", "nonsense")
        assert [item.splitting for item in window.items] == [None, None]
        assert {window.recipe_of(item) for item in window.items} == {window.collections[1].recipe}
