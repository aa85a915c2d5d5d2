"""Pieces of the OpenAPI document: bodies that routes read themselves, and every status that can be answered."""

from __future__ import annotations

import re
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


#: How a caller says who it is; none of them is needed on loopback while there is no API key.
_SCHEMES: Final[dict[str, Any]] = {
    "api_key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "An API key."},
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a token."},
    "basic": {"type": "http", "scheme": "basic", "description": "An API key as the password; artifacts only."},
    "client_credentials": {
        "type": "oauth2",
        "description": "An API key's id and the key, exchanged for a token.",
        "flows": {"clientCredentials": {"tokenUrl": "/oauth2/token", "scopes": {}}},
    },
}
_OF_CALLERS: Final = {
    "401": "No credentials, or some that open nothing.",
    "429": "A limit of the tenant; try again after `Retry-After` seconds.",
}


def document_of(app: FastAPI, models: list[type[BaseModel]], public: set[str]) -> dict[str, Any]:
    """The whole document, with the schemas of `models`, which FastAPI does not know of.

    `public`: ids of the operations that need no credentials.
    """
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    _, schemas = models_json_schema([(model, "validation") for model in models], ref_template=_REFERENCE)
    document.setdefault("components", {}).setdefault("schemas", {}).update(schemas.get("$defs", {}))
    _name_by_door(document)
    _add_security(document, public)
    return document


def _name_by_door(document: dict[str, Any]) -> None:
    """Models of one name in several modules come with the modules' paths, which no reader or generated client needs."""
    schemas = document["components"]["schemas"]
    names = {name: _door_name(name) for name in schemas if "__" in name}
    if len(set(names.values()) | schemas.keys()) != len(names) + len(schemas):
        raise ValueError(f"two models of one door have one name: {sorted(names)}")
    references = {_REFERENCE.format(model=old): _REFERENCE.format(model=new) for old, new in names.items()}
    pending: list[Any] = [document]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            if node.get("$ref") in references:
                node["$ref"] = references[node["$ref"]]
            pending += node.values()
        elif isinstance(node, list):
            pending += node
    document["components"]["schemas"] = {names.get(name, name): schema for name, schema in schemas.items()}


def _door_name(name: str) -> str:
    """`indexmill__dialects__list_jobs__v1_wire__JobView` -> `ListJobsV1JobView`."""
    _, *places, module, model = name.split("__")
    door = places[1] if places[0] == "dialects" else "native"
    version = re.match(r"v\d", module)
    return "".join(word.capitalize() for word in door.split("_")) + (version.group().upper() if version else "") + model


def _add_security(document: dict[str, Any], public: set[str]) -> None:
    document["components"]["securitySchemes"] = _SCHEMES
    document["security"] = [{"api_key": []}, {"bearer": []}, {"client_credentials": []}, {}]
    for operation in (each for path in document["paths"].values() for each in path.values()):
        if operation.get("operationId") in public:
            operation["security"] = []
            continue
        if "artifacts" in operation.get("tags", ()):
            operation["security"] = [*document["security"], {"basic": []}]
        refused = operation["responses"].get("403", {})
        for status, meaning in _OF_CALLERS.items():
            # Written as this door writes all its errors.
            operation["responses"].setdefault(status, {**refused, "description": meaning})
