"""Tokens of this service's own: signed JWTs for half an hour, which an API key is exchanged for."""

from __future__ import annotations

import hashlib
import time
from functools import cached_property
from types import ModuleType
from typing import Any, Final
from uuid import uuid4

from indexmill.access_settings import OWN_ISSUER
from indexmill.domain.api_key import ApiKey
from indexmill.errors import SettingsError, Unauthorized
from indexmill.security.keyring import Derives

__all__ = ["LEEWAY_SECONDS", "TOKEN_SECONDS", "Tokens", "jwt_library"]

TOKEN_SECONDS: Final = 1800
#: How far the clocks of two hosts may be apart.
LEEWAY_SECONDS: Final = 30
#: HMAC with a key of our own: nobody but this service reads its tokens, and its hosts share the secret key anyway, so
#: a pair of keys would only be one more thing to publish and to change.
_ALGORITHM: Final = "HS256"


def jwt_library() -> ModuleType:
    """
    Raises:
        SettingsError: the extra is missing.
    """
    try:
        import jwt
    except ImportError as error:
        raise SettingsError(
            "Tokens need the package `pyjwt`: install the extra `auth` (indexmill[auth]); API keys work without it"
        ) from error
    return jwt


class Tokens:
    """Made and read with keys that are derived from the service's secret key."""

    def __init__(self, keyring: Derives) -> None:
        self._keyring = keyring

    @cached_property
    def _keys(self) -> dict[str, bytes]:
        """By the names that tokens give them; the first signs."""
        return {hashlib.sha256(b"kid" + key).hexdigest()[:16]: key for key in self._keyring.derived("sign tokens")}

    def issue(self, key: ApiKey) -> str:
        """
        Raises:
            SettingsError: the extra is missing, or the secret key.
        """
        now = int(time.time())
        claims = {
            "iss": OWN_ISSUER,
            "aud": OWN_ISSUER,
            "sub": key.id,
            "tenant": key.tenant,
            "role": str(key.role),
            "iat": now,
            "nbf": now,
            "exp": now + TOKEN_SECONDS,
            "jti": uuid4().hex,
        }
        kid, secret = next(iter(self._keys.items()))
        token: str = jwt_library().encode(claims, secret, algorithm=_ALGORITHM, headers={"kid": kid})
        return token

    def claims(self, token: str, header: dict[str, Any]) -> dict[str, Any]:
        """What a token of ours says.

        Raises:
            Unauthorized: it is none, was changed, or is not good now.
            SettingsError: as `issue`.
        """
        jwt = jwt_library()
        kid = header.get("kid")
        secret = self._keys.get(kid) if isinstance(kid, str) else None
        if secret is None or header.get("alg") != _ALGORITHM:
            raise Unauthorized("The token is not valid")
        required = ["exp", "nbf", "iat", "aud", "iss", "sub", "tenant", "role"]
        try:
            found: dict[str, Any] = jwt.decode(
                token,
                secret,
                algorithms=[_ALGORITHM],
                audience=OWN_ISSUER,
                issuer=OWN_ISSUER,
                leeway=LEEWAY_SECONDS,
                options={"require": required},
            )
        except jwt.ExpiredSignatureError as error:
            raise Unauthorized("The token has expired; get a new one") from error
        except jwt.PyJWTError as error:
            raise Unauthorized("The token is not valid") from error
        return found
