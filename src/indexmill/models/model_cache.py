"""The models that this process has loaded: at most so many, the least recently used one goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from indexmill.errors import InvalidRequest, ModelError
from indexmill.models.embedding_model import Deployment, EmbeddingModel, Embeddings, load_model

__all__ = ["ModelCache"]

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
