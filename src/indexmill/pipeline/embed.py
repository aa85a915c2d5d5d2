"""Embedding: deduplicated, sorted by length, in sub-batches; a text that the model rejects fails alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from indexmill.domain.failure import FailureCode, Stage
from indexmill.errors import ItemError, ModelError, TransientError
from indexmill.models.embedding_model import EmbeddingModel
from indexmill.models.unit_vectors import normalised
from indexmill.pipeline.window import WorkItem

__all__ = ["SUB_BATCH", "Embedded", "embed_items", "embed_last_tries", "embed_texts"]

_log = logging.getLogger(__name__)
#: Texts a call: sorted by length, so that padding within a call is small.
SUB_BATCH = 64
#: Texts a call of an item that runs alone: perhaps it was lost because so slow a model has a deadline for each call.
_ALONE_SUB_BATCH = 8
#: Characters a call, so that 64 long texts do not meet in memory.
_SUB_BATCH_CHARACTERS = 2_000_000


@dataclass(frozen=True)
class Embedded:
    """`vectors[i]`: the i-th text's unit vector, or the error that this text alone met."""

    vectors: list[npt.NDArray[np.float32] | ItemError]
    tokens: list[int]


def embed_items(
    model: EmbeddingModel, items: list[WorkItem], *, check: Callable[[], None], before: Callable[[int], None] | None
) -> int:
    """Give every item its vectors and tokens, or its failure; how many texts the model was given.

    `check` is called between sub-batches and may raise to stop. `before`, where given, is called with an item's
    position before that item is embedded alone.

    Raises:
        ModelError, TransientError: as the model does; no item is to blame.
    """
    texts: dict[str, int] = {}
    chunks = [chunk_texts(item) for item in items]
    for item, mine in zip(items, chunks, strict=True):
        # The first item of a text is the one that counts as embedded.
        before_it = len(texts)
        for text in mine:
            texts.setdefault(text, len(texts))
        item.embedded = len(texts) - before_it
    if before is not None:
        embedded = _one_by_one(model, items, texts, check, before)
    else:
        embedded = embed_texts(model, list(texts), check=check)
    for item, mine in zip(items, chunks, strict=True):
        indices = [texts[text] for text in mine]
        item.tokens = sum(embedded.tokens[index] for index in indices)
        _take(item, [embedded.vectors[index] for index in indices])
    return len(texts)


def chunk_texts(item: WorkItem) -> list[str]:
    """What of the item is embedded, a text a chunk."""
    text = item.text or ""
    if len(item.spans) <= 1:
        return [text]
    return [text[start:end] for start, end in item.spans]


def _take(item: WorkItem, vectors: list[npt.NDArray[np.float32] | ItemError]) -> None:
    """The item's vectors, or its failure. A chunk without a usable vector, a line of dashes, is left out."""
    kept = [index for index, vector in enumerate(vectors) if vector is not _INVALID_VECTOR]
    errors = [vector for vector in vectors if isinstance(vector, ItemError)]
    if not kept or len(errors) > len(vectors) - len(kept):
        item.fail_by(next(error for error in errors if not kept or error is not _INVALID_VECTOR))
        return
    item.spans = tuple(item.spans[index] for index in kept) if item.spans else ()
    item.vectors = np.stack([vector for vector in vectors if not isinstance(vector, ItemError)])


def embed_last_tries(
    model: EmbeddingModel,
    items: list[WorkItem],
    *,
    tries: int,
    before: Callable[[int], None],
    is_time_up: Callable[[], bool],
) -> None:
    """Embed each text for itself; where the passing cause has not passed, its items fail and no others.

    Short texts first: a time-out that a text alone brings about is most likely a long one's. `before` is called with
    the position of the item that is tried next. When the time is up, whatever is left fails untried and can be retried:
    a model that took all the time for so few has not recovered, and its callers have waited through every try.
    """
    for text, group in groupby(sorted(items, key=_shortest_first), key=lambda item: item.text):
        alike = list(group)
        if is_time_up():
            _fail_untried(alike, tries)
            continue
        before(alike[0].position)
        try:
            embed_items(model, alike, check=lambda: None, before=None)
        except TransientError as error:
            _log.info("a text of %d characters is given up", len(text or ""))
            for item in alike:
                _give_up(item, f"Given up after {tries} tries, the last one: {error}")


def _shortest_first(item: WorkItem) -> tuple[int, str]:
    text = item.text or ""
    return len(text), text


def _fail_untried(items: list[WorkItem], tries: int) -> None:
    for item in items:
        _give_up(
            item,
            f"Given up after {tries} tries together with other items: the embedding model answered too slowly for this "
            "one to be tried by itself; retry it when the model has recovered",
        )


def _give_up(item: WorkItem, sentence: str) -> None:
    item.embedded = 0
    item.fail(Stage.EMBED, FailureCode.TRIES_EXHAUSTED, sentence[:1500], retryable=True)


def embed_texts(model: EmbeddingModel, texts: list[str], *, check: Callable[[], None]) -> Embedded:
    """Embed distinct texts, in the order given."""
    result = Embedded([_NOT_EMBEDDED] * len(texts), [0] * len(texts))
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    for group in _groups(order, texts):
        check()
        _embed_group(model, texts, group, result)
    return result


def _one_by_one(
    model: EmbeddingModel,
    items: list[WorkItem],
    texts: dict[str, int],
    check: Callable[[], None],
    before: Callable[[int], None],
) -> Embedded:
    result = Embedded([_NOT_EMBEDDED] * len(texts), [0] * len(texts))
    ordered = list(texts)
    done: set[int] = set()
    for item in items:
        mine = [index for index in dict.fromkeys(texts[text] for text in chunk_texts(item)) if index not in done]
        for number, group in enumerate(_groups(mine, ordered, _ALONE_SUB_BATCH)):
            check()
            if number == 0:
                before(item.position)
            _embed_group(model, ordered, group, result)
        done.update(mine)
    return result


def _groups(order: list[int], texts: list[str], most: int = SUB_BATCH) -> Iterator[list[int]]:
    group: list[int] = []
    size = 0
    for index in order:
        if group and (len(group) == most or size + len(texts[index]) > _SUB_BATCH_CHARACTERS):
            yield group
            group, size = [], 0
        group.append(index)
        size += len(texts[index])
    if group:
        yield group


def _embed_group(model: EmbeddingModel, texts: list[str], group: list[int], result: Embedded) -> None:
    """One call; where it fails by a text, halves, until the text that is to blame stands alone."""
    try:
        answer = model.embed([texts[index] for index in group])
    except (ModelError, TransientError):
        raise
    except Exception as error:  # noqa: BLE001 - a provider may raise anything for a text that it cannot take
        if len(group) == 1:
            result.vectors[group[0]] = _rejection(error)
            return
        middle = len(group) // 2
        _embed_group(model, texts, group[:middle], result)
        _embed_group(model, texts, group[middle:], result)
        return
    vectors = answer.vectors
    if vectors.shape != (len(group), model.dimension):
        raise ModelError(f"The model gave vectors of shape {vectors.shape}, expected {(len(group), model.dimension)}")
    unit, is_valid = normalised(vectors)
    for row, index in enumerate(group):
        result.vectors[index] = unit[row] if is_valid[row] else _INVALID_VECTOR
        result.tokens[index] = int(answer.tokens[row])


def _rejection(error: Exception) -> ItemError:
    # Only a ValueError's words are the provider's answer about the text; others may name files or addresses.
    words = str(error).splitlines()[0][:500] if isinstance(error, ValueError) and str(error) else type(error).__name__
    return ItemError(
        Stage.EMBED, FailureCode.MODEL_REJECTED, f"The embedding model rejected this text: {words}", retryable=False
    )


_NOT_EMBEDDED = ItemError(Stage.EMBED, FailureCode.MODEL_REJECTED, "The text was not embedded", retryable=True)
_INVALID_VECTOR = ItemError(
    Stage.EMBED,
    FailureCode.INVALID_VECTOR,
    "The embedding model gave no usable vector for this text (zero length or not finite); "
    "check that it holds words the model knows",
    retryable=False,
)
