"""A model for tests: vectors are hashes of the texts; it logs its work, and fails, crashes or hangs on demand."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from indexmill.errors import InvalidRequest, ModelError, TransientError
from indexmill.models.embedding_model import Embeddings

__all__ = ["DeterministicModel"]

_HANG_SECONDS: Final = 3600.0


class DeterministicModel:
    """For tests only: equal texts have equal unit vectors, and nothing else about them means anything.

    Args:
        dimension: of the vectors.
        delay_ms_per_text: how long embedding one text takes.
        log_path: a file that gets a line `<hash of the text> <process id>` for each text given to `embed`, before
            anything else happens, so that tests can count work across processes.
        fail_on: texts that contain one of these are refused with ValueError.
        transient_on: with TransientError.
        crash_on: the process kills itself with SIGKILL.
        hang_on: `embed` does not return for an hour.
        model_error: every call raises ModelError with this sentence.
        only_while: a path; the faults above happen only while it exists.
    """

    def __init__(
        self,
        *,
        dimension: int = 8,
        delay_ms_per_text: float = 0,
        log_path: str | None = None,
        fail_on: list[str] | None = None,
        transient_on: list[str] | None = None,
        crash_on: list[str] | None = None,
        hang_on: list[str] | None = None,
        model_error: str | None = None,
        only_while: str | None = None,
    ) -> None:
        if type(dimension) is not int or not 1 <= dimension <= 4000:
            raise InvalidRequest(f"settings.dimension: expected 1 to 4000, got {dimension!r}")
        self._dimension = dimension
        self._delay_seconds = delay_ms_per_text / 1000
        self._log_path = log_path
        self._fail_on = _strings(fail_on)
        self._transient_on = _strings(transient_on)
        self._crash_on = _strings(crash_on)
        self._hang_on = _strings(hang_on)
        self._model_error = model_error
        self._only_while = Path(only_while) if only_while else None

    @property
    def dimension(self) -> int:
        return self._dimension

    def embed(self, texts: list[str]) -> Embeddings:
        """A text of white space only gets a zero vector, as a text without tokens does elsewhere."""
        self._log(texts)
        if self._only_while is None or self._only_while.exists():
            self._misbehave(texts)
        if self._delay_seconds:
            time.sleep(self._delay_seconds * len(texts))
        vectors = np.zeros((len(texts), self._dimension), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            row[:] = _vector(text, self._dimension)
        return Embeddings(vectors, np.array([len(text.split()) for text in texts], dtype=np.uint32))

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Words."""
        return [len(text.split()) for text in texts]

    def _misbehave(self, texts: list[str]) -> None:
        if self._model_error is not None:
            raise ModelError(self._model_error)
        if _any_contains(texts, self._crash_on):
            os.kill(os.getpid(), signal.SIGKILL)
        if _any_contains(texts, self._hang_on):
            time.sleep(_HANG_SECONDS)
        if _any_contains(texts, self._transient_on):
            raise TransientError("The deterministic model was told to fail for now")
        if _any_contains(texts, self._fail_on):
            raise ValueError("The deterministic model was told to refuse this text")

    def _log(self, texts: list[str]) -> None:
        if self._log_path is None:
            return
        lines = "".join(f"{_hash(text)} {os.getpid()}\n" for text in texts)
        file = os.open(self._log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            # One write, so that the lines of several processes do not mix.
            os.write(file, lines.encode())
        finally:
            os.close(file)


def _strings(value: list[str] | str | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())


def _any_contains(texts: list[str], parts: tuple[str, ...]) -> bool:
    return any(part in text for part in parts for text in texts)


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _vector(text: str, dimension: int) -> npt.NDArray[np.float32]:
    if not text.strip():
        return np.zeros(dimension, dtype=np.float32)
    digest = hashlib.shake_128(text.encode()).digest(4 * dimension)
    # Odd numbers are never zero, so the norm is not either.
    spread = np.frombuffer(digest, dtype="<i4") // 2 * 2.0 + 1
    vector: npt.NDArray[np.float32] = (spread / np.linalg.norm(spread)).astype(np.float32)
    return vector
