"""The Python client of a running service. It shares no code with the service: what it knows is the HTTP API."""

from __future__ import annotations

from indexmill.client.client import DEFAULT_URL, IndexmillClient
from indexmill.client.errors import (
    ClientError,
    NotAllowed,
    RequestConflict,
    RequestRefused,
    ResourceNotFound,
    ServiceFailed,
    ServiceUnreachable,
    WaitTimeout,
)
from indexmill.client.records import Collection, FailedItem, Hit, Job, JobPage, Model

__all__ = [
    "DEFAULT_URL",
    "ClientError",
    "Collection",
    "FailedItem",
    "Hit",
    "IndexmillClient",
    "Job",
    "JobPage",
    "Model",
    "NotAllowed",
    "RequestConflict",
    "RequestRefused",
    "ResourceNotFound",
    "ServiceFailed",
    "ServiceUnreachable",
    "WaitTimeout",
]
