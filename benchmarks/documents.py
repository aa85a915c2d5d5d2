"""Short documents to measure with: words of a Zipf-like vocabulary, 5 to 80 a text, the same for the same seed."""

from __future__ import annotations

import random
import sys
from typing import Any

__all__ = ["documents", "texts"]

_VOCABULARY = [
    *sorted({word for name in sys.stdlib_module_names for word in name.strip("_").split("_") if word}),
    "index", "vector", "document", "search", "model", "batch", "lease", "window", "the", "of", "and", "a", "to", "is",
    "queue", "worker", "commit", "token", "neural", "network", "basics", "language", "query", "answer", "question",
]  # fmt: skip


def texts(count: int, seed: int) -> list[str]:
    """`count` texts that no other seed gives."""
    source = random.Random(seed)
    weights = [1 / (rank + 3) for rank in range(len(_VOCABULARY))]
    return [
        f"{seed} {number} " + " ".join(source.choices(_VOCABULARY, weights, k=source.randint(5, 80)))
        for number in range(count)
    ]


def documents(count: int, seed: int) -> list[dict[str, Any]]:
    """Items of an upsertion task."""
    return [
        {"object_id": f"{seed}-{number}", "payload": {"text": text, "number": number}}
        for number, text in enumerate(texts(count, seed))
    ]
