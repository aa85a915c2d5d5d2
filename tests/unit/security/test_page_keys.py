"""A page key says what it was given, to those for whom it was made, and to nobody else."""

from __future__ import annotations

import pytest

from indexmill.errors import InvalidRequest
from indexmill.security.keyring import Keyring
from indexmill.security.page_keys import PageKeys

SAID = {"after": ["2024-05-01T00:00:00+00:00", "x"], "limit": 3, "states": None, "name": "ü"}


def test_a_key_says_what_it_was_given() -> None:
    keys = PageKeys(Keyring((b"a" * 32,)))
    key = keys.seal("jobs", 7, SAID)
    assert keys.open("jobs", 7, key) == SAID
    assert keys.open("jobs", 7, f"{key}==".replace("-", "+").replace("_", "/")) == SAID


def test_a_key_outlives_a_change_of_the_secret_key() -> None:
    key = PageKeys(Keyring((b"a" * 32,))).seal("jobs", 7, SAID)
    assert PageKeys(Keyring((b"b" * 32, b"a" * 32))).open("jobs", 7, key) == SAID


@pytest.mark.parametrize(
    ("listing", "tenant", "secret"), [("documents", 7, b"a"), ("jobs", 8, b"a"), ("jobs", 7, b"b"), ("jobs 7", 7, b"a")]
)
def test_a_key_is_good_for_one_listing_tenant_and_service(listing: str, tenant: int, secret: bytes) -> None:
    key = PageKeys(Keyring((b"a" * 32,))).seal("jobs", 7, SAID)
    with pytest.raises(InvalidRequest, match="page key"):
        PageKeys(Keyring((secret * 32,))).open(listing, tenant, key)


@pytest.mark.parametrize("key", ["", "A", "AAAA", "ü", "a b", "A" * 100_000])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidRequest, match="page key"):
        PageKeys(Keyring((b"a" * 32,))).open("jobs", 7, key)
