"""OAuth 2.0 client credentials: an API key exchanged for a token, as a JSON body or as the form that RFC 6749 wants."""

from __future__ import annotations

import asyncio
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict
from pydantic_core import from_json
from starlette.requests import ClientDisconnect

from indexmill.errors import LimitReached, SettingsError, Unauthorized
from indexmill.http.answers import json_answer
from indexmill.http.auth import Need, basic_credentials, gate_of, needs
from indexmill.http.problems import Problem, ShapedRoute
from indexmill.security.tokens import TOKEN_SECONDS

__all__ = ["TokenBody", "token_router"]

_MAX_BODY: Final = 16 * 1024
_BODY_SECONDS: Final = 20.0
_GRANT: Final = "client_credentials"
_EXAMPLE: Final[dict[str, Any]] = {
    "client_id": "k3v7q2mzx4ta",
    "client_secret": "im_k3v7q2mzx4ta_...",
    "grant_type": _GRANT,
}
_NOT_STORED: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_ERRORS: Final = {400: "invalid_request", 401: "invalid_client", 403: "access_denied", 429: "slow_down"}


class TokenBody(BaseModel):
    """`client_id`: the API key's id. `client_secret`: the key."""

    model_config = ConfigDict(extra="ignore", json_schema_extra={"example": _EXAMPLE})

    client_id: str
    client_secret: str
    grant_type: str


class TokenAnswer(BaseModel):
    access_token: str
    token_type: str
    expires_in: int


class TokenProblem(BaseModel):
    """As RFC 6749, section 5.2."""

    error: str
    error_description: str


class _TokenRoute(ShapedRoute):
    @staticmethod
    def shape(problem: Problem) -> Response:
        error = _ERRORS.get(problem.status, "server_error")
        return _refusal(problem.status, error, problem.message, dict(problem.headers))


def token_router() -> APIRouter:
    router = APIRouter(route_class=_TokenRoute, tags=["tokens"])
    reference = {"schema": {"$ref": f"#/components/schemas/{TokenBody.__name__}"}}
    for path, operation, kind in (
        ("/oauth/token", "create_token", "application/json"),
        ("/oauth2/token", "create_token_by_form", "application/x-www-form-urlencoded"),
    ):
        router.add_api_route(
            path,
            _token,
            methods=["POST"],
            operation_id=operation,
            summary="Exchange an API key for a token",
            description="Client credentials: the client id is the key's id, the secret is the key, in the body or as "
            "Basic authentication. The token does for half an hour what the key may do; send it as `Authorization: "
            "Bearer`.",
            response_model=TokenAnswer,
            responses={
                status: {"model": TokenProblem, "description": meaning}
                for status, meaning in (
                    (400, "The request is not one of the grant `client_credentials`."),
                    (401, "There is no such client, or the secret is another."),
                    (403, "The `Host` is foreign, or a web page asks."),
                    (429, "Too many requests; try again after `Retry-After` seconds."),
                    (503, "Tokens cannot be made: the extra `auth` is missing, or the database does not answer."),
                )
            },
            openapi_extra={"requestBody": {"required": True, "content": {kind: reference}}},
        )
    return router


@needs(Need.PUBLIC)
async def _token(request: Request) -> Response:
    body = await _body(request)
    if body is None:
        return _refusal(400, "invalid_request", f"Expected a JSON object or a form of at most {_MAX_BODY} bytes")
    fields = _fields(body, request.headers.get("content-type", ""))
    client = _client(request, fields)
    if fields is None or client is None or "grant_type" not in fields:
        return _refusal(400, "invalid_request", "Expected grant_type, client_id and client_secret, each once")
    if fields.get("grant_type") != _GRANT:
        return _refusal(400, "unsupported_grant_type", f"grant_type: expected `{_GRANT}`")
    try:
        token = await gate_of(request).authenticate_client(request, *client)
    except Unauthorized as error:
        return _refusal(401, "invalid_client", str(error), {"WWW-Authenticate": 'Basic realm="indexmill"'})
    except LimitReached as error:
        return _refusal(429, "slow_down", str(error), {"Retry-After": str(error.retry_after)})
    except SettingsError as error:
        return _refusal(503, "server_error", str(error))
    answer = {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS}
    return json_answer(answer, headers=_NOT_STORED)


async def _body(request: Request) -> bytes | None:
    """None: it is too large, too slow, or broke off."""
    data = bytearray()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in request.stream():
                data += chunk
                if len(data) > _MAX_BODY:
                    return None
    except (TimeoutError, ClientDisconnect):
        return None
    return bytes(data)


def _fields(body: bytes, content_type: str) -> dict[str, str] | None:
    """Of either kind, on both paths: clients differ in what they send. None: it cannot be read, or repeats itself."""
    if content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=50)
        except ValueError:
            return None
        return dict(pairs) if len(dict(pairs)) == len(pairs) else None
    try:
        found: Any = from_json(body)
    except ValueError:
        return None
    return {name: value for name, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else None


def _client(request: Request, fields: dict[str, str] | None) -> tuple[str, str] | None:
    """Id and secret."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        shown = basic_credentials(value)
        return None if shown is None else (unquote_plus(shown[0]), unquote_plus(shown[1]))
    found = fields or {}
    if "client_id" not in found or "client_secret" not in found:
        return None
    return found["client_id"], found["client_secret"]


def _refusal(status: int, error: str, message: str, headers: dict[str, str] | None = None) -> Response:
    return json_answer({"error": error, "error_description": message}, status, {**_NOT_STORED, **(headers or {})})
