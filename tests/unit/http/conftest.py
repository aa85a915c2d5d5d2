"""A client of the app, with a fake service behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
from starlette.testclient import TestClient

from indexmill.http.app import create_app
from indexmill.http.service import Service
from tests.unit.http.fake_service import FakeEngine, FakeService


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def engine(service: FakeService) -> FakeEngine:
    return service.engine


@pytest.fixture
def client(service: FakeService) -> Iterator[TestClient]:
    with TestClient(create_app(cast("Service", service)), raise_server_exceptions=False) as made:
        yield made
