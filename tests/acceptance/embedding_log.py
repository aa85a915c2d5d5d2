"""What the deterministic model wrote down: how often each text was embedded, and by whom."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from pathlib import Path

__all__ = ["EmbeddingLog"]

#: A process killed in the middle of its write leaves the start of a line behind, with the next line glued to it.
_LINE = re.compile(r"([0-9a-f]{32}) \d+\n")


class EmbeddingLog:
    def __init__(self, path: Path) -> None:
        self.path = path

    def counts(self) -> Counter[str]:
        """Hash of a text -> how often it was given to the model."""
        if not self.path.exists():
            return Counter()
        return Counter(_LINE.findall(self.path.read_text()))

    def total(self) -> int:
        return self.counts().total()

    def repeated(self) -> int:
        """Embeddings beyond the first of each text."""
        counts = self.counts()
        return counts.total() - len(counts)

    def of(self, texts: list[str]) -> list[int]:
        """How often each of these was embedded."""
        counts = self.counts()
        return [counts[hashlib.blake2b(text.encode(), digest_size=16).hexdigest()] for text in texts]
