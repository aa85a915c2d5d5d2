"""Documents as large as they may be, and larger: memory stays bounded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from tests.acceptance.fixtures import StartService
from tests.acceptance.processes import family_of
from tests.artifact_client import ArtifactClient
from tests.running_service import RunningService

_MB = 1_000_000


@contextmanager
def peaks(service: RunningService) -> Iterator[dict[str, int]]:
    """The most memory of each process that the service has, in bytes, by what it runs."""
    found: dict[str, int] = {}
    ending = threading.Event()

    def watch() -> None:
        while not ending.wait(0.1):
            for process in family_of(service):
                try:
                    name = next((part for part in process.cmdline() if part.startswith("indexmill.")), process.name())
                    found[name] = max(found.get(name, 0), process.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        ending.set()
        thread.join()


@pytest.mark.timeout(600)
def test_fifty_megabytes_are_indexed_and_three_hundred_are_refused_in_bounded_memory(
    start_service: StartService,
) -> None:
    client = ArtifactClient(start_service())
    line = "Some words about neural nets and gardens, line {:9}.\n\n"
    text = "".join(line.format(number) for number in range(52 * _MB // len(line)))[: 50 * _MB]
    with peaks(client.service) as found:
        status = client.wait(client.ingest(client.text("large", text)), timeout=500)
        assert status["task_status"] == "SUCCESS", status
        assert client.search("neural nets", limit=1)[0]["document"]["artifact"] == "large"
        refused = client.post_async(client.text("larger", text * 6))
    assert refused.status_code == 413
    assert "sources.max_bytes" in refused.json()["detail"]
    assert client.ids() == ["large"]
    assert found["indexmill.api_process"] < 400 * _MB
    assert found["indexmill.worker.celery_process"] < 1200 * _MB
