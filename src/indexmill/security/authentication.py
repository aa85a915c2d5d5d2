"""Who shows these credentials: an API key, a token of ours, or one of another issuer."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg

from indexmill.access_settings import OWN_ISSUER
from indexmill.domain.api_key import KEY_PREFIX, ApiKey, hash_of, key_id_of
from indexmill.domain.principal import Principal
from indexmill.errors import InvalidRequest, ServiceError, Unauthorized
from indexmill.ledger.api_keys import ApiKeys, FoundKey
from indexmill.ledger.tenants import Tenants
from indexmill.security.issuers import ExternalIssuer
from indexmill.security.tokens import Tokens, jwt_library

__all__ = ["REMEMBERED_SECONDS", "Authenticator", "shown_name"]

_log = logging.getLogger(__name__)

#: So long a key that was disabled may still open.
REMEMBERED_SECONDS: Final = 3.0
_MAX_REMEMBERED: Final = 4096
_MAX_TOKEN: Final = 8192
#: A key's beginning, which `indexmill keys list` shows too.
_KEY_ID: Final = re.compile(r"im_[a-z2-7]{12}(?=_)")
_INVALID_KEY: Final = "The API key is not valid"


@dataclass
class Authenticator:
    """One a process; every method may be called from several threads. What has I/O says so: call it in a thread.

    `welcome` is called with each tenant that this process meets, before its first request is answered.
    """

    keys: ApiKeys
    tenants: Tenants
    tokens: Tokens
    issuers: Mapping[str, ExternalIssuer] = field(default_factory=dict)
    is_always_required: bool = False
    welcome: Callable[[int], None] = lambda _: None
    _remembered: OrderedDict[bytes, tuple[Principal, float]] = field(default_factory=OrderedDict)
    _welcomed: set[int] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _has_keys: bool | None = None
    _looked_at: float = float("-inf")

    # Whether anybody has to show any

    @property
    def known_requirement(self) -> bool | None:
        """Whether credentials are required, as far as that is known without I/O; None: ask `is_required`."""
        if self.is_always_required or self._has_keys:
            return True
        return False if time.monotonic() - self._looked_at < REMEMBERED_SECONDS else None

    def is_required(self) -> bool:
        """Once there was a key, even a disabled one, nobody comes in without: disabling the last one opens nothing.

        I/O.

        Raises:
            ServiceError: the database could not be reached.
        """
        known = self.known_requirement
        if known is None:
            known = self._look()
        return known

    def _look(self) -> bool:
        try:
            self._has_keys = self.keys.has_any()
        except (ServiceError, psycopg.Error):
            # What was known a moment ago still holds; whatever the request wants of the database fails by itself.
            if self._has_keys is None:
                raise
        self._looked_at = time.monotonic()
        return self._has_keys

    # Who it is

    def remembered(self, credential: str) -> Principal | None:
        """Who showed the same a moment ago."""
        with self._lock:
            found = self._remembered.get(_digest(credential))
        return found[0] if found is not None and found[1] > time.monotonic() else None

    def authenticate(self, credential: str) -> Principal:
        """Whose API key or token this is. I/O.

        Raises:
            Unauthorized: nobody's.
            ServiceError: the database, or an issuer, could not be reached.
            SettingsError: it is a token, and the extra for tokens is missing.
        """
        started = time.monotonic()
        if credential.startswith(KEY_PREFIX):
            key = self._opened(credential)
            principal, seconds = Principal(key.tenant, key.role, key.id, key.name), REMEMBERED_SECONDS
        else:
            principal, seconds = self._of_token(credential)
        if principal.tenant not in self._welcomed:
            self.welcome(principal.tenant)
            self._welcomed.add(principal.tenant)
        self._remember(credential, principal, started + min(seconds, REMEMBERED_SECONDS))
        return principal

    def client(self, client_id: str, client_secret: str) -> ApiKey:
        """The key that an OAuth client's credentials are: its id, and the key as its secret. I/O.

        Raises:
            Unauthorized: they are none.
        """
        key = self._opened(client_secret)
        if not hmac.compare_digest(key.id.encode(), client_id.encode(errors="replace")):
            raise Unauthorized(_INVALID_KEY)
        return key

    def token_for(self, key: ApiKey) -> str:
        """Raises: SettingsError."""
        return self.tokens.issue(key)

    def note_failures(self, refused: int, throttled: int) -> None:
        """Count who was not let in, for the metrics. I/O."""
        try:
            self.keys.add_failures(refused, throttled)
        except (ServiceError, psycopg.Error) as error:
            # Whoever was refused has been told; nobody waits for this.
            _log.warning("failed log-ins were not counted: %s", error)

    def _opened(self, text: str) -> ApiKey:
        key_id = key_id_of(text)
        found = self.keys.find(key_id) if key_id is not None else None
        # Compared also where there is none: the time says nothing.
        is_same = hmac.compare_digest(found.hash if found is not None else b"\0" * 32, hash_of(text))
        if found is None or not is_same:
            raise Unauthorized(_INVALID_KEY)
        return self._good(found)

    def _good(self, found: FoundKey) -> ApiKey:
        if not found.is_good:
            is_disabled = found.key.disabled_at is not None
            raise Unauthorized("The API key is disabled" if is_disabled else "The API key has expired")
        if found.is_unseen:
            self.keys.note_use(found.key.id)
        return found.key

    def _of_token(self, token: str) -> tuple[Principal, float]:
        """And for how many seconds it is good."""
        header, claims = _unverified(token)
        if claims.get("iss") == OWN_ISSUER:
            said = self.tokens.claims(token, header)
            found = self.keys.find(str(said["sub"]))
            if found is None or found.key.tenant != said["tenant"]:
                raise Unauthorized("The token is not valid")
            # What the key may now: a token is worth no more than the key that it was given for.
            key = self._good(found)
            return Principal(key.tenant, key.role, key.id, key.name), said["exp"] - time.time()
        issuer = self.issuers.get(str(claims.get("iss")))
        if issuer is None:
            raise Unauthorized("The token is not valid")
        identity = issuer.identify(token, header)
        try:
            tenant = self.tenants.ensure(identity.tenant)
        except InvalidRequest as error:
            raise Unauthorized("The token names no tenant") from error
        return Principal(tenant.id, identity.role, identity.subject), identity.expires_at - time.time()

    def _remember(self, credential: str, principal: Principal, until: float) -> None:
        with self._lock:
            self._remembered[_digest(credential)] = (principal, until)
            while len(self._remembered) > _MAX_REMEMBERED:
                self._remembered.popitem(last=False)


def shown_name(credential: str) -> str:
    """What may be said of a credential in a log: never what it opens with."""
    form = _KEY_ID.match(credential)
    if form is not None:
        return form[0]
    return "a token" if credential.count(".") == 2 else "neither a key nor a token"


def _digest(credential: str) -> bytes:
    return hashlib.sha256(credential.encode(errors="replace")).digest()


def _unverified(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, only to know who is said to have made it.

    Raises:
        Unauthorized: it is no token.
        SettingsError: the extra is missing.
    """
    if len(token) > _MAX_TOKEN or token.count(".") != 2:
        raise Unauthorized("The credentials are neither an API key nor a token")
    jwt = jwt_library()
    try:
        whole = jwt.decode_complete(token, options={"verify_signature": False})
    except (jwt.PyJWTError, RecursionError) as error:
        raise Unauthorized("The token is not valid") from error
    return whole["header"], whole["payload"]
