"""Keys of pages: where a listing goes on, and of what; signed, and each good for one listing and tenant."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

from indexmill.errors import InvalidRequest
from indexmill.security.keyring import Derives

__all__ = ["PageKeys"]

_DIGEST_BYTES: Final = 32
#: A listing by the most corpora that one may name has a shorter one.
_MAX_KEY: Final = 32_768


class PageKeys:
    """What a key says can be read by whoever has it, and changed by nobody."""

    def __init__(self, keyring: Derives) -> None:
        self._keyring = keyring

    @cached_property
    def _keys(self) -> tuple[bytes, ...]:
        return self._keyring.derived("sign page keys")

    def seal(self, listing: str, tenant: int, content: Mapping[str, Any]) -> str:
        """URL-safe base64 without padding.

        Args:
            listing: what is listed; the key is good for nothing else.
            content: what JSON has.
        """
        said = json.dumps(content, separators=(",", ":")).encode()
        return _encoded(_digest(self._keys[0], listing, tenant, said) + said)

    def open(self, listing: str, tenant: int, key: str) -> dict[str, Any]:
        """The content. Clients may have written it in the other alphabet of base64, or padded it.

        Raises:
            InvalidRequest: not a key of this service, whole and unchanged, for this listing and tenant.
        """
        plain = key.translate(str.maketrans("+/", "-_")).rstrip("=")
        try:
            sealed = base64.urlsafe_b64decode(plain + "=" * (-len(plain) % 4)) if len(plain) <= _MAX_KEY else b""
        except (binascii.Error, ValueError):
            sealed = b""
        digest, said = sealed[:_DIGEST_BYTES], sealed[_DIGEST_BYTES:]
        # All keys are tried, so that the time says nothing of which one it was.
        matches = [hmac.compare_digest(_digest(each, listing, tenant, said), digest) for each in self._keys]
        # The last character has bits that mean nothing.
        if not any(matches) or _encoded(sealed) != plain:
            raise InvalidRequest(
                "page key: expected the key of the page before, whole and unchanged, from the same listing; "
                "leave it out to begin with the first page"
            )
        content: dict[str, Any] = json.loads(said)
        return content


def _digest(key: bytes, listing: str, tenant: int, said: bytes) -> bytes:
    return hmac.digest(key, json.dumps([listing, tenant]).encode() + b"\0" + said, hashlib.sha256)


def _encoded(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")
