"""The page at `/docs`: one self-contained file that renders the OpenAPI document and loads nothing else."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from fastapi import APIRouter, Response

from indexmill.http.auth import Need, needs

__all__ = ["docs_router"]

_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def docs_router() -> APIRouter:
    router = APIRouter(include_in_schema=False)
    page = files("indexmill.http").joinpath("docs.html").read_bytes()

    @router.get("/docs")
    @needs(Need.PUBLIC)
    async def docs() -> Response:
        return Response(page, media_type="text/html", headers={"Content-Security-Policy": _POLICY})

    return router
