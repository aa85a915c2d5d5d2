"""With `server.public_url` every link of this door begins with it, whatever the `Host` of a request says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from starlette.testclient import TestClient

from indexmill.domain.job_state import JobState, Reason
from indexmill.http.app import create_app
from indexmill.http.service import Service
from indexmill.settings import ServerSettings
from tests.dialects.indexing_jobs.fake_knowledge_bases import FakeIndexingService

PUBLIC = "https://index.example.org/mill"
API = "/v2/gen-ai"


@pytest.fixture
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeIndexingService, TestClient]]:
    service = FakeIndexingService(data_folder=tmp_path_factory.mktemp("data"))
    server = ServerSettings(public_url=f"{PUBLIC}/")
    service.settings = service.settings.model_copy(update={"server": server})
    service.empty()
    with TestClient(create_app(cast("Service", service)), base_url="http://localhost:8080") as client:
        yield service, client


def _links(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _links(each)
    elif isinstance(value, list):
        for each in value:
            yield from _links(each)
    elif isinstance(value, str) and value.startswith("http"):
        yield value


def test_every_link_begins_with_it_and_works(proxied: tuple[FakeIndexingService, TestClient]) -> None:
    service, http = proxied
    for number in range(3):
        source = {"spaces_data_source": {"bucket_name": f"bucket-{number}"}}
        http.post(f"{API}/knowledge_bases", json={"name": f"kb {number}", "datasources": [source, source]})
    base, job = next(
        (base, each) for base in service.knowledge_bases.bases for each in [service.knowledge_bases.get(base).last_job]
    )
    assert job is not None
    service.knowledge_bases.end(job, JobState.SUCCEEDED, Reason.COMPLETE)
    pages = (
        "knowledge_bases",
        f"knowledge_bases/{base}/data_sources",
        f"knowledge_bases/{base}/indexing_jobs",
        "indexing_jobs",
        "models",
    )
    links: list[str] = []
    for path in pages:
        links += _links(http.get(f"{API}/{path}?per_page=1&page=2").json()["links"])
    report = http.get(f"{API}/indexing_jobs/{job.job.id}/details_signed_url").json()["signed_url"]
    files = {"files": [{"file_name": "a.txt", "file_size": "5"}]}
    (upload,) = http.post(f"{API}/knowledge_bases/data_sources/file_upload_presigned_urls", json=files).json()[
        "uploads"
    ]
    links += [report, upload["presigned_url"]]
    assert len(links) > len(pages)
    assert all(each.startswith(f"{PUBLIC}{API}/") for each in links)
    # The proxy takes its own part of the path away.
    assert http.get(report.removeprefix(PUBLIC)).status_code == 200
    assert http.put(upload["presigned_url"].removeprefix(PUBLIC), content=b"12345").status_code == 200
    assert service.uploaded(upload["object_key"]) == b"12345"
