"""The door over the real verbs and a database: what they give is what the vendor's schema has; no worker runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.testclient import TestClient

from indexmill.engine import Engine
from indexmill.http.app import create_app
from indexmill.http.service import Service
from indexmill.knowledge_bases import KnowledgeBases
from tests.dialects.indexing_jobs import vendor_models as vendor
from tests.dialects.indexing_jobs.conftest import Checked
from tests.dialects.indexing_jobs.fake_knowledge_bases import FakeIndexingService

BUCKET = {"spaces_data_source": {"bucket_name": "handbook", "item_path": "public/", "region": "nyc3"}}
AWS = {"aws_data_source": {"bucket_name": "b", "key_id": "k", "secret_key": "hidden-secret", "region": "eu"}}


@pytest.fixture
def send(engine: Engine, tmp_path: Path) -> Iterator[Checked]:
    engine.deploy("embed-123", "deterministic", {"dimension": 8})
    service: Any = FakeIndexingService(data_folder=tmp_path)
    service.engine = engine
    service.knowledge_bases = KnowledgeBases(engine, lambda *_: b"sealed", lambda *_: None)
    with TestClient(create_app(cast("Service", service)), base_url="http://localhost:8080") as http:
        yield Checked(http)


def test_a_knowledge_base_from_its_making_to_its_end(send: Checked) -> None:
    body = {
        "name": "handbook",
        "embedding_model_uuid": "embed-123",
        "datasources": [BUCKET, AWS],
        "tags": ["a"],
    }
    made = send(vendor.KnowledgeBaseAnswer, "POST", "knowledge_bases", body).knowledge_base
    assert made.last_indexing_job is not None
    job, path = str(made.last_indexing_job.uuid), f"knowledge_bases/{made.uuid}"
    refused = send.refused(400, "POST", "indexing_jobs", {"knowledge_base_uuid": made.uuid})
    assert "already has an indexing job running" in refused.message
    assert job in refused.message

    changed = send(vendor.KnowledgeBaseAnswer, "PUT", path, {"project_id": "p"}).knowledge_base
    assert (changed.name, changed.tags, changed.project_id) == ("handbook", ["a"], "p")
    sources = send(vendor.DataSourceList, "GET", f"{path}/data_sources")
    first, second = sources.knowledge_base_data_sources
    assert (first.region, second.last_datasource_indexing_job is not None) == ("nyc3", True)
    options = {"chunking_options": {"max_chunk_size": 64}}
    send(vendor.DataSourceAnswer, "PUT", f"{path}/data_sources/{first.uuid}", options)
    page = send(vendor.DataSourceList, "GET", f"{path}/data_sources?per_page=1&page=2")
    assert [each.uuid for each in page.knowledge_base_data_sources] == [second.uuid]

    cancelled = send(vendor.JobAnswer, "PUT", f"indexing_jobs/{job}/cancel").job
    assert (cancelled.status, cancelled.phase) == ("INDEX_JOB_STATUS_CANCELLED", "BATCH_JOB_PHASE_CANCELLED")
    assert {each.status for each in cancelled.data_source_jobs or []} == {"DATA_SOURCE_STATUS_CANCELLED"}
    again = send(
        vendor.JobAnswer,
        "POST",
        "indexing_jobs",
        {"knowledge_base_uuid": made.uuid, "data_source_uuids": [second.uuid]},
    ).job
    assert (again.data_source_uuids, again.total_datasources) == ([second.uuid], 1)
    jobs = send(vendor.JobList, "GET", f"{path}/indexing_jobs").jobs
    assert [each.uuid for each in jobs] == [again.uuid, job]
    assert send(vendor.JobAnswer, "GET", f"indexing_jobs/{again.uuid}").job == again

    found = send(vendor.Retrieved, "POST", f"/{made.uuid}/retrieve", {"query": "anything", "num_results": 3})
    assert found.total_results == 0
    assert send(vendor.DataSourceDeleted, "DELETE", f"{path}/data_sources/{second.uuid}").data_source_uuid
    unknown = {"knowledge_base_uuid": made.uuid, "data_source_uuids": [second.uuid]}
    send.refused(404, "POST", "indexing_jobs", unknown)
    assert send(vendor.KnowledgeBaseDeleted, "DELETE", path).uuid == made.uuid
    send.refused(404, "GET", path)
    send.refused(404, "GET", f"{path}/indexing_jobs")
    assert "hidden-secret" not in send.http.get("/v2/gen-ai/indexing_jobs").text
