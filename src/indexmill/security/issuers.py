"""Tokens of other issuers: checked with the keys that they publish, for the tenant and role that the settings say."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from indexmill.access_settings import IssuerSettings
from indexmill.domain.principal import Role
from indexmill.errors import IndexmillError, ServiceError, Unauthorized
from indexmill.security.tokens import LEEWAY_SECONDS, jwt_library
from indexmill.sources.http_client import HttpClient, check_status, parse_url
from indexmill.sources.source import Deadline

__all__ = ["ExternalIssuer", "Identity", "fetch_keys"]

_log = logging.getLogger(__name__)

#: Algorithm -> type and curve of its keys. All are asymmetric: what is published must not make tokens.
_ALGORITHMS: Final = {"RS256": ("RSA", None), "ES256": ("EC", "P-256"), "EdDSA": ("OKP", "Ed25519")}
_MIN_RSA_BITS: Final = 2048
_MAX_BYTES: Final = 256 * 1024
_MAX_KEYS: Final = 100
_FETCH_SECONDS: Final = 5.0
_KEPT_SECONDS: Final = 600.0
#: Between two fetches, however many tokens name a key that is not there.
_PAUSE_SECONDS: Final = 30.0
#: Tokens that wait for keys at the same time; more come again.
_MAX_WAITING: Final = 2
#: How long keys are used on while the issuer does not answer.
_STALE_SECONDS: Final = 3600.0


@dataclass(frozen=True)
class Identity:
    """Whom a token of another issuer is for; `expires_at`: seconds since 1970."""

    tenant: str
    role: Role
    subject: str
    expires_at: float


@dataclass
class _PublishedKeys:
    """An issuer's keys as last fetched. Fetching can take seconds: who finds its key here waits for nobody."""

    fetch: Callable[[], list[dict[str, Any]]]
    _keys: list[dict[str, Any]] = field(default_factory=list)
    _fetched_at: float = float("-inf")
    _tried_at: float = float("-inf")
    #: Held while keys are fetched.
    _fetching: threading.Lock = field(default_factory=threading.Lock)
    _waiting: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(_MAX_WAITING))

    def named(self, kid: object, kind: tuple[str, str | None]) -> dict[str, Any] | None:
        """
        Raises:
            ServiceError: there are none, and they cannot be fetched; or too many wait for them.
        """
        found = _chosen(self._keys, kid, kind)
        if found is None or self._is_older_than(_KEPT_SECONDS):
            # One fetches. With a key that is there nobody waits for that one, without one few do.
            if found is None or self._is_older_than(_STALE_SECONDS):
                self._wait_and_fetch(kid, kind)
            elif self._fetching.acquire(blocking=False):
                self._fetch_and_release()
            found = _chosen(self._keys, kid, kind)
        if self._is_older_than(_STALE_SECONDS):
            raise ServiceError("auth.issuers: the keys of an issuer of tokens cannot be fetched")
        return found

    def _is_older_than(self, seconds: float) -> bool:
        return time.monotonic() - self._fetched_at > seconds

    def _wait_and_fetch(self, kid: object, kind: tuple[str, str | None]) -> None:
        if not self._waiting.acquire(blocking=False):
            raise ServiceError("auth.issuers: too many tokens wait for the keys of their issuer")
        try:
            self._fetching.acquire()
            if _chosen(self._keys, kid, kind) is not None and not self._is_older_than(_KEPT_SECONDS):
                # Somebody was faster.
                self._fetching.release()
            else:
                self._fetch_and_release()
        finally:
            self._waiting.release()

    def _fetch_and_release(self) -> None:
        """With `_fetching` held: fetch, unless that was tried a moment ago."""
        try:
            now = time.monotonic()
            if now - self._tried_at > _PAUSE_SECONDS:
                self._tried_at = now
                self._keys = self.fetch()
                self._fetched_at = time.monotonic()
        except (IndexmillError, ValueError, RecursionError) as error:
            _log.warning("auth.issuers: keys could not be fetched: %s", error)
        finally:
            self._fetching.release()


class ExternalIssuer:
    """One entry of `auth.issuers`; may be used by several threads."""

    def __init__(self, settings: IssuerSettings, fetch: Callable[[], list[dict[str, Any]]]) -> None:
        self.settings = settings
        self._keys = _PublishedKeys(fetch)

    def identify(self, token: str, header: dict[str, Any]) -> Identity:
        """Whom the token is for.

        Raises:
            Unauthorized: it is not this issuer's, not for this service, was changed, or is not good now.
            ServiceError: the issuer's keys cannot be fetched.
            SettingsError: the extra is missing.
        """
        jwt = jwt_library()
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS or "crit" in header:
            raise Unauthorized("The token is not valid")
        published = self._keys.named(header.get("kid"), _ALGORITHMS[algorithm])
        if published is None or published.get("alg", algorithm) != algorithm:
            raise Unauthorized("The token is not valid")
        try:
            key = jwt.PyJWK(published, algorithm=algorithm)
            if algorithm == "RS256" and key.key.key_size < _MIN_RSA_BITS:
                raise Unauthorized("The token is signed with too short a key")
            claims = jwt.decode(
                token,
                key.key,
                algorithms=[algorithm],
                audience=self.settings.audience,
                issuer=self.settings.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "aud", "iss"]},
            )
            return self._identity(claims)
        except jwt.ExpiredSignatureError as error:
            raise Unauthorized("The token has expired; get a new one") from error
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError, OverflowError) as error:
            # Besides the library's own: what is published is no key, or a private one, or a time is no number, or one
            # that is too large for a float.
            raise Unauthorized("The token is not valid") from error

    def _identity(self, claims: dict[str, Any]) -> Identity:
        tenant = self.settings.tenant
        if tenant is None:
            named = claims.get(self.settings.tenant_claim or "")
            if not isinstance(named, str | int) or isinstance(named, bool) or not str(named):
                raise Unauthorized(f"The token names no tenant: expected the claim `{self.settings.tenant_claim}`")
            tenant = str(named)
        subject = f"{self.settings.issuer}|{claims.get('sub', '')}"[:255]
        return Identity(tenant, self._role(claims), subject, float(claims["exp"]))

    def _role(self, claims: dict[str, Any]) -> Role:
        given = claims.get(self.settings.role_claim or "", ())
        words = given.split() if isinstance(given, str) else given if isinstance(given, list) else ()
        roles = [Role(each) for each in words if isinstance(each, str) and each in set(Role)]
        return max([self.settings.role, *roles], key=lambda role: role.rank)


def _chosen(keys: list[dict[str, Any]], kid: object, kind: tuple[str, str | None]) -> dict[str, Any] | None:
    """The key that the token names; where it names none, the only one that fits."""
    fitting = [each for each in keys if (each.get("kty"), each.get("crv") if kind[1] else None) == kind]
    if kid is not None:
        return next((each for each in fitting if each.get("kid") == kid), None)
    return fitting[0] if len(fitting) == 1 else None


def fetch_keys(client: HttpClient, url: str) -> list[dict[str, Any]]:
    """The keys of a JWK set, those for signatures.

    Raises:
        IndexmillError, ValueError: there is none at this address.
    """
    asked = parse_url(url)
    data = bytearray()
    with client.get(asked, Deadline(_FETCH_SECONDS, setting="auth.issuers")) as response:
        check_status(response.status, asked.host)
        for chunk in response.body():
            data += chunk
            if len(data) > _MAX_BYTES:
                raise ValueError(f"expected at most {_MAX_BYTES} bytes of keys, got more")
    found = json.loads(data)
    keys = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(keys, list):
        raise ValueError(  # noqa: TRY004 - what came, not how we were called
            "expected a JWK set: an object with the list `keys`"
        )
    return [each for each in keys[:_MAX_KEYS] if isinstance(each, dict) and each.get("use", "sig") == "sig"]
