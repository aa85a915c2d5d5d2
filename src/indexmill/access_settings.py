"""Settings of who may come in, and how much each tenant may ask for."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from indexmill.domain.principal import Role
from indexmill.settings_section import SettingsSection

__all__ = ["OWN_ISSUER", "AuthSettings", "IssuerSettings", "LimitSettings"]

#: What this service's own tokens say of who made them, and for whom.
OWN_ISSUER = "indexmill"


class IssuerSettings(SettingsSection):
    """Somebody else whose tokens are taken. The tenant is fixed, or named by a claim."""

    issuer: str = Field(min_length=1, max_length=1000)
    audience: str = Field(min_length=1, max_length=1000)
    jwks_url: str
    tenant: str | None = Field(default=None, min_length=1, max_length=255)
    tenant_claim: str | None = Field(default=None, min_length=1, max_length=255)
    #: A claim with `read`, `write` or `admin`, or several of them.
    role_claim: str | None = Field(default=None, min_length=1, max_length=255)
    #: Where no claim says more.
    role: Role = Role.READ

    @model_validator(mode="after")
    def _one_tenant(self) -> IssuerSettings:
        if (self.tenant is None) == (self.tenant_claim is None):
            raise ValueError("auth.issuers: expected exactly one of tenant and tenant_claim for each issuer")
        if self.issuer == OWN_ISSUER:
            raise ValueError(f"auth.issuers: expected another issuer than {OWN_ISSUER!r}, which is this service itself")
        return self

    @field_validator("jwks_url")
    @classmethod
    def _web_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
            raise ValueError("auth.issuers.jwks_url: expected https://host[:port]/path, got something else")
        return url


class AuthSettings(SettingsSection):
    """Who may come in."""

    #: `auto`: on loopback only once there is an API key, or another issuer; on every other address always.
    required: Literal["auto", "always"] = "auto"
    issuers: tuple[IssuerSettings, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> AuthSettings:
        names = [each.issuer for each in self.issuers]
        if len(set(names)) != len(names):
            raise ValueError("auth.issuers: expected each issuer once")
        return self


class LimitSettings(SettingsSection):
    """Of every tenant that has none of its own (`indexmill tenants set`); 0: no limit."""

    requests_per_minute: int = Field(default=0, ge=0, le=10_000_000)
    queued_items: int = Field(default=0, ge=0)
    bytes_per_day: int = Field(default=0, ge=0)
