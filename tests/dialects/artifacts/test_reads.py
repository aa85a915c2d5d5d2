"""The synchronous and the read routes: ingest, list, content, search, embeddings, health."""

from __future__ import annotations

import base64
import hashlib
import math
from array import array
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import sample_files
from tests.artifact_client import ArtifactClient
from tests.running_service import wait_until


def test_a_synchronous_ingest_answers_with_the_document(client: ArtifactClient) -> None:
    body = client.text("a", "neural nets basics", metadata={"file_name": "a.txt", "size": 1.0})
    answer = client.http.post("/v1/artifacts/ingest", json=body)
    assert answer.status_code == 200
    assert answer.json() == {
        "object": "list",
        "model": "private-gpt",
        "data": [
            {
                "object": "ingest.document",
                "artifact": "a",
                "doc_metadata": {
                    "file_name": "a.txt",
                    "size": 1.0,
                    "artifact_id": "a",
                    "collection": client.collection,
                    "hash": hashlib.sha256(b"neural nets basics").hexdigest(),
                },
            }
        ],
    }


def test_a_client_that_goes_away_ends_its_wait_and_not_the_ingest(client: ArtifactClient) -> None:
    body = client.text("a", "neural nets basics. " * 10_000)
    with pytest.raises(httpx.ReadTimeout):
        client.http.post("/v1/artifacts/ingest", json=body, timeout=httpx.Timeout(10, read=0.001))
    wait_until(lambda: client.ids() == ["a"], 30, "the document")


def test_a_synchronous_ingest_of_a_broken_document_says_what_is_wrong(client: ArtifactClient, tmp_path: Path) -> None:
    answer = client.http.post(
        "/v1/artifacts/ingest", json=client.file("a", sample_files.encrypted_pdf(tmp_path / "x.pdf", ["neural nets"]))
    )
    assert answer.status_code == 400
    assert "password" in answer.json()["detail"].lower() or "encrypted" in answer.json()["detail"].lower()


def test_a_list_is_complete_and_metadata_is_unchanged(client: ArtifactClient) -> None:
    metadata = {"float": 1.0, "big": 1e22, "int": 3, "list": [1.5, {"a": None}], "text": "ä\u2028", "flag": True}
    tasks = [client.ingest(client.text(f"a{number:03}", f"text {number}", metadata=metadata)) for number in range(60)]
    for task in tasks:
        client.wait(task)
    listed = client.documents()
    assert [each["artifact"] for each in listed] == [f"a{number:03}" for number in range(60)]
    got = {name: listed[7]["doc_metadata"][name] for name in metadata}
    assert got == metadata
    assert [type(got[name]) for name in ("float", "big", "int")] == [float, float, int]
    pages = [client.documents(limit=25)]
    while len(pages[-1]) == 25:
        pages.append(client.documents(limit=25, after=pages[-1][-1]["artifact"]))
    assert [each for page in pages for each in page] == listed


def test_metadata_cannot_write_into_another_collection(client: ArtifactClient) -> None:
    client.done(client.text("a", "neural nets", metadata={"collection": "other", "artifact_id": "b", "hash": "c"}))
    document = client.documents()[0]["doc_metadata"]
    assert (document["collection"], document["artifact_id"]) == (client.collection, "a")
    assert document["hash"] == hashlib.sha256(b"neural nets").hexdigest()
    assert ArtifactClient(client.service, "other").ids() == []


def test_search_gives_chunks_with_their_places_best_first(client: ArtifactClient, tmp_path: Path) -> None:
    client.done(client.file("pdf", sample_files.pdf(tmp_path / "x.pdf", ["about gardens " * 80, "about nets " * 80])))
    client.done(client.text("t", "something about cooking"))
    hits = client.search("nets", limit=3)
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
    best = hits[0]
    assert best["object"] == "context.chunk"
    assert best["document"]["artifact"] == "pdf"
    assert best["document"]["doc_metadata"]["file_name"] == "x.pdf"
    assert best["metadata"]["page"] == 2
    assert "nets" in best["text"]
    assert best["previous_texts"] == []
    expanded = client.search("nets", limit=3, expand=True)
    assert any(hit["previous_texts"] or hit["next_texts"] for hit in expanded)


def test_search_filters_by_artifacts_and_metadata(client: ArtifactClient) -> None:
    for name, kind in (("a", "x"), ("b", "x"), ("c", "y")):
        client.done(client.text(name, f"neural nets {name}", metadata={"kind": kind, "rank": 1.5}))

    def found(**chosen: Any) -> set[str]:
        return {hit["document"]["artifact"] for hit in client.search("neural nets", context_filter=chosen)}

    assert found() == {"a", "b", "c"}
    assert found(artifacts=["a", "c", "zzz"]) == {"a", "c"}
    assert found(metadata_filter=[{"kind": "x"}]) == {"a", "b"}
    assert found(metadata_filter=[{"kind": "x"}, {"rank": 1.5}], artifacts=["b", "c"]) == {"b"}
    assert found(metadata_filter=[{"key": "kind", "operator": "==", "value": "x"}]) == {"a", "b"}
    assert found(metadata_filter=[{"artifact_id": "c", "collection": client.collection}]) == {"c"}
    assert found(artifacts=[]) == set()
    assert client.search("neural nets", score_threshold=0.999, context_filter={"artifacts": ["nope"]}) == []


@pytest.mark.parametrize("kind", ["keywords_search", "hybrid_search"])
def test_searches_that_are_not_there_yet_say_so(client: ArtifactClient, kind: str) -> None:
    body = {"type": kind, "text": "x", "keywords": ["x"], "context_filter": {"collection": client.collection}}
    assert client.http.post("/v1/primitives/search", json=body).status_code == 400


def test_content_is_the_whole_text_or_its_tree(client: ArtifactClient) -> None:
    text = "# One\n\nfirst text\n\n## Two\n\nsecond text\n\n# Three\n\nthird text\n"
    client.done(client.text("a", text, metadata={"file_name": "a.md"}))
    assert client.content("a") == text
    tree = client.content("a", format="object")
    assert [child["content"] for child in tree["children"]] == ["One", "Three"]
    assert [child["content"] for child in tree["children"][0]["children"] if child["type"] == "SectionNode"] == ["Two"]
    assert [child["content"] for child in tree["children"][1]["children"]] == ["third text"]
    short = client.content("a", max_tokens=4)
    assert text.startswith(short)
    assert 0 < len(short) < len(text)
    third = tree["children"][1]["id"]
    assert client.content("a", filter={"node_ids": [third]}) == "# Three\n\nthird text"
    assert client.content("nothing") is None


def test_embeddings_have_usage_and_right_indexes(client: ArtifactClient) -> None:
    answer = client.http.post("/v1/embeddings", json={"input": ["neural nets", "gardening"]}).json()
    assert [each["index"] for each in answer["data"]] == [0, 1]
    for each in answer["data"]:
        assert math.isclose(sum(number * number for number in each["embedding"]), 1, rel_tol=1e-3)
    assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"] > 0
    single = client.http.post("/v1/embeddings", json={"input": "neural nets"}).json()
    assert single["data"][0]["embedding"] == pytest.approx(answer["data"][0]["embedding"])
    packed = client.http.post("/v1/embeddings", json={"input": "neural nets", "encoding_format": "base64"}).json()
    numbers = array("f", base64.b64decode(packed["data"][0]["embedding"]))
    assert list(numbers) == pytest.approx(answer["data"][0]["embedding"], abs=1e-6)
    wrongs: list[dict[str, Any]] = [{"input": []}, {"input": ""}, {}, {"input": 5}]
    for wrong in wrongs:
        assert client.http.post("/v1/embeddings", json=wrong).status_code == 400
    assert client.http.post("/v1/embeddings", json={"input": "x", "model": "nope"}).status_code == 404


def test_health(client: ArtifactClient) -> None:
    assert client.http.get("/health").json() == {"status": "ok"}


def test_a_request_that_is_not_valid_has_the_documented_shape(client: ArtifactClient) -> None:
    answer = client.http.post("/v1/artifacts/ingest/async", json={"ingest_body": {"collection": 5}})
    assert answer.status_code == 400
    body = answer.json()
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert body["error"]["message"]
    assert {"type", "loc", "msg", "input"} <= set(body["detail"][0])
    for method, path, status in (
        ("GET", "/v1/artifacts/nothing", 404),
        ("DELETE", "/v1/artifacts/ingest", 405),
        ("GET", "/v1/primitives/search", 405),
    ):
        other = client.http.request(method, path)
        assert (other.status_code, list(other.json())) == (status, ["detail"])
