"""The default model: token vectors from the weights inside the `wordllama` wheel, averaged over a text. No download."""

from __future__ import annotations

import importlib.util
import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from tokenizers import Tokenizer

from indexmill.errors import InvalidRequest, ModelError
from indexmill.models.embedding_model import Embeddings

__all__ = ["StaticModel"]

Vectors = npt.NDArray[np.float32]

_WEIGHTS: Final = "l2_supercat"
_STORED_DIMENSION: Final = 256
#: The weights were trained so that a prefix of a vector is a vector.
_DIMENSIONS: Final = (64, 128, 256)

#: Characters handled at a time: bounds memory, and keeps the units of one slice below the capacity of a table.
_SLICE_CHARS: Final = 32_768
_TABLE_ROWS: Final = 32_768
#: A unit takes one share of a table's room for each so many characters, so that long keys do not pile up.
_SHARE_CHARS: Final = 64

_SPACE: Final = "\u2581"
_SPECIAL_NAMES: Final = ("<s>", "</s>", "<unk>")
_SPECIAL: Final = re.compile(f"({'|'.join(_SPECIAL_NAMES)})")
#: No token has a space after another character and a line break is always a token of its own, so cutting before spaces
#: and around line breaks gives the tokens of the whole text.
_UNIT: Final = re.compile(r" *[^ \n]+|\n| +")


class StaticModel:
    """Mean of a text's token vectors, equal to `wordllama`'s own `embed` within rounding.

    Words repeat, so the model remembers what a word (a "unit") adds up to, in a table that starts anew when it is full:
    about five times the speed of tokenising every text. The vector of a text does not depend on what is remembered.

    Raises:
        InvalidRequest: weights or a dimension that the wheel does not hold.
        ModelError: the wheel's files are missing or unreadable.
    """

    def __init__(self, weights: str = _WEIGHTS, dimension: int = _STORED_DIMENSION) -> None:
        if weights != _WEIGHTS:
            raise InvalidRequest(f"settings.weights: expected {_WEIGHTS!r}, got {weights!r}")
        if type(dimension) is not int or dimension not in _DIMENSIONS:
            raise InvalidRequest(f"settings.dimension: expected one of {_DIMENSIONS}, got {dimension!r}")
        stored, tokenizer = _load(weights)
        self._token_vectors: Vectors = np.ascontiguousarray(stored[:, :dimension], dtype=np.float32)
        self._special = {name: tokenizer.token_to_id(name) for name in _SPECIAL_NAMES}
        # The tokeniser's model alone, without its thread pool: a worker is one process a core.
        self._tokenize = tokenizer.model.tokenize
        self._lock = threading.Lock()
        self._table = _Table(dimension)

    @property
    def dimension(self) -> int:
        return int(self._token_vectors.shape[1])

    def embed(self, texts: list[str]) -> Embeddings:
        """A text without any token gets a zero vector.

        Raises:
            ValueError: a text holds lone surrogates, which are no characters.
        """
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        tokens = np.zeros(len(texts), dtype=np.uint32)
        for part in _slices(texts):
            self._add(part, vectors, tokens)
        vectors /= np.maximum(tokens, 1).astype(np.float32)[:, None]
        return Embeddings(vectors, tokens)

    def count_tokens(self, texts: list[str]) -> list[int]:
        """Raises as `embed`."""
        counts = [0] * len(texts)
        for part in _slices(texts):
            # What is counted is embedded soon after, so it is remembered as a whole.
            table = self._table_with(set().union(*(units for _, units in part)))
            row_of, count_of = table.rows.__getitem__, table.counts.item
            for text, units in part:
                counts[text] += sum(map(count_of, map(row_of, units)))
        return counts

    def _add(self, part: list[tuple[int, list[str]]], vectors: Vectors, tokens: npt.NDArray[np.uint32]) -> None:
        table = self._table_with(set().union(*(units for _, units in part)))
        row_of, sums, counts = table.rows.__getitem__, table.sums, table.counts
        for text, units in part:
            rows = list(map(row_of, units))
            vectors[text] += sums.take(rows, axis=0).sum(axis=0)
            tokens[text] += counts.take(rows).sum()

    def _table_with(self, units: set[str]) -> _Table:
        """A table that holds these units. Other threads only ever see rows that are complete."""
        table = self._table
        if units <= table.rows.keys():
            return table
        with self._lock:
            table = self._table
            # Not `units - table.rows.keys()`, which walks the whole table.
            unknown = units.difference(table.rows)
            if not table.has_room_for(unknown):
                table = self._table = _Table(self.dimension)
                unknown = units
            for unit in unknown:
                table.learn(unit, self._token_vectors, self._ids(unit))
        return table

    def _ids(self, unit: str) -> list[int]:
        special = self._special.get(unit)
        if special is not None:
            return [special]
        return [token.id for token in self._tokenize(unit.replace(" ", _SPACE))]


class _Table:
    """What each remembered unit adds to a text: the sum of its token vectors and their number."""

    def __init__(self, dimension: int) -> None:
        self.rows: dict[str, int] = {}
        self.sums: Vectors = np.empty((_TABLE_ROWS, dimension), dtype=np.float32)
        self.counts = np.empty(_TABLE_ROWS, dtype=np.uint32)
        self._room = _TABLE_ROWS

    def has_room_for(self, units: Iterable[str]) -> bool:
        return sum(_shares(unit) for unit in units) <= self._room

    def learn(self, unit: str, token_vectors: Vectors, ids: list[int]) -> None:
        row = len(self.rows)
        # mode="clip": an id beyond the weights takes the last vector, as wordllama does.
        token_vectors.take(ids, axis=0, mode="clip").sum(axis=0, out=self.sums[row])
        self.counts[row] = len(ids)
        self._room -= _shares(unit)
        self.rows[unit] = row


def _shares(unit: str) -> int:
    return 1 + len(unit) // _SHARE_CHARS


def _slices(texts: list[str]) -> Iterator[list[tuple[int, list[str]]]]:
    """(text's index, its units) in lists of about `_SLICE_CHARS` characters; a long text is spread over several."""
    part: list[tuple[int, list[str]]] = []
    room = _SLICE_CHARS
    for index, text in enumerate(texts):
        for segment in _segments(text):
            if len(segment) > room and part:
                yield part
                part, room = [], _SLICE_CHARS
            part.append((index, _UNIT.findall(segment) if segment not in _SPECIAL_NAMES else [segment]))
            room -= len(segment)
    if part:
        yield part


def _segments(text: str) -> Iterator[str]:
    """The text as the tokeniser sees it: special tokens apart, a space before each stretch, cut at `_SLICE_CHARS`."""
    if _SPACE in text:
        text = text.replace(_SPACE, " ")
    for stretch in _SPECIAL.split(text) if "<" in text else (text,):
        if stretch in _SPECIAL_NAMES:
            yield stretch
        elif stretch:
            yield from _cut(" " + stretch)


def _cut(stretch: str) -> Iterator[str]:
    """Pieces of at most `_SLICE_CHARS`, cut where no token can be; a longer run of one word is cut anywhere."""
    start = 0
    while len(stretch) - start > _SLICE_CHARS:
        window = stretch[start : start + _SLICE_CHARS]
        # Before the whole run of spaces: a run may be one token.
        end = max(len(window[: window.rfind(" ") + 1].rstrip(" ")), window.rfind("\n") + 1) or _SLICE_CHARS
        yield stretch[start : start + end]
        start += end
    yield stretch[start:]


def _load(weights: str) -> tuple[npt.NDArray[np.float16], Tokenizer]:
    # The files only: importing the package would configure the root logger.
    found = importlib.util.find_spec("wordllama")
    if found is None or not found.submodule_search_locations:
        raise ModelError("The provider `static` needs the package `wordllama`, which is not installed; install it")
    folder = Path(found.submodule_search_locations[0])
    name = f"{weights}_{_STORED_DIMENSION}.safetensors"
    try:
        with safe_open(folder / "weights" / name, framework="np") as file:
            stored = file.get_tensor("embedding.weight")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizers" / f"{weights}_tokenizer_config.json"))
    except Exception as error:  # both libraries raise bare Exceptions for a missing or damaged file
        raise ModelError(
            f"The weights `{name}` of the package `wordllama` cannot be read ({type(error).__name__}); reinstall it"
        ) from error
    return stored, tokenizer
