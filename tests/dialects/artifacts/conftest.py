"""One service for all tests of front door 2; each uses a collection of its own."""

from __future__ import annotations

import itertools

import pytest

from tests.acceptance.fixtures import shared_service
from tests.artifact_client import ArtifactClient
from tests.running_service import RunningService

__all__ = ["shared_service"]

_numbers = itertools.count(1)


@pytest.fixture
def client(shared_service: RunningService) -> ArtifactClient:
    return ArtifactClient(shared_service, f"collection {next(_numbers)}")
