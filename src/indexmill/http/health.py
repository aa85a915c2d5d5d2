"""Probes: whether the process lives, whether each part of the service is ready, and what it measured."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from indexmill.http.answers import json_answer
from indexmill.http.auth import Need, needs
from indexmill.http.openapi import NATIVE_ERRORS, problems
from indexmill.http.problems import NativeRoute
from indexmill.http.service import Service

__all__ = ["health_router"]


class Alive(BaseModel):
    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Each part: null where it is ready, else what is missing."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"ready": True, "parts": {"database": None, "broker": None}}}
    )

    ready: bool
    parts: dict[str, str | None]


def health_router(service: Service) -> APIRouter:
    router = APIRouter(route_class=NativeRoute, tags=["health"])

    @router.get(
        "/healthz",
        operation_id="healthz",
        summary="Is the process up?",
        response_model=Alive,
        responses=problems(NATIVE_ERRORS, 403),
    )
    @needs(Need.PUBLIC)
    async def healthz() -> Response:
        return json_answer({"status": "ok"})

    # These two are plain functions: they run in the server's own threads, so a busy engine does not silence them.
    @router.get(
        "/readyz",
        operation_id="readyz",
        summary="Which part is not ready?",
        response_model=Readiness,
        responses={
            503: {"model": Readiness, "description": "At least one part is not ready."},
            **problems(NATIVE_ERRORS, 403),
        },
    )
    @needs(Need.PUBLIC)
    def readyz() -> Response:
        parts = service.readiness()
        ready = all(problem is None for problem in parts.values())
        return json_answer({"ready": ready, "parts": parts}, 200 if ready else 503)

    @router.get(
        "/metrics",
        operation_id="metrics",
        summary="Measurements for Prometheus",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus' text format."},
            **problems(NATIVE_ERRORS, 403),
        },
    )
    @needs(Need.OPERATOR)
    def metrics() -> Response:
        return Response(service.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router
