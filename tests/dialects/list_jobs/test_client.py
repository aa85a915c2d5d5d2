"""The vendor's own client against this door, over HTTP: each call that it has for jobs, corpora, documents and search.

Behind the door are the real ledger and a fake of the verbs of corpora: that requests are understood and answers parse.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import vectara
from vectara import Vectara, VectaraEnvironment
from vectara.errors import BadRequestError, ConflictError, NotFoundError
from vectara.managers.upload import UploadManager

from indexmill.domain.job import Item, JobKind, Submission
from indexmill.engine import Engine
from tests.dialects.list_jobs.fake_corpora import FakeCorpora


@pytest.fixture
def client(serve: str) -> Iterator[Vectara]:
    # It never closes a connection of its own.
    with httpx.Client(timeout=60) as connections:
        environment = VectaraEnvironment(default=serve, auth=serve)
        made: Any = Vectara
        yield made(api_key="zwt_key", environment=environment, httpx_client=connections)


def _document(document_id: str, text: str) -> Any:
    part = vectara.CoreDocumentPart(text=text, metadata={"page": 1})
    return vectara.CreateDocumentRequest_Core(id=document_id, metadata={"half": "a"}, document_parts=[part])


def test_jobs(client: Vectara, engine: Engine) -> None:
    jobs = [engine.submit(Submission(JobKind.UPSERTION, "tiny", [Item("a", {"text": "a"})])).job.id for _ in range(25)]
    listed = [each.id for each in client.jobs.list(limit=10)]
    assert listed == [f"job_{each}" for each in reversed(jobs)]
    first = client.jobs.get(str(listed[0]))
    assert (first.state, first.type, first.corpus_keys) == ("queued", "unknown", ["tiny"])
    assert first.created_at is not None
    assert list(client.jobs.list(corpus_key=["tiny", "x"], state=["completed", "failed"], after=first.created_at)) == []
    with pytest.raises(NotFoundError) as caught:
        client.jobs.get("job_x")
    assert caught.value.body["id"] == "job_x"


def test_corpora(client: Vectara) -> None:
    year = vectara.FilterAttribute(name="year", level="document", type="integer", indexed=True)
    made = client.corpora.create(key="handbook", name="The handbook", filter_attributes=[year])
    assert made.filter_attributes == [year.model_copy(update={"description": ""})]
    with pytest.raises(ConflictError):
        client.corpora.create(key="handbook")
    for n in range(12):
        client.corpora.create(key=f"c{n}")
    assert [each.key for each in client.corpora.list(limit=5)] == ["handbook", *(f"c{n}" for n in range(12))]
    changed = client.corpora.update("handbook", enabled=False, description="new")
    assert (changed.enabled, changed.description) == (False, "new")
    assert client.corpora.get("handbook") == changed
    job = client.corpora.replace_filter_attributes("handbook", filter_attributes=[year]).job_id
    # As those poll who wait for it: by the id alone.
    assert client.jobs.get(job).state == "completed"
    assert client.corpora.compute_size("handbook").used_docs == 0
    client.corpora.reset("handbook")
    client.corpora.delete("handbook")
    with pytest.raises(NotFoundError):
        client.corpora.get("handbook")


def test_documents(client: Vectara, verbs: FakeCorpora) -> None:
    client.corpora.create(key="handbook")
    documents = client.documents
    for n in range(5):
        assert documents.create("handbook", request=_document(f"d/{n}", "x" * (n + 1))).id == f"d/{n}"
    with pytest.raises(ConflictError):
        documents.create("handbook", request=_document("d/0", "other"))
    section = vectara.StructuredDocumentSection(id=1, text="text", title="T")
    structured = vectara.CreateDocumentRequest_Structured(id="s", title="S", sections=[section])
    assert documents.create("handbook", request=structured).metadata == {"title": "S"}
    assert [each.id for each in documents.list("handbook", limit=2, metadata_filter="doc.half = 'a'")] == [
        f"d/{n}" for n in range(5)
    ]
    read = documents.get("handbook", "s")
    assert [each.text for each in read.parts or ()] == ["text"]
    assert documents.update("handbook", "s", metadata={"year": 1979}).metadata == {"title": "S", "year": 1979}
    assert documents.update_metadata("handbook", "s", metadata={"half": "b"}).metadata == {"half": "b"}
    documents.delete("handbook", "s")
    started = documents.bulk_delete("handbook", document_ids="d/0,d/1")
    assert started.response_type == "async"
    assert client.jobs.get(started.job_id).state == "completed"
    done = documents.bulk_delete("handbook", metadata_filter="doc.half = 'a'", async_=False)
    assert (done.response_type, done.deleted_count) == ("success", 3)
    with pytest.raises(BadRequestError):
        documents.bulk_delete("handbook")
    uploaded = client.upload.file(
        "handbook", file=("a b.txt", b"hello", "text/plain"), metadata={"year": 2024}, filename="given.txt"
    )
    assert (uploaded.id, uploaded.metadata) == ("given.txt", {"year": 2024})
    assert list(verbs.stored["handbook"]) == ["given.txt"]


def test_a_file_that_the_clients_manager_uploads(client: Vectara, verbs: FakeCorpora, tmp_path: Path) -> None:
    client.corpora.create(key="handbook")
    path = tmp_path / "a b.txt"
    path.write_text("hello")
    # It sends `null` for metadata that nobody gave.
    uploaded = UploadManager(client.upload).upload("handbook", path)
    assert (uploaded.id, uploaded.metadata) == ("a b.txt", {})
    assert list(verbs.stored["handbook"]) == ["a b.txt"]


def test_search(client: Vectara, verbs: FakeCorpora) -> None:
    for key in ("handbook", "other"):
        client.corpora.create(key=key)
        for n in range(3):
            client.documents.create(key, request=_document(f"{key}-{n}", "x" * (n + 1)))
    wanted: Any = {"metadata_filter": "doc.half = 'a'", "limit": 2}
    found = client.corpora.query("handbook", query="x", search=wanted).search_results
    assert [each.document_id for each in found or ()] == ["handbook-0", "handbook-1"]
    events: list[Any] = list(client.corpora.query_stream("handbook", query="x", search=wanted))
    assert [each.type for each in events] == ["search_results", "end"]
    assert events[0].search_results == found
    found = client.corpora.search("handbook", query="x", limit=1).search_results
    assert [each.part_metadata for each in found or ()] == [{"page": 1}]
    corpora = [vectara.KeyedSearchCorpus(corpus_key=key) for key in ("handbook", "other")]
    search = vectara.SearchCorporaParameters(corpora=corpora, limit=3)
    both = client.queries.query(query="x", search=search).search_results
    assert [(each.document_id, each.request_corpora_index) for each in both or ()] == [
        ("handbook-0", 0),
        ("other-0", 1),
        ("handbook-1", 0),
    ]
    corpora[1] = vectara.KeyedSearchCorpus(corpus_key="other", query="of its own")
    client.queries.query(query="x", search=search.model_copy(update={"corpora": corpora}))
    assert verbs.asked[-2:] == [("handbook", "x"), ("other", "of its own")]
    events = list(client.queries.query_stream(query="x", search=search))
    assert [each.type for each in events] == ["search_results", "end"]
    assert events[0].search_results == both
