"""The fixtures of tests with real processes; every test here is long and runs by `make chaos` only."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.fixtures import embedding_log, redis_server, shared_service, start_service, start_worker, view

__all__ = ["embedding_log", "redis_server", "shared_service", "start_service", "start_worker", "view"]


@pytest.fixture
def postgres_folder() -> Iterator[Path]:
    """A data folder that PostgreSQL's system user can reach."""
    with tempfile.TemporaryDirectory(prefix="indexmill-chaos-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "data"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("chaos")
            item.add_marker(pytest.mark.timeout(900))
