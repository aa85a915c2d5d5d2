"""What the loader tells from what the store could not hold."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from indexmill.pipeline.load import _holds_nul, _short

text = st.text("a\\u0\0", max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=10,
)


def strings_of(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [*value, *(each for inner in value.values() for each in strings_of(inner))]
    return [each for inner in value for each in strings_of(inner)] if isinstance(value, list) else []


@given(st.dictionaries(text, values, max_size=3))
def test_a_nul_is_found_wherever_it_is_and_nowhere_else(value: dict[str, Any]) -> None:
    assert _holds_nul(value) == any("\0" in each for each in strings_of(value))


def test_what_a_sentence_quotes_is_short() -> None:
    assert len(_short("x" * 10_000)) == 80
    assert _short({"a": 1}) == "{'a': 1}"
