"""Seals what callers entrust to this service, keys of their buckets: a copy of the database does not give it away."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Final

from indexmill.errors import SettingsError, SourceError
from indexmill.security.keyring import Derives

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["SecretBox"]

_VERSION: Final = b"\x01"
_TAG_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_HEAD_BYTES: Final = len(_VERSION) + _TAG_BYTES


class SecretBox:
    """AES-256-GCM. What is sealed says which key it needs, so that keys can be changed."""

    def __init__(self, keyring: Derives) -> None:
        self._keyring = keyring

    @cached_property
    def _keys(self) -> dict[bytes, bytes]:
        return {_tag(key): key for key in reversed(self._keyring.derived("seal secrets"))}

    @property
    def _current(self) -> bytes:
        return next(reversed(self._keys))

    def seal(self, secrets: Mapping[str, str], context: str = "") -> bytes:
        """`context`: what they belong to; sealed for one thing they do not open for another.

        Raises:
            SettingsError: the extra is missing.
        """
        head = _VERSION + self._current
        nonce = os.urandom(_NONCE_BYTES)
        data = json.dumps(dict(secrets), separators=(",", ":")).encode()
        return head + nonce + _cipher(self._keys[self._current]).encrypt(nonce, data, head + context.encode())

    def open(self, sealed: bytes, context: str = "") -> dict[str, str]:
        """
        Raises:
            SourceError: `secrets_unreadable`, they were sealed with another key or for another context, or are damaged.
            SettingsError: the extra is missing.
        """
        head, nonce = sealed[:_HEAD_BYTES], sealed[_HEAD_BYTES : _HEAD_BYTES + _NONCE_BYTES]
        key = self._keys.get(head[1:]) if head[:1] == _VERSION else None
        if key is None:
            raise SourceError(
                "secrets_unreadable",
                "The credentials were stored under another `server.secret_key`; add that one to "
                "`server.old_secret_keys`, or give the credentials again",
            )
        cipher = _cipher(key)
        from cryptography.exceptions import InvalidTag

        try:
            opened: dict[str, str] = json.loads(
                cipher.decrypt(nonce, sealed[_HEAD_BYTES + _NONCE_BYTES :], head + context.encode())
            )
        except (InvalidTag, ValueError) as error:
            raise SourceError("secrets_unreadable", "The stored credentials are damaged; give them again") from error
        return opened


def _cipher(key: bytes) -> AESGCM:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise SettingsError(
            "Storing credentials needs the package `cryptography`: install the extra `sources` (indexmill[sources])"
        ) from error
    return AESGCM(key)


def _tag(key: bytes) -> bytes:
    """Of a hash, never of the key itself."""
    return hashlib.sha256(b"tag" + key).digest()[:_TAG_BYTES]
