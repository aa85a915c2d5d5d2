"""Signed URLs: what they are good for, until when, and that nothing of them can be changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.errors import LinkRefused
from indexmill.security.keyring import Keyring
from indexmill.security.signed_urls import LinkPurpose, UrlSigner

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=10)
PATH = "/v2/gen-ai/uploads/0123"
SIGNER = UrlSigner(Keyring((b"n" * 32, b"o" * 32)))
UPLOAD = LinkPurpose.UPLOAD


def _refused(query: str, path: str = PATH, purpose: LinkPurpose = UPLOAD, now: datetime = NOW) -> str:
    with pytest.raises(LinkRefused) as refused:
        SIGNER.verify(purpose, path, query, now)
    return str(refused.value)


@given(
    path=st.text(max_size=50),
    claims=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(
            lambda name: name not in {"expires", "signature"}
        ),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
        max_size=4,
    ),
)
def test_claims_come_back_as_they_were(path: str, claims: dict[str, str]) -> None:
    assert SIGNER.verify(UPLOAD, path, SIGNER.sign(UPLOAD, path, LATER, claims), NOW) == claims


def test_it_ends_when_it_says() -> None:
    query = SIGNER.sign(UPLOAD, PATH, LATER)
    assert SIGNER.verify(UPLOAD, PATH, query, LATER - timedelta(seconds=1)) == {}
    assert "expired" in _refused(query, now=LATER)


def test_it_is_good_for_one_purpose_and_one_path() -> None:
    query = SIGNER.sign(UPLOAD, PATH, LATER)
    _refused(query, purpose=LinkPurpose.REPORT)
    _refused(query, path=PATH + "4")
    _refused(query, path=PATH.upper())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("size=100", "size=999"),
        ("size=100", "Size=100"),
        ("size=100", ""),
        ("size=100", "size=100&size=100"),
        ("size=100", "size=100&more=1"),
        ("expires=", "expires=1"),
        ("signature=", "signature=A"),
        ("signature=", "signature=%C3%BC"),
        ("signature=", "signature=&signature="),
        ("signature=", "other="),
    ],
)
def test_nothing_of_it_can_be_changed(old: str, new: str) -> None:
    query = SIGNER.sign(UPLOAD, PATH, LATER, {"size": "100"})
    assert old in query
    assert "as this service has signed it" in _refused(query.replace(old, new))


@pytest.mark.parametrize(
    "query", ["", "&&", "expires=1", "signature=", "%", "a" * 5000, "\udcff", "expires=x&signature=ü"]
)
def test_what_is_no_signed_url_is_refused(query: str) -> None:
    _refused(query)


def test_parts_cannot_flow_into_each_other() -> None:
    one = SIGNER.sign(UPLOAD, "/a", LATER, {"b": "c"})
    _refused(one.replace("b=c", "b=c%22"), path="/a")
    two = SIGNER.sign(UPLOAD, "/ab", LATER, {"": "c"})
    assert one.rpartition("signature=")[2] != two.rpartition("signature=")[2]


def test_a_changed_key_ends_no_url_as_long_as_the_old_one_is_known() -> None:
    query = UrlSigner(Keyring((b"o" * 32,))).sign(UPLOAD, PATH, LATER)
    assert SIGNER.verify(UPLOAD, PATH, query, NOW) == {}
    with pytest.raises(LinkRefused):
        UrlSigner(Keyring((b"n" * 32,))).verify(UPLOAD, PATH, query, NOW)


def test_a_claim_cannot_be_named_like_a_part_of_the_signature() -> None:
    for name in ("expires", "signature"):
        with pytest.raises(ValueError, match="other names"):
            SIGNER.sign(UPLOAD, PATH, LATER, {name: "1"})
