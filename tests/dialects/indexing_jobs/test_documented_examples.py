"""The examples of the OpenAPI document: answers as the vendor has them, and requests that are taken."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.dialects.indexing_jobs import vendor_models as vendor

ANSWERS: dict[str, type[vendor.Vendor]] = {
    "IndexingJobAnswer": vendor.JobAnswer,
    "IndexingJobList": vendor.JobList,
    "IndexedDataSourceList": vendor.IndexedDataSources,
    "SignedUrl": vendor.SignedUrl,
    "DataSourceAnswer": vendor.DataSourceAnswer,
    "DataSourceList": vendor.DataSourceList,
    "DataSourceDeleted": vendor.DataSourceDeleted,
    "KnowledgeBaseAnswer": vendor.KnowledgeBaseAnswer,
    "KnowledgeBaseRead": vendor.KnowledgeBaseRead,
    "KnowledgeBaseList": vendor.KnowledgeBaseList,
    "KnowledgeBaseDeleted": vendor.KnowledgeBaseDeleted,
    "KnowledgeBaseModelList": vendor.ModelList,
    "PresignedUploads": vendor.Uploads,
    "RetrievedChunks": vendor.Retrieved,
    "IndexingProblem": vendor.Problem,
}


@pytest.fixture
def document(http: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = http.get("/openapi.json").json()
    return found


def test_every_answer_has_an_example_that_clients_can_read(document: dict[str, Any]) -> None:
    for name, model in ANSWERS.items():
        model.model_validate(document["components"]["schemas"][name]["example"])


def test_every_operation_of_the_door_is_described(document: dict[str, Any]) -> None:
    operations = [
        operation
        for methods in document["paths"].values()
        for operation in methods.values()
        if operation.get("tags") == ["knowledge bases"]
    ]
    assert len(operations) == 22
    for operation in operations:
        assert operation["summary"]
        for content in operation.get("requestBody", {"content": {}})["content"].values():
            assert "examples" in content or content["schema"]["format"] == "binary"


def test_the_examples_of_requests_are_taken(http: TestClient, document: dict[str, Any]) -> None:
    presign = "knowledge_bases/data_sources/file_upload_presigned_urls"
    for path, model in (("knowledge_bases", "CreateKnowledgeBaseBody"), (presign, "PresignBody")):
        body = document["components"]["schemas"][model]["example"] | {"embedding_model_uuid": "embed-123"}
        assert http.post(f"/v2/gen-ai/{path}", json=body).status_code == 200
