"""Models, collections, search, probes and the documentation page, with a fake engine."""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from indexmill.errors import ModelError
from tests.unit.http.fake_service import FakeEngine, FakeService


def test_deploying_is_201_then_200_then_409(client: TestClient) -> None:
    body = {"id": "m", "provider": "deterministic", "settings": {"text_keys": ["text"]}}
    created = client.post("/models", json=body)
    assert created.status_code == 201
    assert created.json() == {**body, "dimension": 8, "created_at": "2024-05-21T10:00:00Z"}
    assert client.post("/models", json=body).status_code == 200
    conflict = client.post("/models", json={**body, "settings": {}})
    assert (conflict.status_code, conflict.json()["error"]["code"]) == (409, "model_exists")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"id": "m"},
        {"id": "", "provider": "static"},
        {"id": "x" * 256, "provider": "static"},
        {"id": "a\x00", "provider": "static"},
        {"id": "m", "provider": "nope"},
        {"id": "m", "provider": "static", "settings": []},
        {"id": "m", "provider": "static", "settings": {"a": "\x00"}},
    ],
    ids=str,
)
def test_a_wrong_model_is_422(client: TestClient, body: dict[str, Any]) -> None:
    answer = client.post("/models", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_request")


def test_a_model_that_cannot_be_loaded_is_422_with_the_reason(client: TestClient, engine: FakeEngine) -> None:
    engine.raises = lambda: ModelError("the weights are missing")
    answer = client.post("/models", json={"id": "m", "provider": "static"})
    assert answer.status_code == 422
    assert "the weights are missing" in answer.json()["error"]["message"]


@pytest.mark.parametrize("model_id", ["m", "org/model-v1.2", "7f8a3c1e-3c1e-4c1e-8c1e-7f8a3c1e3c1e", "模型", "a b"])
def test_a_model_of_any_name_is_listed_and_withdrawn(client: TestClient, model_id: str) -> None:
    assert client.post("/models", json={"id": model_id, "provider": "static"}).status_code == 201
    assert model_id in [each["id"] for each in client.get("/models").json()["models"]]
    gone = client.delete(f"/models/{model_id}")
    assert (gone.status_code, gone.content) == (204, b"")
    missing = client.delete(f"/models/{model_id}")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


def test_collections_are_listed(client: TestClient) -> None:
    expected = {
        "name": "embed-123",
        "model": "embed-123",
        "documents": 0,
        "chunks": 0,
        "generation": 1,
        "splitting": "whole",
        "index": "exact",
        "index_progress": None,
        "recall": None,
    }
    assert client.get("/collections").json() == {"collections": [expected]}


def test_a_collection_is_rebuilt_by_a_job(client: TestClient, engine: FakeEngine) -> None:
    engine.deploy("org/model", "static", {})
    answer = client.post("/collections/org/model/rebuild")
    assert (answer.status_code, answer.json()["kind"], answer.json()["collection"]) == (202, "rebuild", "org/model")
    missing = client.post("/collections/nowhere/rebuild")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "collection_not_found")


def test_search_answers_hits_with_the_nulls_of_their_payloads(client: TestClient) -> None:
    answer = client.post("/search", json={"collection": "embed-123", "text": "neural", "filter": {"module": "json"}})
    payload = {"text": "neural nets basics", "nothing": None}
    assert answer.json() == {
        "hits": [{"document_id": "doc-1", "score": 0.5, "text": "neural nets basics", "payload": payload}]
    }


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"text": "a", "vector": [1]},
        {"text": ""},
        {"text": "a\x00"},
        {"text": "x" * 70_000},
        {"vector": []},
        {"vector": [0, 0]},
        {"vector": ["a"]},
        {"vector": [1e300]},
        {"text": "a", "limit": 0},
        {"text": "a", "limit": 1001},
        {"text": "a", "filter": {"k": {"nested": 1}}},
        {"text": "a", "filter": {"k": [1]}},
        {"text": "a", "filter": {"k": "\x00"}},
        {"text": "a", "filter": {"\x00": 1}},
        {"text": "a", "filter": {"k": 10**400}},
        {"text": "a", "filter": "k=1"},
    ],
    ids=lambda query: str(query)[:50],
)
def test_a_wrong_search_is_422(client: TestClient, engine: FakeEngine, query: dict[str, Any]) -> None:
    assert client.post("/search", json={"collection": "embed-123", **query}).status_code == 422
    assert "search" not in engine.calls


@pytest.mark.parametrize("value", ["a", 1, 1.5, True, False, None, -(2**63)])
def test_a_filter_takes_every_scalar(client: TestClient, value: Any) -> None:
    body = {"collection": "embed-123", "text": "a", "filter": {"k": value}}
    assert client.post("/search", json=body).status_code == 200


def test_an_unknown_collection_is_404(client: TestClient) -> None:
    answer = client.post("/search", json={"collection": "nope", "text": "a"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "collection_not_found")


def test_the_probes_say_which_part_is_not_ready(client: TestClient, service: FakeService) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"ready": True, "parts": {"database": None, "broker": None}}
    service.parts["broker"] = "redis does not answer"
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "parts": {"database": None, "broker": "redis does not answer"}}
    assert client.get("/healthz").status_code == 200


def test_metrics_are_prometheus_text(client: TestClient) -> None:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.text == "indexmill_jobs_total 1\n"


def test_the_documentation_page_loads_nothing_from_elsewhere(client: TestClient) -> None:
    answer = client.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert not re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]", answer.text)
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_unknown_paths_and_methods_are_answered_in_the_doors_shape(client: TestClient) -> None:
    assert client.get("/nowhere").json()["error"]["code"] == "no_such_path"
    assert "/docs" in client.get("/").json()["error"]["message"]
    assert client.get("/internal/nowhere").json() == {"detail": "Not Found"}
    wrong = client.put("/models")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
    assert "POST" in wrong.headers["Allow"] or "GET" in wrong.headers["Allow"]


def test_every_operation_is_documented_with_a_summary_a_description_and_its_errors(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    operations = [
        (verb, path, operation) for path, verbs in document["paths"].items() for verb, operation in verbs.items()
    ]
    assert len({operation["operationId"] for _, _, operation in operations}) == len(operations)
    for verb, path, operation in operations:
        assert operation["summary"], path
        assert "403" in operation["responses"], path
        if verb == "post" and "requestBody" in operation:
            if path.startswith("/oauth"):
                assert "400" in operation["responses"], path
                continue
            # The other doors: what is not valid is a 400.
            is_native = path.startswith(
                ("/internal/", "/api/v1/internal/", "/models", "/search", "/collections", "/embeddings")
            )
            assert {"413", "422" if is_native else "400"} <= set(operation["responses"]), path
            content = operation["requestBody"]["content"]
            assert "multipart/form-data" in content or content["application/json"]["examples"], path


def test_every_reference_in_the_document_leads_somewhere(client: TestClient) -> None:
    answer = client.get("/openapi.json")
    schemas = answer.json()["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/([^"]+)"', answer.text)) <= set(schemas)
    assert "#/$defs/" not in answer.text
