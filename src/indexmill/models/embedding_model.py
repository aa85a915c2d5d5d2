"""The embedding model interface, the deployment record, and the registry of providers."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from indexmill.errors import InvalidRequest

__all__ = ["PROVIDERS", "Deployment", "EmbeddingModel", "Embeddings", "load_model", "refuse_faults", "text_keys"]


@dataclass(frozen=True)
class Embeddings:
    """`vectors`: float32, shape (texts, dimension), not normalised. `tokens`: tokens of each text."""

    vectors: npt.NDArray[np.float32]
    tokens: npt.NDArray[np.uint32]


class EmbeddingModel(Protocol):
    """A loaded model. Its methods may be called from several threads.

    Raises (from `embed`):
        ModelError: the model itself cannot work; its lane stops.
        TransientError: trying again later may help.
        ValueError: one of the texts is not embeddable; the caller bisects.
    """

    @property
    def dimension(self) -> int: ...

    def embed(self, texts: list[str]) -> Embeddings: ...

    def count_tokens(self, texts: list[str]) -> list[int]:
        """The tokens of each text as `embed` counts them, without embedding."""
        ...


@dataclass(frozen=True)
class Deployment:
    """A deployed model: `id` is what callers name; `settings` are the provider's own plus `text_keys`."""

    id: str
    provider: str
    settings: dict[str, Any] = field(default_factory=dict)
    dimension: int = 0
    created_at: datetime | None = None

    @property
    def recipe(self) -> str:
        """What, with the text, decides a vector: part of every fingerprint."""
        return f"{self.id}/{self.provider}/{sorted(self.settings.items())!r}"


#: Provider name -> "module:Class"; the class takes the settings as keywords. Imported only when chosen.
PROVIDERS: Final[dict[str, str]] = {
    "static": "indexmill.models.static:StaticModel",
    "deterministic": "indexmill.models.deterministic:DeterministicModel",
}

_DEFAULT_TEXT_KEYS = ("text",)


def text_keys(settings: dict[str, Any]) -> tuple[str, ...]:
    """The payload keys whose values, joined by a line break, are embedded."""
    keys = settings.get("text_keys", _DEFAULT_TEXT_KEYS)
    if isinstance(keys, str):
        keys = [keys]
    if not isinstance(keys, list | tuple) or not keys or not all(isinstance(key, str) and key for key in keys):
        raise InvalidRequest(f"settings.text_keys: expected a payload key or a list of them, got {keys!r}")
    return tuple(keys)


def refuse_faults(deployment: Deployment) -> None:
    """For services that no test runs: the test provider may be deployed, but not to crash, hang or write files.

    Raises:
        InvalidRequest: one of its fault options is given.
    """
    faults = set(deployment.settings) - {"dimension", "text_keys"}
    if deployment.provider == "deterministic" and faults:
        raise InvalidRequest(
            f"settings: expected only `dimension` and `text_keys` for the provider `deterministic`, got "
            f"{', '.join(f'`{name}`' for name in sorted(faults))}; set models.allow_faults to run tests with faults"
        )


def load_model(deployment: Deployment) -> EmbeddingModel:
    """Load the provider's class and the weights.

    Raises:
        InvalidRequest: no such provider, or settings that it does not take.
        ModelError: the weights are missing or the provider cannot start.
    """
    target = PROVIDERS.get(deployment.provider)
    if target is None:
        known = ", ".join(f"`{name}`" for name in PROVIDERS)
        raise InvalidRequest(f"provider: expected one of {known}, got {deployment.provider!r}")
    text_keys(deployment.settings)
    module, _, name = target.partition(":")
    options = {key: value for key, value in deployment.settings.items() if key != "text_keys"}
    provider = getattr(importlib.import_module(module), name)
    try:
        model: EmbeddingModel = provider(**options)
    except TypeError as error:
        raise InvalidRequest(f"settings: the provider `{deployment.provider}` does not take these: {error}") from error
    return model
