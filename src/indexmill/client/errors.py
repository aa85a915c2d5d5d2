"""What a call to the service can end with, as exceptions whose message is one sentence.

ClientError
├── ServiceUnreachable   nothing answers at the address
├── ServiceFailed        it answered that it cannot (5xx), or something that is not its API
├── ResourceNotFound     404
├── RequestConflict      409
├── RequestRefused       any other 4xx: the request is wrong
│   └── NotAllowed       401, 403: no API key, or one that may not do this
└── WaitTimeout          the job had not ended in time
"""

from __future__ import annotations

from typing import Any

import httpx

__all__ = [
    "ClientError",
    "NotAllowed",
    "RequestConflict",
    "RequestRefused",
    "ResourceNotFound",
    "ServiceFailed",
    "ServiceUnreachable",
    "WaitTimeout",
    "error_of",
]


class ClientError(Exception):
    """A call to the service did not work."""


class ServiceUnreachable(ClientError):
    """Nothing answers at the address, or not in time."""


class ServiceFailed(ClientError):
    """The service answered that it cannot do it now."""


class ResourceNotFound(ClientError):
    """The job, model or collection does not exist."""


class RequestConflict(ClientError):
    """The request contradicts what is stored."""


class RequestRefused(ClientError):
    """The service does not accept the request."""


class NotAllowed(RequestRefused):
    """The service wants an API key, or one that may do more."""


class WaitTimeout(ClientError):
    """The job had not ended in time; it goes on."""


def error_of(response: httpx.Response) -> ClientError:
    """The exception for an answer that is not a success."""
    sentence = _sentence(response)
    if response.status_code == 404:
        return ResourceNotFound(sentence)
    if response.status_code == 409:
        return RequestConflict(sentence)
    if response.status_code in (401, 403):
        return NotAllowed(sentence)
    return RequestRefused(sentence) if response.is_client_error else ServiceFailed(sentence)


def _sentence(response: httpx.Response) -> str:
    """The service's own words: native errors have `error.message`, the front door's have `detail`."""
    try:
        body: Any = response.json()
    except ValueError:
        body = None
    if isinstance(body, dict):
        error, detail = body.get("error"), body.get("detail")
        if isinstance(error, dict) and isinstance(error.get("message"), str):
            return str(error["message"])
        if isinstance(detail, str):
            return detail
        if isinstance(detail, list) and detail:
            return "; ".join(_input_problem(each) for each in detail)
    asked = f"{response.request.method} {response.url}"
    return f"The service answered {response.status_code} {response.reason_phrase} to {asked}"


def _input_problem(detail: Any) -> str:
    if not isinstance(detail, dict):
        return str(detail)
    where = ".".join(str(part) for part in detail.get("loc", ()))
    return f"{where}: {detail.get('msg', 'not accepted')}"
