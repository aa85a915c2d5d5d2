"""Names of splittings: they come back as they were, and nothing else is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.domain.splitting import WHOLE, Method, Splitting
from indexmill.errors import InvalidRequest


@given(st.integers(1, 100_000), st.integers(0, 99_999))
def test_a_splitting_is_known_by_its_name(size: int, overlap: int) -> None:
    if overlap >= size:
        with pytest.raises(InvalidRequest):
            Splitting(size, overlap)
        return
    assert Splitting.named(Splitting(size, overlap).name) == Splitting(size, overlap)


@given(st.integers(1, 100_000), st.sampled_from([Method.SECTIONS, Method.FIXED]))
def test_the_other_methods_have_names_too(size: int, method: Method) -> None:
    splitting = Splitting(size, method=method)
    assert splitting.name == f"{method}-{size}"
    assert Splitting.named(splitting.name) == splitting
    with pytest.raises(InvalidRequest, match="no overlap"):
        Splitting(5, 1, method)


def test_whole_documents_are_not_split() -> None:
    assert Splitting.named(WHOLE) is None


@pytest.mark.parametrize(
    "name",
    [
        *("", "tokens", "tokens-0-0", "tokens-10-10", "tokens-100001-0", "tokens-9-1\n", "tokens--1-0"),
        *("tokens-\u0664-1", "tokens-9", "sections", "sections-0", "sections-9-1", "fixed-", "fixed-100001", "Fixed-9"),
    ],
)
def test_nothing_else_is_a_splitting(name: str) -> None:
    with pytest.raises(InvalidRequest, match="splitting: expected"):
        Splitting.named(name)
