"""An object's mean vector is that of its own parts, whatever other objects are embedded in the same call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from indexmill.engine import Engine
from indexmill.models.static import StaticModel
from indexmill.settings import Settings
from tests.documents import COLLECTION, Library, chunks_of, done, text_item
from tests.draining import rows

Vector = np.ndarray[Any, Any]
#: One to four parts each, some of which several objects have.
SENTENCES = [
    "Cranes stand in the morning fog.",
    "The interest rate rose by half a percent.",
    "Bake the bread for forty minutes.",
    "A neural net has learned to read.",
]
TEXTS = {f"object {number}": "\n\n".join((SENTENCES * 2)[number : number + 1 + number % 4]) for number in range(4)}


@pytest.fixture
def words(engine: Engine, settings: Settings) -> Iterator[Library]:
    """Of the default model, whose vectors say what a text is about."""
    engine.deploy("words", "static", {"dimension": 64})
    made = Library(engine, settings, "words")
    yield made
    made.close()


def stored_parts(engine: Engine, name: str) -> Vector:
    """The vectors of the object's parts, in their order."""
    collection = engine.collection(COLLECTION)
    table = f"chunk_{collection.id}_{collection.generation}"
    found = rows(
        engine,
        f"SELECT c.embedding::text AS vector FROM {table} c JOIN document d ON d.key = c.document "  # noqa: S608
        "WHERE d.id = %s ORDER BY c.ordinal",
        name,
    )
    return np.array([json.loads(row["vector"]) for row in found])


def mean(vectors: Vector) -> Vector:
    """Of all directions, as parts are compared."""
    return np.asarray((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).mean(axis=0))


def test_an_object_s_mean_vector_is_the_mean_of_its_own_parts(words: Library) -> None:
    counters = done(words, *(text_item(name, text) for name, text in TEXTS.items()))
    assert counters.indexed == len(TEXTS)
    means, sizes = {}, []
    for name, text in TEXTS.items():
        parts = [text[start:end] for start, end in chunks_of(words.engine, COLLECTION, name)]
        # Each by itself, by a model that has seen nothing else.
        alone = np.vstack([StaticModel(dimension=64).embed([part]).vectors[0] for part in parts])
        means[name] = mean(stored_parts(words.engine, name))
        sizes.append(len(parts))
        np.testing.assert_allclose(means[name], mean(alone), atol=1e-5)
    assert len(set(sizes)) > 2, "objects of as many parts each would hide whose part is whose"
    everything = mean(np.vstack([stored_parts(words.engine, name) for name in TEXTS]))
    assert all(np.abs(each - everything).max() > 0.01 for each in means.values()), "the means are no one's own"


def test_a_replaced_object_s_mean_holds_nothing_of_its_parts_before(words: Library) -> None:
    done(words, *(text_item(name, text) for name, text in TEXTS.items()))
    done(words, text_item("object 3", SENTENCES[0]), text_item("object 0", TEXTS["object 3"]))
    for name, text in (("object 3", SENTENCES[0]), ("object 0", TEXTS["object 3"])):
        parts = [text[start:end] for start, end in chunks_of(words.engine, COLLECTION, name)]
        alone = np.vstack([StaticModel(dimension=64).embed([part]).vectors[0] for part in parts])
        np.testing.assert_allclose(mean(stored_parts(words.engine, name)), mean(alone), atol=1e-5)
