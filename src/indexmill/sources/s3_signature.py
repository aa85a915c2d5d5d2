"""Signs requests to S3 stores that read (AWS Signature Version 4)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import quote

__all__ = ["S3Credentials", "encoded_path", "encoded_query", "signed_headers"]

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_EMPTY_BODY: Final = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class S3Credentials:
    key_id: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


def encoded_path(path: str) -> str:
    """A path as it is both sent and signed: encoded once, `/` kept, nothing normalised."""
    return quote(path, safe="/-_.~")


def encoded_query(query: dict[str, str]) -> str:
    """A query as it is both sent and signed: sorted, and a space is `%20`."""
    pairs = sorted((_encoded(name), _encoded(value)) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in pairs)


def signed_headers(
    credentials: S3Credentials | None, *, region: str, authority: str, path: str, query: str, now: datetime
) -> list[tuple[str, str]]:
    """The headers of a GET without a body; without credentials, those of a request that is not signed.

    Args:
        authority: the `Host` header.
        path, query: as `encoded_path` and `encoded_query` give them.
        now: in UTC; stores refuse a clock that is fifteen minutes wrong.
    """
    if credentials is None:
        return [("host", authority)]
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": authority, "x-amz-content-sha256": _EMPTY_BODY, "x-amz-date": stamp}
    if credentials.session_token is not None:
        headers["x-amz-security-token"] = credentials.session_token
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        ["GET", path, query, *(f"{name}:{headers[name]}" for name in sorted(headers)), "", names, _EMPTY_BODY]
    )
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    to_sign = "\n".join([_ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{credentials.secret_key}".encode()
    for part in (stamp[:8], region, "s3", "aws4_request"):
        key = _hmac(key, part)
    signature = _hmac(key, to_sign).hex()
    authorization = (
        f"{_ALGORITHM} Credential={credentials.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return [*headers.items(), ("authorization", authorization)]


def _encoded(value: str) -> str:
    return quote(value, safe="-_.~")


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
