"""Documents as large as they may be, and larger: memory stays bounded."""

from __future__ import annotations

import pytest

from tests.acceptance.fixtures import StartService
from tests.acceptance.processes import memory_peaks
from tests.artifact_client import ArtifactClient

_MB = 1_000_000


@pytest.mark.timeout(600)
def test_fifty_megabytes_are_indexed_and_three_hundred_are_refused_in_bounded_memory(
    start_service: StartService,
) -> None:
    client = ArtifactClient(start_service())
    line = "Some words about neural nets and gardens, line {:9}.\n\n"
    text = "".join(line.format(number) for number in range(52 * _MB // len(line)))[: 50 * _MB]
    with memory_peaks(client.service) as found:
        status = client.wait(client.ingest(client.text("large", text)), timeout=500)
        assert status["task_status"] == "SUCCESS", status
        assert client.search("neural nets", limit=1)[0]["document"]["artifact"] == "large"
        refused = client.post_async(client.text("larger", text * 6))
    assert refused.status_code == 413
    assert "sources.max_bytes" in refused.json()["detail"]
    assert client.ids() == ["large"]
    assert found["indexmill.api_process"] < 400 * _MB
    assert found["indexmill.worker.celery_process"] < 1200 * _MB
