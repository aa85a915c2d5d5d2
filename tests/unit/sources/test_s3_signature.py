"""Signatures of requests to S3 stores, against those that the vendor's own client makes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from indexmill.sources.s3_signature import S3Credentials, encoded_path, encoded_query, signed_headers

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


@given(key=TEXT, query=st.dictionaries(TEXT, TEXT, max_size=4), token=st.none() | st.just("token"))
def test_they_are_those_of_the_vendor(key: str, query: dict[str, str], token: str | None) -> None:
    path, search = encoded_path(f"/bucket/{key}"), encoded_query(query)
    request = AWSRequest("GET", f"https://store.example:9000{path}{'?' if search else ''}{search}", {})
    S3SigV4Auth(Credentials("id", "secret", token), "s3", "eu-1").add_auth(request)
    now = datetime.strptime(request.context["timestamp"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    mine = signed_headers(
        S3Credentials("id", "secret", token),
        region="eu-1",
        authority="store.example:9000",
        path=path,
        query=search,
        now=now,
    )
    expected = {name.lower(): value for name, value in request.headers.items()}
    assert dict(mine) == expected | {"host": "store.example:9000"}


def test_without_credentials_nothing_is_signed() -> None:
    headers = signed_headers(None, region="eu-1", authority="a.example", path="/b", query="", now=datetime.now(UTC))
    assert headers == [("host", "a.example")]


def test_secrets_are_not_shown() -> None:
    assert "hidden" not in repr(S3Credentials("id", "hidden", "hidden too"))


@pytest.mark.parametrize("path", ["/a//b/../c", "/%41", "/ü +~"])
def test_paths_are_encoded_once_and_not_normalised(path: str) -> None:
    assert encoded_path(path) == {"/a//b/../c": path, "/%41": "/%2541", "/ü +~": "/%C3%BC%20%2B~"}[path]
