"""Every row of the contract's table of cases, over HTTP against a real service."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from tests import sample_files
from tests.artifact_client import ArtifactClient

# Refused at once


@pytest.mark.parametrize(
    "value",
    [
        {"type": "text", "value": ""},
        {"type": "text", "value": " \n\t"},
        {"type": "file", "value": "this is not base64!"},
        {"type": "file", "value": ""},
        {"type": "file", "value": base64.b64encode(bytes(range(256)) * 20).decode()},
        {"type": "binary", "value": "x"},
        {"value": "x"},
        {"type": "uri", "value": "gopher://example.org/"},
        {"type": "uri", "value": ""},
    ],
    ids=["empty", "blank", "no-base64", "no-bytes", "no-type", "unknown-input", "untyped", "scheme", "no-uri"],
)
def test_what_is_known_to_be_wrong_is_refused_at_once(client: ArtifactClient, value: dict[str, Any]) -> None:
    answer = client.post_async({"artifact": "a", "collection": client.collection, "input": value})
    assert answer.status_code == 400, answer.text
    body = answer.json()
    assert body["detail"]
    assert client.ids() == []


@pytest.mark.parametrize("metadata", [{"x": ["a\0b"]}, {"a\0": 1}])
def test_metadata_that_cannot_be_stored_are_refused_at_once(client: ArtifactClient, metadata: dict[str, Any]) -> None:
    answer = client.post_async(client.text("a", "text", metadata=metadata))
    assert answer.status_code == 400
    assert "NUL" in answer.json()["error"]["message"]
    # Written with a backslash, which is none.
    client.done(client.text("b", "text", metadata={"x": "a\\u0000b"}))


def test_a_pdf_name_with_text_bytes_is_refused_at_once(client: ArtifactClient) -> None:
    value = base64.b64encode(b"just some text").decode()
    body = {
        "artifact": "a",
        "collection": client.collection,
        "input": {"type": "file", "value": value},
        "metadata": {"file_name": "report.pdf"},
    }
    answer = client.post_async(body)
    assert answer.status_code == 400
    assert "PDF" in answer.json()["detail"]


def test_a_text_is_what_its_file_name_says_however_short(client: ArtifactClient) -> None:
    refused = client.post_async(client.text("a", "just some text", metadata={"file_name": "report.pdf"}))
    assert refused.status_code == 400
    assert "PDF" in refused.json()["detail"]
    page = "<html><head><title>x</title></head><body><p>neural <b>nets</b></p></body></html>"
    client.done(client.text("page", page, metadata={"file_name": "page.html"}))
    assert "nets" in client.content("page")
    assert "<" not in client.content("page")
    # A long one is kept in the spool, and is the same document all the same.
    [long] = client.done(client.text("long", page * 1000))
    assert (client.content("long"), long["doc_metadata"]["file_name"]) == (page * 1000, "long")
    unnamed = client.post_async({"collection": client.collection, "input": {"type": "text", "value": "x" * 40_000}})
    assert unnamed.status_code == 400
    client.done(client.text("as it is", page))
    assert client.content("as it is") == page


def test_a_broken_document_ends_in_failure_with_a_sentence(client: ArtifactClient, tmp_path: Path) -> None:
    whole = sample_files.sample(tmp_path, "pdf", "neural nets")
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(whole.read_bytes()[:300])
    sentence = client.failed(client.file("a", broken))
    assert "PDF" in sentence
    assert str(tmp_path) not in sentence
    assert client.ids() == []


# The same again


def test_same_bytes_and_metadata_are_a_success_without_documents(client: ArtifactClient) -> None:
    body = client.text("a", "neural nets basics", metadata={"file_name": "a.txt", "x": 1.5})
    first = client.done(body)
    assert [each["artifact"] for each in first] == ["a"]
    assert client.done(body) == []
    assert client.ids() == ["a"]


def test_same_bytes_with_new_metadata_change_the_metadata_and_embed_nothing(client: ArtifactClient) -> None:
    client.done(client.text("a", "neural nets basics", metadata={"x": 1.5}))
    task = client.ingest(client.text("a", "neural nets basics", metadata={"x": 2.0, "y": None}))
    status = client.wait(task)
    assert [each["doc_metadata"]["x"] for each in status["task_result"]["data"]] == [2.0]
    counters = client.http.get(f"/jobs/{task}").json()["counters"]
    assert (counters["payload_updated"], counters["embedded"]) == (1, 0)
    listed = client.documents()[0]["doc_metadata"]
    assert (listed["x"], listed["y"]) == (2.0, None)


def test_new_bytes_replace_the_document(client: ArtifactClient) -> None:
    client.done(client.text("a", "gardening with roses. " * 200))
    client.done(client.text("a", "neural nets basics"))
    assert client.ids() == ["a"]
    hits = client.search("roses", limit=100)
    assert [hit["text"] for hit in hits] == ["neural nets basics"]
    assert client.content("a") == "neural nets basics"


def test_the_same_artifact_in_another_collection_is_another_document(client: ArtifactClient) -> None:
    other = ArtifactClient(client.service, f"{client.collection} other")
    client.done(client.text("a", "neural nets"))
    other.done(other.text("a", "gardening"))
    assert (client.content("a"), other.content("a")) == ("neural nets", "gardening")
    other.deleted("a")
    assert (client.ids(), other.ids()) == (["a"], [])


# Deletes


def test_a_delete_wins_over_a_queued_ingest(client: ArtifactClient) -> None:
    """Several, so that at least one is still queued or running when its delete is submitted."""
    pairs = []
    for number in range(20):
        ingest = client.ingest(client.text(f"a{number}", f"text number {number}. " * 300))
        pairs.append((ingest, client.delete(f"a{number}")))
    for ingest, delete in pairs:
        assert client.wait(delete, kind="delete")["task_status"] == "SUCCESS"
        assert client.wait(ingest)["task_status"] in {"REVOKED", "SUCCESS"}
    statuses = [client.status(ingest) for ingest, _ in pairs]
    assert any(each["task_status"] == "REVOKED" and each["task_result"] is None for each in statuses)
    assert client.ids() == []
    assert client.search("text number", limit=100) == []


def test_an_ingest_after_a_delete_wins(client: ArtifactClient) -> None:
    client.done(client.text("a", "older"))
    delete = client.delete("a")
    ingest = client.ingest(client.text("a", "newer"))
    assert client.wait(ingest)["task_status"] == "SUCCESS"
    assert client.wait(delete, kind="delete")["task_status"] == "SUCCESS"
    assert client.content("a") == "newer"


def test_a_delete_of_what_is_not_there_succeeds(client: ArtifactClient) -> None:
    client.deleted("nothing")
    client.deleted("nothing")
    answer = client.http.post("/v1/artifacts/delete", json={"collection": client.collection, "artifact": "nothing"})
    assert (answer.status_code, answer.text) == (200, "null")


# Ids


def test_an_unknown_task_is_a_404_as_documented(client: ArtifactClient) -> None:
    for kind in ("ingest", "delete"):
        for task_id in ("task_01abc", "task_01900000-0000-7000-8000-000000000000", "x" * 3000, "%00"):
            answer = client.http.get(f"/v1/artifacts/{kind}/async/{task_id}")
            assert answer.status_code in (404, 400), answer.text
            if answer.status_code == 404:
                assert answer.json() == {"detail": "Task with specified ID not found"}


def test_every_door_knows_the_task(client: ArtifactClient) -> None:
    task = client.ingest(client.text("a", "neural nets"))
    client.wait(task)
    job = client.http.get(f"/jobs/{task}").json()
    assert (job["kind"], job["state"], job["collection"]) == ("ingestion", "succeeded", client.collection)
