"""The service's secret key: a setting, or made in the data folder at its first use; and the keys derived from it."""

from __future__ import annotations

import base64
import binascii
import errno
import hashlib
import hmac
import os
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, Protocol

from indexmill.errors import ServiceError, SettingsError
from indexmill.settings import SECRET_KEY_BYTES, Settings

__all__ = ["Derives", "Keyring", "LateKeyring", "open_keyring"]

_FILE: Final = "secret_key"
_SALT: Final = b"indexmill keys 1"


class Derives(Protocol):
    def derived(self, purpose: str) -> tuple[bytes, ...]:
        """Keys for one purpose, the one in use first."""


@dataclass(frozen=True)
class Keyring:
    """The key in use first, then earlier ones: what they made can still be read."""

    keys: tuple[bytes, ...] = field(repr=False)

    def derived(self, purpose: str) -> tuple[bytes, ...]:
        """Keys for one purpose, in the same order; none of them tells anything of those of another."""
        return tuple(_hkdf(key, purpose) for key in self.keys)


class LateKeyring:
    """The keyring of these settings, opened when the first secret or link needs it: many services never do."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _keyring(self) -> Keyring:
        return open_keyring(self._settings)

    def derived(self, purpose: str) -> tuple[bytes, ...]:
        """
        Raises:
            SettingsError, ServiceError: as `open_keyring`.
        """
        return self._keyring.derived(purpose)


def open_keyring(settings: Settings) -> Keyring:
    """`server.secret_key` and `server.old_secret_keys`; without the former the key in the data folder.

    Raises:
        SettingsError: with a database of your own there must be a setting: hosts that share it must share the key.
        ServiceError: the data folder's key cannot be read or made.
    """
    server = settings.server
    old = tuple(base64.b64decode(key.get_secret_value()) for key in server.old_secret_keys)
    if server.secret_key is not None:
        return Keyring((base64.b64decode(server.secret_key.get_secret_value()), *old))
    if settings.database.url is not None:
        raise SettingsError(
            f"server.secret_key: expected base64 of {SECRET_KEY_BYTES} random bytes because database.url is set, got "
            "nothing; make one with `openssl rand -base64 32` and give it to every host"
        )
    return Keyring((_key_of_folder(settings.data_folder), *old))


def _key_of_folder(folder: Path) -> bytes:
    path = folder / _FILE
    try:
        if not path.exists():
            _make(path)
        key = base64.b64decode(path.read_bytes(), validate=False)
    except (OSError, binascii.Error) as error:
        raise ServiceError(f"The key in the data folder (`{_FILE}`) cannot be read or made") from error
    if len(key) != SECRET_KEY_BYTES:
        raise ServiceError(f"The key in the data folder (`{_FILE}`) is damaged; restore it from a backup")
    return key


def _make(path: Path) -> None:
    """Whole or not at all; of several processes that make one, the first has its way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Readable by this user only.
    descriptor, half = tempfile.mkstemp(dir=path.parent, prefix=f"{_FILE}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(os.urandom(SECRET_KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        _place(Path(half), path)
    finally:
        Path(half).unlink(missing_ok=True)


def _place(half: Path, path: Path) -> None:
    try:
        os.link(half, path)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.ENOTSUP}:
            raise
        # Nothing can have two names here.
        half.replace(path)


def _hkdf(key: bytes, purpose: str) -> bytes:
    """HKDF-SHA256 (RFC 5869), one block."""
    extracted = hmac.digest(_SALT, key, hashlib.sha256)
    return hmac.digest(extracted, purpose.encode() + b"\x01", hashlib.sha256)
