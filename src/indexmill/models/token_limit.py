"""How much of a text has at most so many tokens of a model."""

from __future__ import annotations

from collections.abc import Callable

from indexmill.models.embedding_model import EmbeddingModel

__all__ = ["PIECE", "fitting"]

#: Characters of a text whose tokens are counted at a time.
PIECE = 16_384


def fitting(model: EmbeddingModel, text: str, tokens: int) -> int:
    """How many characters of the text, from its beginning, have at most so many tokens of the model."""
    begin = 0
    # Piece by piece: no more is counted than the answer has, however long the text goes on.
    while begin < len(text):
        piece = text[begin : begin + PIECE]
        used = model.count_tokens([piece])[0]
        if used > tokens:
            return begin + _longest(piece, lambda part, left=tokens: model.count_tokens([part])[0] <= left)  # type: ignore[misc]
        tokens -= used
        begin += len(piece)
    return len(text)


def _longest(text: str, fits: Callable[[str], bool]) -> int:
    """How many characters its longest beginning has that fits."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if fits(text[:middle]):
            low = middle
        else:
            high = middle - 1
    return low
