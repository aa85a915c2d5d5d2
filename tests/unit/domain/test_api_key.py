"""Keys as text: recognisable, whole or refused, nothing but a hash of them to keep."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.domain.api_key import hash_of, key_id_of, new_api_key
from indexmill.domain.principal import LOCAL, Principal, Role


def test_a_new_key_names_its_id_and_no_two_are_alike() -> None:
    keys = [new_api_key() for _ in range(200)]
    assert len({each.text for each in keys}) == len({each.id for each in keys}) == 200
    for each in keys:
        assert each.text.startswith(f"im_{each.id}_")
        assert key_id_of(each.text) == each.id
        assert each.text not in repr(each)
        assert len(each.hash) == 32


def test_a_key_with_one_changed_letter_is_none() -> None:
    text = new_api_key().text
    for place in range(len(text)):
        for letter in "A9":
            changed = text[:place] + letter + text[place + 1 :]
            assert changed == text or key_id_of(changed) is None


@pytest.mark.parametrize("cut", [1, 6, 20, 60])
def test_a_truncated_key_is_none(cut: int) -> None:
    text = new_api_key().text
    assert key_id_of(text[:-cut]) is None
    assert key_id_of(text[cut:]) is None
    assert key_id_of(f"{text} ") is None
    assert key_id_of(f"{text}\n") is None


@given(st.text())
def test_what_is_no_key_is_none_and_has_a_hash(text: str) -> None:
    assert key_id_of(text) is None
    assert key_id_of(f"im_{text}") is None
    assert len(hash_of(text)) == 32


def test_a_role_may_what_those_before_it_may() -> None:
    assert [[one.covers(other) for other in Role] for one in Role] == [
        [True, False, False], [True, True, False], [True, True, True],
    ]  # fmt: skip


def test_the_operator_is_an_admin_of_the_first_tenant() -> None:
    assert LOCAL.is_operator
    assert not Principal(2, Role.ADMIN, "x").is_operator
    assert not Principal(1, Role.WRITE, "x").is_operator
