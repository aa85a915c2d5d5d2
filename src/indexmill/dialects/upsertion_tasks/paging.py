"""The headers of a page: `X-Total-Count`, and `Link` (RFC 8288) to the next, previous and first page."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request

from indexmill.domain.job import JobPage

__all__ = ["PAGE_HEADERS", "page_headers"]

#: As the OpenAPI document describes them.
PAGE_HEADERS: Final[dict[str, Any]] = {
    "X-Total-Count": {
        "description": "How many tasks match; `10000+` beyond 10,000.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9]+\\+?$"},
        "example": "42",
    },
    "Link": {
        "description": "The next, previous and first page (RFC 8288); the last page has no `next`.",
        "required": True,
        "schema": {"type": "string"},
        "example": '</internal/upsertion-tasks/list?limit=10&offset=10>; rel="next", '
        '</internal/upsertion-tasks/list?limit=10>; rel="first"',
    },
}


def page_headers(request: Request, page: JobPage, *, offset: int, limit: int, after: str | None) -> dict[str, str]:
    links = [_link(request, "first", {})]
    if page.has_more and page.jobs:
        onward = {"offset": str(offset + limit)} if after is None else {"after": page.jobs[-1].name}
        links.insert(0, _link(request, "next", onward))
    if offset:
        before = max(0, offset - limit)
        links.append(_link(request, "prev", {"offset": str(before)} if before else {}))
    total = str(page.total) if page.total_is_exact else f"{page.total}+"
    return {"X-Total-Count": total, "Link": ", ".join(links)}


def _link(request: Request, rel: str, place: dict[str, str]) -> str:
    """A link relative to the host, so that it also holds behind a proxy; the rest of the query is kept."""
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in ("offset", "after")]
    query = urlencode([*kept, *place.items()])
    path = request.scope.get("root_path", "") + request.url.path
    return f'<{path}{"?" if query else ""}{query}>; rel="{rel}"'
