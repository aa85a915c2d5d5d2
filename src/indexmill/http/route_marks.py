"""Every route of the app, and what a caller must be for it: checked when the app is made, told in OpenAPI."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from fastapi import FastAPI
from starlette.routing import BaseRoute, Route

from indexmill.http.auth import Need, need_of
from indexmill.http.problems import ShapedRoute

__all__ = ["check_marks", "need_of_route", "public_operations", "routes_of"]

#: Made by FastAPI itself, as a plain route that no schema shows.
_OWN_DOCUMENT: Final = "/openapi.json"


def routes_of(app: FastAPI) -> list[Route]:
    """Those of included routers too, with their whole paths.

    Raises:
        RuntimeError: one of a kind that nobody has thought of: a mounted app, a web socket.
    """
    return list(_each(app.router))


def _each(router: Any) -> Iterator[Route]:
    # Newer FastAPI has routes that are looked at when no other fits, of files (`frontend`).
    routes: Sequence[BaseRoute] = [*router.routes, *getattr(router, "_low_priority_routes", ())]
    for route in routes:
        # Newer FastAPI keeps included routers as they are.
        included: Any = getattr(route, "original_router", None)
        if included is not None:
            if getattr(getattr(route, "include_context", None), "prefix", ""):
                raise RuntimeError("expected routers without a prefix: the paths of their routes must be whole")
            yield from _each(included)
        elif isinstance(route, Route):
            yield route
        else:
            raise RuntimeError(f"expected plain routes, got {type(route).__name__}, which nothing authenticates")


def need_of_route(route: Route) -> Need:
    if route.path == _OWN_DOCUMENT and type(route) is Route and not route.include_in_schema:
        return Need.PUBLIC
    return need_of(route.endpoint, set(route.methods or ()))


def check_marks(app: FastAPI) -> None:
    """
    Raises:
        RuntimeError: a route neither authenticates nor says that it is public.
    """
    for route in routes_of(app):
        if not isinstance(route, ShapedRoute) and need_of_route(route) is not Need.PUBLIC:
            raise RuntimeError(
                f"{route.path}: expected a route class that authenticates (ShapedRoute), or the mark `public`, "
                f"got {type(route).__name__}"
            )


def public_operations(app: FastAPI) -> set[str]:
    """The operation ids of public routes."""
    found = (getattr(route, "operation_id", None) for route in routes_of(app) if need_of_route(route) is Need.PUBLIC)
    return {each for each in found if each}
