"""The guard: without authentication only programs of this machine may call, not the web pages in its browser."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from indexmill.errors import IndexmillError
from indexmill.http.problems import Problem

__all__ = ["Guard"]

_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]", "testserver"})
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """Pure ASGI, so that it costs a few microseconds.

    Where callers have to show credentials (`is_locked`) the name of the host does not matter: a page has none to show.
    A page that rebinds its own name to 127.0.0.1 still sends its name as Host; a page that posts to localhost still
    sends its Origin. Both are refused with 403.
    """

    def __init__(
        self, app: ASGIApp, shape: Callable[[str, Problem], Response], is_locked: Callable[[], Awaitable[bool]]
    ) -> None:
        self._app = app
        self._shape = shape
        self._is_locked = is_locked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = await self._problem(scope) if scope["type"] == "http" else None
        if problem is None:
            await self._app(scope, receive, send)
            return
        await self._shape(scope["path"], problem)(scope, receive, send)

    async def _problem(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if _name(host) not in _LOOPBACK_NAMES and not await self._lets_in_every_host():
            return Problem(
                403,
                "host_not_allowed",
                "expected localhost, 127.0.0.1 or [::1] as Host, as long as there is no API key; "
                "a proxy in front must send one of these",
            )
        origin = headers.get("origin")
        if origin is None or scope["method"] in _SAFE_METHODS or _same_host(origin.lower(), host):
            return None
        return Problem(403, "origin_not_allowed", "web pages of other sites may not change anything here")

    async def _lets_in_every_host(self) -> bool:
        try:
            return await self._is_locked()
        except IndexmillError:
            # Not known: then as if there were none.
            return False


def _name(host: str) -> str:
    """The host without its port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _same_host(origin: str, host: str) -> bool:
    scheme, _, rest = origin.partition("://")
    return scheme in ("http", "https") and rest == host
