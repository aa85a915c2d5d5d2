"""The native API of embedding models: deploy one under an id of your choice, list them, withdraw one."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import to_json

from indexmill.errors import InvalidRequest, ModelError
from indexmill.http.answers import json_answer, timestamp
from indexmill.http.auth import Need, needs
from indexmill.http.body import BodyReader
from indexmill.http.fields import Identifier
from indexmill.http.openapi import NATIVE_ERRORS, json_body, problems
from indexmill.http.problems import NativeRoute
from indexmill.http.service import Door
from indexmill.models.embedding_model import Deployment

__all__ = ["ModelRequest", "models_router"]

_EXAMPLE: Final[dict[str, Any]] = {"id": "embed-123", "provider": "static", "settings": {}}

# A path parameter: a model's id may hold slashes.
ModelId = Annotated[
    Identifier,
    Path(description="The id that it is deployed under.", openapi_examples={"model": {"value": "embed-123"}}),
]


class ModelRequest(BaseModel):
    model_config = ConfigDict(extra="ignore", json_schema_extra={"example": _EXAMPLE})

    id: Identifier = Field(description="What callers name the model by.")
    provider: Identifier = Field(description="`static` (the built-in model) or `deterministic` (for tests).")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="The provider's own, plus `text_keys`: which payload keys are embedded."
    )

    @field_validator("settings")
    @classmethod
    def _storable(cls, settings: dict[str, Any]) -> dict[str, Any]:
        # jsonb has no NUL; written out it is either this escape or a backslash and "u0000", which is refused along.
        if b"\\u0000" in to_json(settings):
            raise ValueError("expected settings without NUL characters")
        return settings


class ModelView(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={"example": _EXAMPLE | {"dimension": 256, "created_at": "2024-05-21T10:00:00Z"}}
    )

    id: str = Field(description="What callers name the model by; its collection has the same name.")
    provider: str
    settings: dict[str, Any]
    dimension: int = Field(description="How many numbers its vectors have, as measured when it was deployed.")
    created_at: str | None = Field(description="RFC 3339, UTC.")


class ModelList(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={"example": {"models": [_EXAMPLE | {"dimension": 256, "created_at": "2024-05-21T10:00:00Z"}]}}
    )

    models: list[ModelView]


def models_router(door: Door, bodies: BodyReader) -> APIRouter:
    router = APIRouter(prefix="/models", route_class=NativeRoute, tags=["models"])

    def deploy_sync(wanted: ModelRequest) -> tuple[Deployment, bool]:
        try:
            return door.engine.deploy(wanted.id, wanted.provider, wanted.settings)
        except ModelError as error:
            # Here it is the caller's own definition that does not load, not a service that is down.
            raise InvalidRequest(f"the model cannot be loaded: {error}") from error

    @router.post(
        "",
        operation_id="deploy_model",
        summary="Deploy a model",
        description="Loads the model, measures its dimension and opens its collection. The same definition again "
        "answers 200, another definition under the same id 409.",
        status_code=201,
        response_model=ModelView,
        responses={
            200: {"model": ModelView, "description": "It is deployed already, with the same definition."},
            **problems(NATIVE_ERRORS, 400, 403, 408, 409, 413, 422, 503),
        },
        openapi_extra=json_body(ModelRequest, _EXAMPLE),
    )
    @needs(Need.ADMIN)
    async def deploy(request: Request) -> Response:
        async with bodies.read(request, ModelRequest) as body:
            deployed, created = await door.call(deploy_sync, body.value)
        return json_answer(_view(deployed), 201 if created else 200)

    @router.get(
        "",
        operation_id="list_models",
        summary="List the deployed models",
        description="Without those that were withdrawn.",
        response_model=ModelList,
        responses=problems(NATIVE_ERRORS, 403, 503),
    )
    async def list_models() -> Response:
        deployed = await door.call(door.engine.deployments)
        return json_answer({"models": [_view(each) for each in deployed]})

    @router.delete(
        "/{model_id:path}",
        operation_id="withdraw_model",
        summary="Withdraw a model",
        description="Its queued jobs are refused, its running ones fail; what was indexed stays.",
        status_code=204,
        response_class=Response,
        responses=problems(NATIVE_ERRORS, 403, 404, 409, 422, 503),
    )
    @needs(Need.ADMIN)
    async def withdraw(model_id: ModelId) -> Response:
        await door.call(door.engine.withdraw, model_id)
        return Response(status_code=204)

    return router


def _view(deployed: Deployment) -> dict[str, Any]:
    return {
        "id": deployed.id,
        "provider": deployed.provider,
        "settings": deployed.settings,
        "dimension": deployed.dimension,
        "created_at": timestamp(deployed.created_at) if deployed.created_at is not None else None,
    }
