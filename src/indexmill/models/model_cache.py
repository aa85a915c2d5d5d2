"""The models that this process has loaded: at most so many, the least recently used one goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from indexmill.errors import InvalidRequest, ModelError
from indexmill.models.embedding_model import Deployment, EmbeddingModel, Embeddings, load_model
from indexmill.models.unit_vectors import normalised

__all__ = ["ModelCache"]

#: Sorted by length, so that padding within a call is small.
_TEXTS_A_CALL = 64
_CHARACTERS_A_CALL = 2_000_000
_PROBE = "A probe: does this model embed?"


@dataclass
class _Slot:
    """A model that is loaded or being loaded; its lock makes the second caller wait instead of loading again."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    model: EmbeddingModel | None = None


class ModelCache:
    """Loaded models by recipe; every method may be called from several threads."""

    def __init__(self, capacity: int = 4) -> None:
        if capacity < 1:
            raise ValueError(f"capacity: expected at least 1, got {capacity}")
        self._capacity = capacity
        self._lock = threading.Lock()
        self._slots: OrderedDict[str, _Slot] = OrderedDict()

    def get(self, deployment: Deployment) -> EmbeddingModel:
        """The loaded model.

        Raises:
            InvalidRequest: no such provider, or settings that it does not take.
            ModelError: it cannot be loaded, or its dimension is not the deployed one.
        """
        slot = self._slot(deployment.recipe)
        with slot.lock:
            if slot.model is None:
                slot.model = self._load(deployment)
            return slot.model

    def warm(self, deployment: Deployment) -> int:
        """Load the model and embed a probe; returns its dimension.

        Raises:
            InvalidRequest: as `get`.
            ModelError: as `get`, or the probe's vector is not what a search could use.
        """
        model = self.get(deployment)
        vectors = _embed(model, deployment, _PROBE).vectors
        if vectors.shape != (1, model.dimension):
            raise ModelError(
                f"Model `{deployment.id}`: expected one vector of {model.dimension} dimensions for a probe text, "
                f"got shape {vectors.shape}"
            )
        if not np.isfinite(vectors).all() or not vectors.any():
            raise ModelError(
                f"Model `{deployment.id}`: expected a finite vector that is not zero for a probe text, got another"
            )
        return model.dimension

    def embed_query(self, deployment: Deployment, text: str) -> list[float]:
        """The vector of one search text.

        Raises:
            InvalidRequest: the text has nothing that the model can embed.
            ModelError, TransientError: as the model's `embed`.
        """
        vector = _embed(self.get(deployment), deployment, text).vectors[0]
        if not np.isfinite(vector).all() or not vector.any():
            raise InvalidRequest("text: expected a text with something to embed, got one without any token")
        return [float(number) for number in vector]

    def embed_texts(self, deployment: Deployment, texts: Sequence[str]) -> Embeddings:
        """Each text's vector at unit length, and its tokens.

        Raises:
            InvalidRequest: a text has nothing that the model can embed; it says which.
            ModelError, TransientError: as the model's `embed`.
        """
        model = self.get(deployment)
        groups = _groups(texts)
        parts = [self._embed_together(model, deployment, texts, group) for group in groups]
        order = np.argsort(np.concatenate(groups))
        return Embeddings(
            np.concatenate([part.vectors for part in parts])[order],
            np.concatenate([part.tokens for part in parts])[order],
        )

    @staticmethod
    def _embed_together(
        model: EmbeddingModel, deployment: Deployment, texts: Sequence[str], group: list[int]
    ) -> Embeddings:
        try:
            answer = model.embed([texts[index] for index in group])
        except ValueError as error:
            if len(group) == 1:
                raise InvalidRequest(
                    f"text {group[0]}: expected a text that model `{deployment.id}` can embed, got one it refuses"
                ) from error
            # One of them is not embeddable: alone, it says so itself.
            alone = [ModelCache._embed_together(model, deployment, texts, [index]) for index in group]
            return Embeddings(
                np.concatenate([each.vectors for each in alone]), np.concatenate([each.tokens for each in alone])
            )
        if answer.vectors.shape != (len(group), model.dimension):
            raise ModelError(
                f"Model `{deployment.id}`: expected vectors of shape {(len(group), model.dimension)}, "
                f"got {answer.vectors.shape}"
            )
        unit, is_valid = normalised(answer.vectors)
        if not is_valid.all():
            index = group[int(np.argmin(is_valid))]
            raise InvalidRequest(f"text {index}: expected a text with something to embed, got one without any token")
        return Embeddings(unit, answer.tokens)

    def _slot(self, recipe: str) -> _Slot:
        with self._lock:
            slot = self._slots.setdefault(recipe, _Slot())
            self._slots.move_to_end(recipe)
            while len(self._slots) > self._capacity:
                self._slots.popitem(last=False)
        return slot

    @staticmethod
    def _load(deployment: Deployment) -> EmbeddingModel:
        model = load_model(deployment)
        if deployment.dimension and model.dimension != deployment.dimension:
            raise ModelError(
                f"Model `{deployment.id}`: expected {deployment.dimension} dimensions as deployed, "
                f"got {model.dimension}; deploy it under another id"
            )
        return model


def _embed(model: EmbeddingModel, deployment: Deployment, text: str) -> Embeddings:
    try:
        return model.embed([text])
    except ValueError as error:
        raise InvalidRequest(
            f"text: expected a text that model `{deployment.id}` can embed, got one it refuses"
        ) from error


def _groups(texts: Sequence[str]) -> list[list[int]]:
    """Places of texts of about a length, so few and so short that they fit into memory together."""
    groups: list[list[int]] = []
    size = 0
    for index in sorted(range(len(texts)), key=lambda each: len(texts[each])):
        size += len(texts[index])
        if not groups or len(groups[-1]) == _TEXTS_A_CALL or size > _CHARACTERS_A_CALL:
            groups.append([])
            size = len(texts[index])
        groups[-1].append(index)
    return groups
