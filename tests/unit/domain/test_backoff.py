"""Backoff: doubling, capped, with jitter in the upper half."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.domain.backoff import backoff_seconds


@pytest.mark.parametrize(("tries", "seconds"), [(1, 0.5), (2, 1), (3, 2), (7, 32), (8, 60), (9, 60), (10_000, 60)])
def test_waits_double_up_to_the_cap(tries: int, seconds: float) -> None:
    assert backoff_seconds(tries, jitter=1) == seconds
    assert backoff_seconds(tries, jitter=0) == seconds / 2


@given(st.integers(1, 10**9), st.floats(0.001, 10), st.floats(0.001, 1000))
def test_a_wait_is_never_zero_and_never_over_the_cap(tries: int, base: float, cap: float) -> None:
    assert 0 < backoff_seconds(tries, base=base, cap=cap) <= cap


def test_waits_are_spread() -> None:
    assert len({backoff_seconds(3) for _ in range(50)}) > 40
