"""Pieces of the OpenAPI document: bodies that routes read themselves, and every status that can be answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from indexmill.http.problems import NativeInvalid, NativeProblem

__all__ = ["NATIVE_ERRORS", "ErrorModels", "document_of", "json_body", "problems"]

_REFERENCE: Final = "#/components/schemas/{model}"
_MEANINGS: Final = {
    400: "The client went away before the body was complete.",
    403: "The `Host` is not this machine, or the request comes from a web page of another site.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    409: "The request contradicts what is stored.",
    413: "The body is larger than the limit (`server.body_limit_bytes`, 1 MiB where no items are sent, "
    "`server.upload_limit_bytes` where a file is), "
    "or has more items than `server.max_items`.",
    422: "The request is not valid; the answer names each wrong input.",
    503: "A part of the service does not answer; try again after `Retry-After` seconds.",
}


@dataclass(frozen=True)
class ErrorModels:
    """How a door writes its errors, and its 422."""

    problem: type[BaseModel]
    invalid: type[BaseModel]


NATIVE_ERRORS: Final = ErrorModels(NativeProblem, NativeInvalid)


def problems(models: ErrorModels, *statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of an operation that can answer with these statuses."""
    return {
        status: {
            "model": models.invalid if status == 422 else models.problem,
            "description": _MEANINGS[status],
        }
        for status in statuses
    }


def json_body(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """The `openapi_extra` of an operation whose JSON body the route reads itself."""
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": _REFERENCE.format(model=model.__name__)},
                    "examples": {"example": {"value": example}},
                }
            },
        },
    }


def document_of(app: FastAPI, models: list[type[BaseModel]]) -> dict[str, Any]:
    """The whole document, with the schemas of `models`, which FastAPI does not know of."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    _, schemas = models_json_schema([(model, "validation") for model in models], ref_template=_REFERENCE)
    document.setdefault("components", {}).setdefault("schemas", {}).update(schemas.get("$defs", {}))
    return document
