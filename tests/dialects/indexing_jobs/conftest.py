"""A client of this door, with fakes behind it; each answer is held against the vendor's schema by `Checked`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import pytest
from starlette.testclient import TestClient

from indexmill.http.app import create_app
from indexmill.http.service import Service
from indexmill.settings import SourceSettings
from tests.dialects.indexing_jobs import vendor_models as vendor
from tests.dialects.indexing_jobs.fake_knowledge_bases import FakeIndexingService, FakeKnowledgeBases

ModelT = TypeVar("ModelT", bound=vendor.Vendor)


@dataclass
class Checked:
    """Sends requests, and reads answers only as the vendor's clients may."""

    http: TestClient

    def __call__(self, model: type[ModelT], method: str, path: str, body: Any = None, **options: Any) -> ModelT:
        answer = self.http.request(method, _full(path), json=body, **options)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        check_headers(answer)
        return model.model_validate(answer.json())

    def refused(self, status: int, method: str, path: str, body: Any = None, **options: Any) -> vendor.Problem:
        answer = self.http.request(method, _full(path), json=body, **options)
        assert answer.status_code == status, answer.text
        check_headers(answer)
        problem = vendor.Problem.model_validate(answer.json())
        assert problem.request_id == answer.headers["x-request-id"]
        return problem


def check_headers(answer: Any) -> None:
    assert answer.headers["x-request-id"]
    limits = [int(answer.headers[f"ratelimit-{name}"]) for name in ("limit", "remaining", "reset")]
    assert limits[0] == limits[1] == 2**31 - 1


def _full(path: str) -> str:
    return path if path.startswith(("http", "/")) else f"/v2/gen-ai/{path}"


MAX_FILE = 3_000_000


@pytest.fixture(scope="package")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeIndexingService, TestClient]]:
    """One app for all tests: making one takes longer than most of them."""
    service = FakeIndexingService(
        sources=SourceSettings(max_bytes=MAX_FILE), data_folder=tmp_path_factory.mktemp("data")
    )
    app = create_app(cast("Service", service))
    with TestClient(app, base_url="http://localhost:8080", raise_server_exceptions=False) as client:
        yield service, client


@pytest.fixture
def service(_shared: tuple[FakeIndexingService, TestClient]) -> FakeIndexingService:
    _shared[0].empty()
    return _shared[0]


@pytest.fixture
def verbs(service: FakeIndexingService) -> FakeKnowledgeBases:
    return service.knowledge_bases


@pytest.fixture
def http(service: FakeIndexingService, _shared: tuple[FakeIndexingService, TestClient]) -> TestClient:
    return _shared[1]


@pytest.fixture
def send(http: TestClient) -> Checked:
    return Checked(http)


@pytest.fixture
def base(send: Checked) -> str:
    """A knowledge base with one source, whose job has been queued."""
    made = send(
        vendor.KnowledgeBaseAnswer,
        "POST",
        "knowledge_bases",
        {"name": "handbook", "datasources": [{"spaces_data_source": {"bucket_name": "handbook"}}]},
    )
    assert made.knowledge_base.uuid is not None
    return made.knowledge_base.uuid
