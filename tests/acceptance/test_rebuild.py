"""A rebuild in a running service: its workers do it, its sweep builds the index, a killed worker costs a slice."""

from __future__ import annotations

import pytest

from indexmill.domain.job_state import JobState
from indexmill.engine import Engine
from indexmill.ledger.ledger import open_ledger
from indexmill.models.model_cache import ModelCache
from indexmill.settings import Settings
from indexmill.vectors.pgvector_store import PgvectorStore
from tests.acceptance.fixtures import StartService
from tests.acceptance.items import short_items
from tests.running_service import wait_until

pytestmark = pytest.mark.acceptance


def test_a_rebuild_survives_its_worker(start_service: StartService, settings: Settings) -> None:
    service = start_service(
        INDEXMILL_SEARCH__EXACT_CHUNKS="100", INDEXMILL_WORKER__LEASE_SECONDS="3", INDEXMILL_WORKER__RENEW_SECONDS="0.5"
    )
    service.deploy()
    service.run(short_items(300), task_id="all")
    service.wait("all")

    def collection() -> dict[str, object]:
        answer = service.http.get("/collections").json()
        return next(each for each in answer["collections"] if each["name"] == "tiny")

    wait_until(lambda: collection()["index"] == "hnsw", 60, "the sweep builds an index")
    ledger = open_ledger(service.database_url, settings)
    try:
        engine = Engine(ledger, PgvectorStore(ledger.database), ModelCache(), lambda: None)
        job = engine.rebuild("tiny")
        wait_until(lambda: engine.find(str(job.id)).state is not JobState.QUEUED, 30, "a worker takes the rebuild")
        service.workers()[0].kill()
        ended = wait_until(lambda: (found := engine.find(str(job.id))).is_terminal and found, 90, "the rebuild ends")
        assert ended.state is JobState.SUCCEEDED
        assert ended.result["index"] == "hnsw"
    finally:
        ledger.database.close()
    found = collection()
    assert (found["generation"], found["index"], found["chunks"]) == (2, "hnsw", 300)
    assert found["recall"] == ended.result["recall_at_10"]
    hits = service.http.post(
        "/search", json={"collection": "tiny", "text": short_items(1)[0]["payload"]["text"]}
    ).json()
    assert hits["hits"][0]["document_id"] == "doc-0"
