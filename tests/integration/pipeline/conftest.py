"""Fixtures of the tests that run windows in their own process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from indexmill.engine import Engine
from indexmill.settings import Settings
from tests.documents import Library
from tests.draining import Deploy, log_path


@pytest.fixture
def deploy(engine: Engine, tmp_path: Path) -> Deploy:
    """Deploy a deterministic model that logs what it is given; the answer is its id."""

    def deploy_with(**options: Any) -> str:
        model = f"m{len(engine.deployments())}"
        engine.deploy(model, "deterministic", {"dimension": 8, "log_path": log_path(tmp_path), **options})
        (tmp_path / "embedded.log").unlink()
        return model

    return deploy_with


@pytest.fixture
def library(engine: Engine, deploy: Deploy, settings: Settings) -> Iterator[Library]:
    made = Library(engine, settings, deploy())
    yield made
    made.close()
