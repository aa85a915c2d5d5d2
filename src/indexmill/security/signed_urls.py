"""URLs that stand for a permission: for one purpose, one path and a while, with claims that nobody can change."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Final
from urllib.parse import parse_qsl, urlencode

from indexmill.errors import LinkRefused
from indexmill.security.keyring import Derives

__all__ = ["LinkPurpose", "UrlSigner"]

_EXPIRES: Final = "expires"
_SIGNATURE: Final = "signature"
_MAX_QUERY: Final = 4096


class LinkPurpose(StrEnum):
    """What a URL is good for; for another purpose it is worth nothing."""

    #: PUT the bytes of one object.
    UPLOAD = "upload"
    #: GET one job's report.
    REPORT = "report"


class UrlSigner:
    """Whoever has such a URL may use it, with no other key: give it to nobody else, and let it expire soon."""

    def __init__(self, keyring: Derives) -> None:
        self._keyring = keyring

    @cached_property
    def _keys(self) -> tuple[bytes, ...]:
        return self._keyring.derived("sign urls")

    def sign(
        self, purpose: LinkPurpose, path: str, expires_at: datetime, claims: Mapping[str, str] | None = None
    ) -> str:
        """The query of the URL, percent-encoded.

        Args:
            path: as the server sees it: decoded, without what a proxy has put before it.
            claims: strings that the URL says, and `verify` gives back.
        """
        given = dict(claims or {})
        if {_EXPIRES, _SIGNATURE} & given.keys():
            raise ValueError(f"expected claims of other names than {_EXPIRES} and {_SIGNATURE}, got {sorted(given)}")
        said = {**given, _EXPIRES: str(int(expires_at.timestamp()))}
        return urlencode({**said, _SIGNATURE: _signature(self._keys[0], purpose, path, said)})

    def verify(self, purpose: LinkPurpose, path: str, query: str, now: datetime | None = None) -> dict[str, str]:
        """The claims.

        Args:
            query: as it came, without `?`.

        Raises:
            LinkRefused: not signed by this service for this purpose, path and claims, or expired.
        """
        pairs = parse_qsl(query, keep_blank_values=True) if len(query) <= _MAX_QUERY else []
        said = dict(pairs)
        signature, expires = said.pop(_SIGNATURE, "").encode(), said.get(_EXPIRES, "")
        # All keys are tried, so that the time says nothing of which one it was.
        matches = [hmac.compare_digest(_signature(key, purpose, path, said).encode(), signature) for key in self._keys]
        if len(said) + 1 != len(pairs) or not any(matches):
            raise LinkRefused("Expected a URL as this service has signed it, whole and unchanged; ask for a new one")
        at = datetime.fromtimestamp(int(expires), UTC)
        if (now or datetime.now(UTC)) >= at:
            raise LinkRefused(f"The URL has expired at {at.isoformat()}; ask for a new one")
        del said[_EXPIRES]
        return said


def _signature(key: bytes, purpose: LinkPurpose, path: str, said: Mapping[str, str]) -> str:
    # JSON has one reading: nothing of one part can pass for the beginning of the next.
    message = json.dumps([str(purpose), path, sorted(said.items())]).encode()
    return base64.urlsafe_b64encode(hmac.digest(key, message, hashlib.sha256)).decode().rstrip("=")
