"""Absolute links to this service: below `server.public_url`, or below the address that the request was sent to."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias
from urllib.parse import quote

from starlette.requests import Request

from indexmill.http.problems import Problem, ProblemError

__all__ = ["MakeLink", "link_maker"]

#: The absolute link to a path of this service, decoded, with this query, percent-encoded.
MakeLink: TypeAlias = Callable[[Request, str, str], str]
#: A host, and perhaps a port. Anything else in a `Host` header would be read as another part of the link.
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_PATH_CHARACTERS: Final = "/:@!$&'()*+,;=~"


def link_maker(public_url: str | None) -> MakeLink:
    """`public_url`: as the settings have it, without a slash at its end; None: each request's own address."""

    def link(request: Request, path: str, query: str) -> str:
        base = public_url or _address(request)
        return f"{base}{quote(path, safe=_PATH_CHARACTERS)}{'?' if query else ''}{query}"

    return link


def _address(request: Request) -> str:
    """
    Raises:
        ProblemError: the `Host` header is none.
    """
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        raise ProblemError(
            Problem(
                400, "bad_request", "Host: expected a host name or address, perhaps with a port, got something else"
            )
        )
    return f"{request.url.scheme}://{host}"
