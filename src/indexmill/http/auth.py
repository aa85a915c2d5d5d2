"""The gate in front of every route: who asks, whether they may, and whether it is too much."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from functools import partial
from typing import Any, Final, TypeVar

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from indexmill.access_settings import AuthSettings
from indexmill.domain.api_key import KEY_PREFIX
from indexmill.domain.principal import LOCAL, Principal, Role
from indexmill.errors import Forbidden, IndexmillError, LimitReached, Unauthorized
from indexmill.http.client_address import address_of
from indexmill.http.identity import become, caller_of_request
from indexmill.security.authentication import Authenticator, shown_name
from indexmill.security.failed_logins import FailedLogins
from indexmill.security.limits import Limits

__all__ = ["Gate", "Metering", "Need", "basic_credentials", "gate_of", "need_of", "needs"]

_log = logging.getLogger(__name__)

T = TypeVar("T")
EndpointT = TypeVar("EndpointT", bound=Callable[..., Any])

_MARK: Final = "indexmill_need"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_THREADS: Final = 4
#: Failures of so long are counted together.
_COUNT_SECONDS: Final = 1.0


class Need(StrEnum):
    """What a caller must be for a route."""

    #: Nobody: probes, documentation, what a signed URL or a client's secret opens by itself.
    PUBLIC = "public"
    READ = "read"
    WRITE = "write"
    ADMIN = "admin"
    #: An admin of the tenant `default`: what is about all tenants together.
    OPERATOR = "operator"


def needs(need: Need) -> Callable[[EndpointT], EndpointT]:
    """Mark an endpoint; unmarked ones need `read` for GET and `write` for every other method."""

    def mark(endpoint: EndpointT) -> EndpointT:
        setattr(endpoint, _MARK, need)
        return endpoint

    return mark


def need_of(endpoint: Callable[..., Any], methods: set[str]) -> Need:
    marked = getattr(endpoint, _MARK, None)
    if isinstance(marked, Need):
        return marked
    return Need.READ if methods <= _SAFE_METHODS else Need.WRITE


class Gate:
    """One an app."""

    def __init__(self, authenticator: Authenticator, limits: Limits, settings: AuthSettings) -> None:
        self.authenticator = authenticator
        self.limits = limits
        self.failed_logins = FailedLogins(settings.failed_logins, settings.max_wait_seconds)
        self._trusted_proxies = settings.trusted_proxies
        # Apart from the engine's: who is to be let in waits for no submission.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="gate")
        # Apart again: who brings an API key waits for no other issuer, which may be slow.
        self._token_threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="gate-token")
        self._looking: asyncio.Task[bool] | None = None
        self._uncounted = {"refused": 0, "throttled": 0}
        self._counting: asyncio.Task[None] | None = None

    async def is_locked(self) -> bool:
        """Whether callers have to show credentials.

        Raises:
            ServiceError: the database could not be reached, and was never.
        """
        known = self.authenticator.known_requirement
        if known is not None:
            return known
        if self._looking is None or self._looking.done():
            # One look for all who wait.
            self._looking = asyncio.create_task(self._call(self.authenticator.is_required))
        return await asyncio.shield(self._looking)

    async def admit(self, request: Request, need: Need, *, takes_basic: bool = False) -> None:
        """Let the request in, or say why not.

        Raises:
            Unauthorized, Forbidden, LimitReached
            ServiceError: who it is cannot be known now.
        """
        if need is Need.PUBLIC:
            return
        principal = await self._principal(request, takes_basic=takes_basic)
        _check(principal, need)
        await self.enter(request, principal)

    async def enter(self, request: Request, principal: Principal) -> None:
        """Act for it until the end of the request. Public routes call it for whom a signed URL was given to.

        Raises:
            LimitReached
        """
        if self.limits.is_known(principal.tenant):
            rate = self.limits.take_request(principal.tenant)
        else:
            rate = await self._call(partial(self.limits.take_request, principal.tenant))
        become(principal, rate)
        if self.limits.has_byte_limit(principal.tenant) and request.method not in _SAFE_METHODS:
            await self._call(partial(self.limits.check_bytes, principal.tenant, _announced(request.headers)))

    async def _principal(self, request: Request, *, takes_basic: bool) -> Principal:
        if not await self.is_locked():
            return LOCAL
        credential = _presented(request.headers, takes_basic=takes_basic)
        known = self.authenticator.remembered(credential)
        if known is not None:
            return known
        return await self._opened(request, credential, partial(self.authenticator.authenticate, credential))

    async def _opened(self, request: Request, credential: str, look: Callable[[], T]) -> T:
        """What `look` finds of the credential, unless so many failed before it that it is not looked at.

        Raises:
            Unauthorized, LimitReached, ServiceError, SettingsError
        """
        address, failed = address_of(request, self._trusted_proxies), self.failed_logins

        def looked() -> T:
            # Again: the others of a crowd that came at once have failed meanwhile.
            failed.check(address, credential)
            try:
                found = look()
            except Unauthorized as error:
                self._note_failure(address, credential, error, request.scope["path"])
                raise
            failed.opened(credential)
            return found

        try:
            failed.check(address, credential)
            is_key = credential.startswith(KEY_PREFIX)
            return await self._call(looked, threads=self._threads if is_key else self._token_threads)
        except (Unauthorized, LimitReached) as error:
            self._count("refused" if isinstance(error, Unauthorized) else "throttled")
            raise

    def _note_failure(self, address: str, credential: str, error: Unauthorized, path: str) -> None:
        if self.failed_logins.failed(address, credential, str(error)):
            # What came is not trusted to be one line.
            _log.warning("not let in: %s from %s at %.200r: %s", shown_name(credential), address, path, error)

    def _count(self, what: str) -> None:
        self._uncounted[what] += 1
        if self._counting is None or self._counting.done():
            self._counting = asyncio.create_task(self._write_counts())

    async def _write_counts(self) -> None:
        """A moment later, in one statement: a flood of failures is no flood of writes."""
        while any(self._uncounted.values()):
            await asyncio.sleep(_COUNT_SECONDS)
            counts, self._uncounted = self._uncounted, dict.fromkeys(self._uncounted, 0)
            await self._call(partial(self.authenticator.note_failures, **counts))

    async def note_bytes(self, tenant: int, count: int) -> None:
        """Count what came in with a request; the answer has gone, so nobody is told where that fails."""
        if not count or (self.limits.is_known(tenant) and not self.limits.has_byte_limit(tenant)):
            return
        try:
            await self._call(partial(self.limits.note_bytes, tenant, count))
        except IndexmillError as error:
            _log.warning("bytes of a request were not counted: %s", error)

    async def _call(self, function: Callable[[], T], threads: ThreadPoolExecutor | None = None) -> T:
        return await asyncio.get_running_loop().run_in_executor(threads or self._threads, function)

    async def authenticate_client(self, request: Request, client_id: str, client_secret: str) -> str:
        """A token for the client. Raises: Unauthorized, LimitReached, SettingsError."""
        look = partial(self.authenticator.client, client_id, client_secret)
        # The wrong id for a secret is another credential than that secret.
        key = await self._opened(request, f"{client_secret}\0{client_id}", look)

        def exchange() -> str:
            self.limits.take_request(key.tenant)
            return self.authenticator.token_for(key)

        token = await self._call(exchange)
        # Its bearer has shown a secret that opens: other people's failures at the same address do not hold it up.
        self.failed_logins.opened(token)
        return token


def gate_of(request: Request) -> Gate:
    """The gate of the app that the request is for."""
    gate: Gate = request.app.state.gate
    return gate


def _presented(headers: Headers, *, takes_basic: bool) -> str:
    """The API key or token.

    Raises:
        Unauthorized: there is none.
    """
    key = headers.get("x-api-key")
    if key:
        return key.strip()
    scheme, _, value = headers.get("authorization", "").partition(" ")
    match scheme.lower():
        case "bearer" if value.strip():
            return value.strip()
        case "basic" if takes_basic:
            return _password(value)
        case _ if takes_basic and scheme and not value:
            # The key is the whole header, as a door may have it whose original compares the header with its secret.
            return scheme
    ways = "`x-api-key: KEY` or `Authorization: Bearer KEY`" + (", or as the password of Basic" if takes_basic else "")
    raise Unauthorized(f"Expected an API key or a token ({ways}), got none")


def basic_credentials(value: str) -> tuple[str, str] | None:
    """Name and password of what stands behind `Basic`; None: they cannot be read."""
    try:
        name, _, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except ValueError:
        # No base64, no ASCII, or no UTF-8 in it.
        return None
    return name, password


def _password(value: str) -> str:
    _, password = basic_credentials(value) or ("", "")
    if not password:
        raise Unauthorized("Expected an API key as the password of Basic authentication, got none")
    return password


def _check(principal: Principal, need: Need) -> None:
    if need is Need.OPERATOR:
        if not principal.is_operator:
            raise Forbidden("Expected an API key with the role `admin` of the tenant `default`")
    elif not principal.role.covers(Role(need.value)):
        raise Forbidden(f"Expected an API key with the role `{need}`, this one has `{principal.role}`")


def _announced(headers: Headers) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isdecimal() and len(length) < 20 else 0


class Metering:
    """Pure ASGI: gives each request its caller, and counts the bytes that it brings."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        count = 0

        async def counted() -> Message:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            return message

        with caller_of_request() as caller:
            try:
                await self._app(scope, counted, send)
            finally:
                if caller.principal is not None:
                    await self._gate.note_bytes(caller.principal.tenant, count)
