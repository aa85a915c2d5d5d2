"""Settings of the API: where it listens, what it calls itself, how much it accepts."""

from __future__ import annotations

import base64
import re
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from pydantic import (
    Field,
    FieldSerializationInfo,
    SecretStr,
    ValidationInfo,
    field_serializer,
    field_validator,
)

from indexmill.settings_section import MIB, SettingsSection

__all__ = ["SECRET_KEY_BYTES", "ServerSettings", "revealed_secret"]

SECRET_KEY_BYTES = 32
#: Of a URL to which a path and a query are appended as they are.
_ADDRESS: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~%!$&'()*+,;=:@/-]*)?")


def _is_key(text: str) -> bool:
    with suppress(ValueError):
        return len(base64.b64decode(text, validate=True)) == SECRET_KEY_BYTES
    return False


def _is_address(url: str) -> bool:
    with suppress(ValueError):
        parts = urlsplit(url)
        return _ADDRESS.fullmatch(url) is not None and bool(parts.hostname) and parts.port != 0
    return False


def revealed_secret(value: SecretStr | None, info: FieldSerializationInfo) -> str | None:
    """The secret, where whoever serializes has said that it may be shown."""
    if value is None:
        return None
    return value.get_secret_value() if (info.context or {}).get("reveal") else str(value)


class ServerSettings(SettingsSection):
    """Where the API listens and how much it accepts."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    body_limit_bytes: int = Field(default=64 * MIB, ge=1024)
    #: Of requests that carry a file; they are not in memory.
    upload_limit_bytes: int = Field(default=512 * MIB, ge=1024)
    max_items: int = Field(default=200_000, ge=1)
    search_timeout_seconds: float = Field(default=10, ge=0.001, le=3600)
    #: What links in answers begin with; by default the address that the request was sent to.
    public_url: str | None = None
    #: Base64 of 32 random bytes; seals stored credentials and signs URLs. By default made in the data folder.
    secret_key: SecretStr | None = None
    #: Earlier ones, whose work can still be read.
    old_secret_keys: tuple[SecretStr, ...] = ()

    @field_validator("secret_key", "old_secret_keys")
    @classmethod
    def _keys(
        cls, value: SecretStr | tuple[SecretStr, ...] | None, info: ValidationInfo
    ) -> SecretStr | tuple[SecretStr, ...] | None:
        for each in (value or ()) if not isinstance(value, SecretStr) else (value,):
            if not _is_key(each.get_secret_value()):
                raise ValueError(
                    f"server.{info.field_name}: expected base64 of {SECRET_KEY_BYTES} random bytes "
                    "(`openssl rand -base64 32`), got something else"
                )
        return value

    @field_validator("public_url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        if url is not None and not _is_address(url):
            # It may hold a password: it is not shown.
            raise ValueError(
                "server.public_url: expected http(s)://host[:port][/path] without user, query and fragment, "
                "as in https://index.example.org, got something else"
            )
        return url if url is None else url.rstrip("/")

    @field_serializer("secret_key", when_used="json")
    def _reveal(self, value: SecretStr | None, info: FieldSerializationInfo) -> str | None:
        return revealed_secret(value, info)

    @field_serializer("old_secret_keys", when_used="json")
    def _reveal_all(self, value: tuple[SecretStr, ...], info: FieldSerializationInfo) -> list[str | None]:
        return [revealed_secret(each, info) for each in value]
