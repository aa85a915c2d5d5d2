"""ModelCache: one load a recipe, checks of what was loaded, the least recently used goes first."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest

from indexmill.errors import InvalidRequest, ModelError
from indexmill.models import model_cache
from indexmill.models.embedding_model import Deployment, Embeddings
from indexmill.models.model_cache import ModelCache


def deployment(name: str = "m", dimension: int = 0, **settings: Any) -> Deployment:
    return Deployment(name, "deterministic", settings, dimension)


class BrokenModel:
    dimension = 2

    def __init__(self, vectors: Any) -> None:
        self.vectors = np.array(vectors, dtype=np.float32)

    def embed(self, texts: list[str]) -> Embeddings:
        return Embeddings(self.vectors, np.ones(len(texts), dtype=np.uint32))


def test_a_model_is_loaded_once_a_recipe() -> None:
    cache = ModelCache()
    assert cache.get(deployment()) is cache.get(deployment())
    assert cache.get(deployment(dimension=8)) is cache.get(deployment())
    assert cache.get(deployment(delay_ms_per_text=1)) is not cache.get(deployment())


def test_threads_that_ask_at_once_load_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []

    def slow(wanted: Deployment) -> BrokenModel:
        loads.append(wanted.id)
        time.sleep(0.05)
        return BrokenModel([[1, 0]])

    monkeypatch.setattr(model_cache, "load_model", slow)
    cache = ModelCache()
    threads = [threading.Thread(target=cache.get, args=(deployment(),)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert loads == ["m"]


def test_the_least_recently_used_goes_first() -> None:
    cache = ModelCache(capacity=2)
    first, second = cache.get(deployment("a")), cache.get(deployment("b"))
    assert cache.get(deployment("a")) is first
    cache.get(deployment("c"))
    assert cache.get(deployment("a")) is first
    assert cache.get(deployment("b")) is not second


def test_a_failed_load_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ModelCache()
    answers: list[Exception | BrokenModel] = [ModelError("missing"), BrokenModel([[1, 0]])]

    def load(_: Deployment) -> BrokenModel:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(model_cache, "load_model", load)
    with pytest.raises(ModelError):
        cache.get(deployment())
    assert cache.get(deployment()).dimension == 2


def test_warming_returns_the_dimension() -> None:
    assert ModelCache().warm(Deployment("m", "deterministic", {"dimension": 5})) == 5
    assert ModelCache().warm(Deployment("s", "static")) == 256


@pytest.mark.parametrize("vectors", [[[1, 2, 3]], [[float("nan"), 0]], [[float("inf"), 0]], [[0, 0]], [[1, 0], [0, 1]]])
def test_warming_refuses_unusable_vectors(monkeypatch: pytest.MonkeyPatch, vectors: Any) -> None:
    monkeypatch.setattr(model_cache, "load_model", lambda _: BrokenModel(vectors))
    with pytest.raises(ModelError, match="expected"):
        ModelCache().warm(deployment())


def test_another_dimension_than_the_deployed_one_is_refused() -> None:
    with pytest.raises(ModelError, match="expected 16 dimensions"):
        ModelCache().get(deployment(dimension=16))


def test_unknown_providers_and_settings_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="provider: expected one of"):
        ModelCache().warm(Deployment("m", "nonesuch"))
    with pytest.raises(InvalidRequest, match="does not take"):
        ModelCache().warm(deployment(colour="red"))


def test_a_query_is_embedded() -> None:
    vector = ModelCache().embed_query(deployment(), "a question")
    assert len(vector) == 8
    assert all(type(number) is float for number in vector)


def test_a_query_with_nothing_to_embed_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="text: expected"):
        ModelCache().embed_query(deployment(), "  ")
    with pytest.raises(InvalidRequest, match="text: expected"):
        ModelCache().embed_query(deployment(fail_on=["bad"]), "bad")


# Several texts at once


def test_texts_get_unit_vectors_and_tokens_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_cache, "_CHARACTERS_A_CALL", 500)
    cache = ModelCache()
    texts = [f"{'word ' * (number * 37 % 50)}{number}" for number in range(150)]
    together = cache.embed_texts(deployment(dimension=8), texts)
    assert together.vectors.shape == (150, 8)
    assert np.linalg.norm(together.vectors, axis=1) == pytest.approx(np.ones(150), abs=1e-6)
    for text, vector, tokens in zip(texts, together.vectors, together.tokens, strict=True):
        alone = cache.embed_texts(deployment(dimension=8), [text])
        assert (alone.vectors[0].tolist(), alone.tokens[0]) == (vector.tolist(), tokens)


def test_calls_are_bounded_in_texts_and_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_cache, "_CHARACTERS_A_CALL", 100)
    calls: list[list[str]] = []

    class Watched:
        dimension = 1

        def embed(self, texts: list[str]) -> Embeddings:
            calls.append(texts)
            return Embeddings(np.ones((len(texts), 1), dtype=np.float32), np.ones(len(texts), dtype=np.uint32))

    monkeypatch.setattr(model_cache, "load_model", lambda _: Watched())
    ModelCache().embed_texts(deployment(), ["x" * 60, *(["y"] * 70), "z" * 300, "w" * 50])
    assert [len(call) for call in calls] == [64, 7, 1, 1]
    assert all(len(call) == 1 or sum(map(len, call)) <= 100 for call in calls)


def test_the_text_that_the_model_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Picky:
        dimension = 1

        def embed(self, texts: list[str]) -> Embeddings:
            if "bad" in texts:
                raise ValueError("no")
            vectors = np.array([[0 if text == "empty" else 1] for text in texts], dtype=np.float32)
            return Embeddings(vectors, np.ones(len(texts), dtype=np.uint32))

    monkeypatch.setattr(model_cache, "load_model", lambda _: Picky())
    with pytest.raises(InvalidRequest, match=r"text 2: .* it refuses"):
        ModelCache().embed_texts(deployment(), ["good", "also good", "bad"])
    with pytest.raises(InvalidRequest, match=r"text 1: .* without any token"):
        ModelCache().embed_texts(deployment(), ["good", "empty", "x"])


def test_a_wrong_number_of_vectors_is_the_models_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_cache, "load_model", lambda _: BrokenModel([[1, 0]]))
    with pytest.raises(ModelError, match="expected vectors of shape"):
        ModelCache().embed_texts(deployment(), ["one", "two"])
