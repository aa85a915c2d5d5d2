"""One RabbitMQ for a module's tests; each test uses exchanges and queues of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rabbitmq_server import RabbitmqServer


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[RabbitmqServer]:
    with RabbitmqServer() as server:
        yield server
