"""API keys as text: `im_<id>_<secret><checksum>`, recognisable, checked before anybody asks the database."""

from __future__ import annotations

import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from indexmill.domain.principal import Role

__all__ = ["KEY_PREFIX", "ApiKey", "NewApiKey", "hash_of", "key_id_of", "new_api_key"]

#: What every key begins with, and nothing else that opens.
KEY_PREFIX: Final = "im_"
_ID_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"
_ID_LENGTH: Final = 12
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#: Of 256 bits and of 32 in base 62.
_SECRET_LENGTH: Final = 43
_CHECKSUM_LENGTH: Final = 6
_FORM: Final = re.compile(
    rf"im_(?P<id>[a-z2-7]{{{_ID_LENGTH}}})_[0-9A-Za-z]{{{_SECRET_LENGTH}}}(?P<checksum>[0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})"
)


@dataclass(frozen=True)
class ApiKey:
    """What is known of a key; never the key itself."""

    id: str
    tenant: int
    name: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    disabled_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True)
class NewApiKey:
    """The only place where the whole key is: shown once, kept nowhere."""

    id: str
    text: str = field(repr=False)

    @property
    def hash(self) -> bytes:
        return hash_of(self.text)


def new_api_key() -> NewApiKey:
    key_id = "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))
    body = f"im_{key_id}_{_in_digits(secrets.randbits(256), _SECRET_LENGTH)}"
    return NewApiKey(key_id, body + _checksum(body))


def key_id_of(text: str) -> str | None:
    """The key's id; None: it is no key, or not a whole one."""
    # What is no ASCII has no digits of ours.
    form = _FORM.fullmatch(text)
    if form is None or _checksum(text[:-_CHECKSUM_LENGTH]) != form["checksum"]:
        return None
    return form["id"]


def hash_of(text: str) -> bytes:
    """SHA-256. A slow hash protects what people choose; of 256 random bits nobody tries all, however fast the hash."""
    return hashlib.sha256(text.encode(errors="replace")).digest()


def _checksum(body: str) -> str:
    return _in_digits(zlib.crc32(body.encode()), _CHECKSUM_LENGTH)


def _in_digits(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
