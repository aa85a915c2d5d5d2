"""Sealed secrets: what opens them, and what does not."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.errors import SettingsError, SourceError
from indexmill.security.keyring import Keyring
from indexmill.security.secret_box import SecretBox

OLD, NEW = b"o" * 32, b"n" * 32
SECRETS = {"key_id": "AKIA", "secret_key": "very secret"}


def _unreadable(box: SecretBox, sealed: bytes, context: str = "") -> str:
    with pytest.raises(SourceError) as refused:
        box.open(sealed, context)
    assert refused.value.code == "secrets_unreadable"
    return refused.value.sentence


@given(st.dictionaries(st.text(), st.text()), st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_sealed_opens_again(secrets: dict[str, str], context: str) -> None:
    box = SecretBox(Keyring((NEW,)))
    assert box.open(box.seal(secrets, context), context) == secrets


def test_nothing_of_it_shows_and_twice_is_not_the_same() -> None:
    box = SecretBox(Keyring((NEW,)))
    sealed = box.seal(SECRETS)
    assert b"AKIA" not in sealed
    assert b"key_id" not in sealed
    assert box.seal(SECRETS) != sealed


def test_after_a_change_of_the_key_the_old_one_still_opens() -> None:
    sealed = SecretBox(Keyring((OLD,))).seal(SECRETS)
    changed = SecretBox(Keyring((NEW, OLD)))
    assert changed.open(sealed) == SECRETS
    again = changed.seal(changed.open(sealed))
    assert SecretBox(Keyring((NEW,))).open(again) == SECRETS


def test_without_the_old_key_the_sentence_says_what_to_do() -> None:
    sealed = SecretBox(Keyring((OLD,))).seal(SECRETS)
    assert "server.old_secret_keys" in _unreadable(SecretBox(Keyring((NEW,))), sealed)


def test_what_was_sealed_for_one_thing_does_not_open_for_another() -> None:
    box = SecretBox(Keyring((NEW,)))
    _unreadable(box, box.seal(SECRETS, "source 1"), "source 2")


def test_every_changed_byte_and_every_lost_one_is_noticed() -> None:
    box = SecretBox(Keyring((NEW,)))
    sealed = box.seal(SECRETS)
    for at in range(len(sealed)):
        _unreadable(box, sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :])
        _unreadable(box, sealed[:at])


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(SettingsError, match=r"indexmill\[sources\]"):
        SecretBox(Keyring((NEW,))).seal(SECRETS)
