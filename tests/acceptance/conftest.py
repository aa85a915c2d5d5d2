"""The fixtures of tests with real processes; every test here is an acceptance test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.fixtures import (
    embedding_log,
    rabbitmq_server,
    redis_server,
    shared_service,
    start_service,
    start_worker,
    view,
)

__all__ = [
    "embedding_log",
    "rabbitmq_server",
    "redis_server",
    "shared_service",
    "start_service",
    "start_worker",
    "view",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("acceptance")
