"""Documents to measure with, the same for the same seed.

Short ones: words of a Zipf-like vocabulary, 5 to 80 a text. Real ones: what the standard library says of itself.
"""

from __future__ import annotations

import random
import sys
from functools import cache
from typing import Any

from examples.demo import documentation

__all__ = ["docstrings", "documents", "texts"]

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


def docstrings(seed: int) -> list[dict[str, Any]]:
    """The demo's items, as items that no other seed gives."""
    return [
        {
            "object_id": f"{seed}-{item['object_id']}",
            "payload": {**item["payload"], "text": f"{seed} {item['payload']['text']}"},
        }
        for item in _documentation()
    ]


_documentation = cache(documentation)
