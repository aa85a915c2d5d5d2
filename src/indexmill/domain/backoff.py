"""How long to wait before the next try: exponential with full jitter in its upper half."""

from __future__ import annotations

import random

__all__ = ["backoff_seconds"]


def backoff_seconds(tries: int, *, base: float = 0.5, cap: float = 60.0, jitter: float | None = None) -> float:
    """Seconds to wait after `tries` failed tries (1 for the first): base x 2^(tries-1), capped, times 0.5 to 1."""
    ceiling = min(cap, base * 2.0 ** min(tries - 1, 30))
    share = random.random() if jitter is None else jitter  # noqa: S311 - spreads load, guards nothing
    return ceiling * (0.5 + share / 2)
