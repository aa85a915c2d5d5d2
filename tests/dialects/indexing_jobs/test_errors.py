"""What is refused, and in which shape: always `{"id", "message", "request_id"}`."""

from __future__ import annotations

from typing import Any

import pytest

from indexmill.errors import (
    CollectionNotFound,
    Forbidden,
    InvalidRequest,
    ModelError,
    ModelNotFound,
    TransientError,
)
from tests.dialects.indexing_jobs.conftest import Checked, check_headers
from tests.dialects.indexing_jobs.fake_knowledge_bases import FakeKnowledgeBases

UNKNOWN = "0190163d-8694-739b-aea5-966c26f8ad91"
SITE = {"base_url": "https://example.com"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"indexing_jobs/{UNKNOWN}"),
        ("GET", f"indexing_jobs/{UNKNOWN}/data_sources"),
        ("GET", f"indexing_jobs/{UNKNOWN}/details_signed_url"),
        ("PUT", f"indexing_jobs/{UNKNOWN}/cancel"),
        ("GET", "indexing_jobs/no-uuid"),
        ("GET", "indexing_jobs/%00"),
        ("GET", f"knowledge_bases/{UNKNOWN}"),
        ("GET", "knowledge_bases/no-uuid"),
        ("DELETE", f"knowledge_bases/{UNKNOWN}"),
        ("GET", f"knowledge_bases/{UNKNOWN}/data_sources"),
        ("DELETE", f"knowledge_bases/{UNKNOWN}/data_sources/{UNKNOWN}"),
        ("DELETE", f"knowledge_bases/{UNKNOWN}/data_sources/no-uuid"),
        ("GET", f"knowledge_bases/{UNKNOWN}/indexing_jobs"),
        ("GET", "knowledge_bases/no-uuid/indexing_jobs"),
        ("GET", "scheduled-indexing/knowledge-base/x"),
        ("POST", "scheduled-indexing"),
        ("GET", "agents"),
        ("GET", ""),
    ],
)
def test_what_is_not_there_is_a_404(send: Checked, method: str, path: str) -> None:
    assert send.refused(404, method, path).id == "not_found"


def test_a_job_for_a_knowledge_base_that_is_not_there_is_a_404(send: Checked) -> None:
    refused = send.refused(404, "POST", "indexing_jobs", {"knowledge_base_uuid": UNKNOWN})
    assert UNKNOWN in refused.message


def test_a_wrong_method_has_the_shape_too(send: Checked) -> None:
    assert send.refused(405, "PATCH", "indexing_jobs").id == "method_not_allowed"


@pytest.mark.parametrize(
    "body",
    [
        {},
        None,
        {"knowledge_base_uuid": ""},
        {"knowledge_base_uuid": "no-uuid"},
        {"knowledge_base_uuid": UNKNOWN, "data_source_uuids": ["x"]},
        {"knowledge_base_uuid": UNKNOWN, "data_source_uuids": "x"},
        [],
        "x",
    ],
)
def test_a_job_is_refused_in_words(send: Checked, body: Any) -> None:
    assert send.refused(400, "POST", "indexing_jobs", body).id == "bad_request"


@pytest.mark.parametrize("body", [b"", b"{", b'{"a": 1e999}', b"\xff"])
def test_what_is_no_json_is_a_400(send: Checked, body: bytes) -> None:
    answer = send.http.post("/v2/gen-ai/indexing_jobs", content=body)
    assert (answer.status_code, answer.json()["id"]) == (400, "bad_request")
    check_headers(answer)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({}, "expected exactly one of"),
        ({"spaces_data_source": {}}, "expected exactly one of"),
        ({"web_crawler_data_source": SITE, "spaces_data_source": {"bucket_name": "b"}}, "got spaces_data_source, web"),
        ({"spaces_data_source": {"region": "nyc3"}}, "bucket_name"),
        ({"aws_data_source": {"bucket_name": "b", "key_id": "k", "secret_key": ""}}, "secret_key"),
        ({"web_crawler_data_source": {"base_url": "ftp://example.com"}}, "base_url"),
        ({"web_crawler_data_source": SITE | {"crawling_option": "ALL"}}, "crawling_option"),
        ({"web_crawler_data_source": SITE, "chunking_algorithm": "RANDOM"}, "chunking_algorithm"),
        ({"web_crawler_data_source": SITE, "chunking_options": {"max_chunk_size": 3}}, "max_chunk_size"),
        ({"web_crawler_data_source": SITE, "chunking_options": {"max_chunk_size": -1}}, "max_chunk_size"),
        ({"web_crawler_data_source": SITE, "chunking_options": {"semantic_threshold": 2}}, "semantic_threshold"),
        (
            {"web_crawler_data_source": SITE, "chunking_options": {"parent_chunk_size": 64, "child_chunk_size": 65}},
            "child_chunk_size of at most",
        ),
        ({"file_upload_data_source": {"original_file_name": "a"}}, "stored_object_key"),
        ({"spaces_data_source": {"bucket_name": "a\x00b"}}, "bucket_name"),
    ],
)
def test_a_wrong_data_source_is_refused_in_words(send: Checked, base: str, source: Any, expected: str) -> None:
    assert expected in send.refused(400, "POST", f"knowledge_bases/{base}/data_sources", source).message


@pytest.mark.parametrize(
    "body",
    [
        {"query": ""},
        {"num_results": 3},
        {"query": "q", "num_results": 0},
        {"query": "q", "num_results": 1001},
        {"query": "q", "filters": {"must": [{"field": "a", "operator": "like", "value": "b"}]}},
        {"query": "q", "filters": {"must": [{"field": "a", "operator": "in", "value": "b"}]}},
        {"query": "q", "filters": {"must": [{"field": "a", "operator": "eq", "value": ["b"]}]}},
    ],
)
def test_a_wrong_question_is_refused(send: Checked, base: str, body: Any) -> None:
    assert send.refused(400, "POST", f"/{base}/retrieve", body).id == "bad_request"


@pytest.mark.parametrize("path", ["/no-uuid/retrieve", "/v1/no-uuid/retrieve", f"/v1/{UNKNOWN}/retrieve"])
def test_retrieving_from_what_is_not_there_is_a_404(send: Checked, path: str) -> None:
    assert send.refused(404, "POST", path, {"query": "q"}).id == "not_found"


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (InvalidRequest("expected this, got that"), 400, "bad_request"),
        (ModelNotFound("a", []), 400, "bad_request"),
        (CollectionNotFound("c", []), 404, "not_found"),
        (Forbidden("not allowed"), 403, "forbidden"),
        (TransientError("postgresql at 10.0.0.1 does not answer"), 503, "service_unavailable"),
        (ModelError("key of the model is wrong"), 503, "service_unavailable"),
        (RuntimeError("a defect at 10.0.0.1"), 500, "server_error"),
    ],
)
def test_faults_have_the_shape(
    send: Checked, verbs: FakeKnowledgeBases, error: Exception, status: int, name: str
) -> None:
    verbs.raises = error
    refused = send.refused(status, "GET", "knowledge_bases")
    assert refused.id == name
    assert "10.0.0.1" not in refused.message


def test_a_body_that_is_too_large_is_a_413(send: Checked) -> None:
    answer = send.http.post("/v2/gen-ai/knowledge_bases", content=b'{"name": "' + b"x" * 2_000_000 + b'"}')
    assert (answer.status_code, answer.json()["id"]) == (413, "payload_too_large")


def test_a_foreign_host_is_refused_in_this_shape(send: Checked) -> None:
    assert send.refused(403, "GET", "indexing_jobs", headers={"Host": "evil.example"}).id == "forbidden"
