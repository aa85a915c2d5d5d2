"""Collections with a splitting of their own, and what a replacement that fails leaves behind."""

from __future__ import annotations

from pathlib import Path

from tests import sample_files
from tests.artifact_client import ArtifactClient


def test_a_collection_keeps_the_splitting_that_it_was_made_with(client: ArtifactClient) -> None:
    wanted = {"name": client.collection, "model": "wordllama-256", "chunk_tokens": 20, "chunk_overlap": 5}
    answer = client.http.post("/collections", json=wanted)
    made = {"name": client.collection, "model": "wordllama-256", "splitting": "tokens-20-5"}
    assert (answer.status_code, answer.json()) == (201, made)
    assert client.http.post("/collections", json=wanted).status_code == 200
    for other in ({"chunk_tokens": 30}, {"model": "tiny"}):
        assert client.http.post("/collections", json={**wanted, **other}).status_code == 409
    for wrong in ({"chunk_overlap": 20}, {"chunk_tokens": 0}, {"unknown": 1}):
        assert client.http.post("/collections", json={**wanted, **wrong}).status_code == 422
    assert client.http.post("/collections", json={**wanted, "name": "x", "model": "none"}).status_code == 404
    client.done(client.text("a", "some words about neural nets. " * 20))
    assert len(client.search("neural nets", limit=100)) >= 5
    listed = {each["name"]: each["splitting"] for each in client.http.get("/collections").json()["collections"]}
    assert listed[client.collection] == "tokens-20-5"


def test_a_collection_of_another_model_is_refused(client: ArtifactClient) -> None:
    assert client.http.post("/collections", json={"name": client.collection, "model": "tiny"}).status_code == 201
    answer = client.post_async(client.text("a", "neural nets"))
    assert answer.status_code == 409
    assert "tiny" in answer.json()["detail"]


def test_a_delete_needs_no_model_of_its_own(client: ArtifactClient) -> None:
    """A collection that another door has made, or this one while its setting named another model."""
    client.http.post("/collections", json={"name": client.collection, "model": "tiny"})
    body = {"collection": client.collection, "artifact": "a"}
    assert client.http.post("/v1/artifacts/delete", json=body).status_code == 200
    client.deleted("a")


def test_a_replacement_that_fails_leaves_the_old_document_whole(client: ArtifactClient, tmp_path: Path) -> None:
    client.done(client.text("a", "the old text about roses", metadata={"version": 1}))
    pdf = sample_files.pdf(tmp_path / "new.pdf", ["the new text"])
    broken = sample_files.truncated(pdf, 0.3)
    assert client.failed(client.file("a", broken))
    assert client.content("a") == "the old text about roses"
    assert [hit["text"] for hit in client.search("roses")] == ["the old text about roses"]
    assert client.documents()[0]["doc_metadata"]["version"] == 1


def test_a_form_is_taken_too(client: ArtifactClient) -> None:
    fields = {"collection": client.collection, "metadata": '{"k": 1.0}'}
    answer = client.http.post(
        "/v1/artifacts/ingest", files={"file": ("notes.md", b"# Nets\n\nneural nets", "text/markdown")}, data=fields
    )
    assert answer.status_code == 200, answer.text
    document = answer.json()["data"][0]
    assert document["artifact"] == "notes.md"
    assert document["doc_metadata"]["k"] == 1.0
    assert client.content("notes.md") == "# Nets\n\nneural nets"
    wrong = client.http.post("/v1/artifacts/ingest", files={"file": ("a.txt", b"x")}, data={"metadata": "{no json"})
    assert wrong.status_code == 400
