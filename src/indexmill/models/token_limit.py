"""How much of a text has at most so many tokens of a model."""

from __future__ import annotations

from indexmill.models.embedding_model import EmbeddingModel

__all__ = ["fitting"]

#: Characters of a text whose tokens are counted at a time.
_PIECE = 16_384


def fitting(model: EmbeddingModel, text: str, tokens: int) -> int:
    """How many characters of the text, from its beginning, have at most so many tokens of the model."""
    begin = 0
    # Piece by piece: no more is counted than the answer has, however long the text goes on.
    while begin < len(text):
        piece = text[begin : begin + _PIECE]
        used = model.count_tokens([piece])[0]
        if used > tokens:
            return begin + _longest(model, piece, tokens)
        tokens -= used
        begin += len(piece)
    return len(text)


def _longest(model: EmbeddingModel, text: str, tokens: int) -> int:
    """The same of one piece, by halving."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if model.count_tokens([text[:middle]])[0] <= tokens:
            low = middle
        else:
            high = middle - 1
    return low
