"""Corpora on real processes, through the vendor's own client: indexed, filtered, changed as a whole, emptied."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import vectara
from vectara import Vectara, VectaraEnvironment

from tests.acceptance.fixtures import running_service
from tests.running_service import RunningService, wait_until

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def service(postgres_url: str) -> Iterator[RunningService]:
    with running_service(postgres_url) as running:
        yield running


@pytest.fixture
def client(service: RunningService) -> Iterator[Vectara]:
    url = str(service.http.base_url).rstrip("/")
    with httpx.Client(timeout=60) as connections:
        made: Any = Vectara
        yield made(api_key="any", environment=VectaraEnvironment(default=url, auth=url), httpx_client=connections)


def _attribute(name: str, kind: str) -> Any:
    return vectara.FilterAttribute(name=name, level="document", type=kind, indexed=True)


def _found(client: Vectara, query: str, metadata_filter: str) -> list[str | None]:
    wanted: Any = {"metadata_filter": metadata_filter, "limit": 5}
    results = client.corpora.query("marsh", query=query, search=wanted).search_results
    return [each.document_id for each in results or ()]


def _ended(service: RunningService, job: str | None) -> dict[str, Any]:
    """As those poll who wait for a job: by its id alone."""

    def look() -> dict[str, Any] | None:
        answer = service.http.post("/v1/list-jobs", json={"jobId": job})
        assert answer.status_code == 200, answer.text
        (found,) = answer.json()["job"]
        return found if found["state"] in {"JOB_STATE__COMPLETED", "JOB_STATE__FAILED"} else None

    ended: dict[str, Any] = wait_until(look, 30, "the job's end")
    return ended


def test_a_corpus_from_its_making_to_its_end(client: Vectara, service: RunningService) -> None:
    client.corpora.create(key="marsh", name="The marsh", filter_attributes=[_attribute("year", "integer")])
    for year, text in ((2019, "Cranes dance in the fog."), (2021, "Frogs sing at night."), (2023, "Storks clatter.")):
        part = vectara.CoreDocumentPart(text=text, metadata={"page": 1})
        request = vectara.CreateDocumentRequest_Core(
            id=f"d{year}", metadata={"year": year, "place": f"fen{year % 4}"}, document_parts=[part]
        )
        assert client.documents.create("marsh", request=request).id == f"d{year}"
    assert _found(client, "Cranes dance in the fog.", "doc.year < 2020") == ["d2019"]
    uploaded = client.upload.file("marsh", file=("note.txt", b"Herons wait in the reeds.", "text/plain"))
    assert uploaded.id == "note.txt"

    wrong = client.corpora.replace_filter_attributes("marsh", filter_attributes=[_attribute("place", "integer")]).job_id
    told = _ended(service, wrong)
    counted = [told[name] for name in ("itemsTotal", "itemsDone", "itemsFailed")]
    assert (told["state"], counted) == ("JOB_STATE__COMPLETED", ["4", "1", "3"]), told
    failed = service.http.get(f"/v2/jobs/{wrong}/failed_documents").json()["failed_documents"]
    assert [(each["id"], each["code"]) for each in failed] == [(f"d{year}", "misfit") for year in (2019, 2021, 2023)]
    job = client.corpora.replace_filter_attributes("marsh", filter_attributes=[_attribute("place", "text")]).job_id
    ended = _ended(service, job)
    assert (ended["state"], ended["type"]) == ("JOB_STATE__COMPLETED", "JOB__CORPUS_REPLACE_FILTER_ATTRS")
    assert set(_found(client, "Frogs", "doc.place = 'fen1'")) == {"d2021"}
    rebuilt = service.http.post("/v2/corpora/marsh/rebuild_vector_index").json()["job_id"]
    assert _ended(service, rebuilt)["type"] == "JOB__CORPUS_REBUILD_VECTOR_INDEX"

    removed = client.documents.bulk_delete("marsh", metadata_filter="doc.place = 'fen3'", async_=False)
    assert (removed.response_type, removed.deleted_count) == ("success", 2)
    assert [each.id for each in client.documents.list("marsh")] == ["d2021", "note.txt"]
    assert client.jobs.get(str(job)).state == "completed"
    client.corpora.reset("marsh")
    assert list(client.documents.list("marsh")) == []
    client.corpora.delete("marsh")
    assert "marsh" not in [each.key for each in client.corpora.list()]


def test_of_many_who_make_a_document_of_one_id_one_is_told_that_it_did(service: RunningService) -> None:
    assert service.http.post("/v2/corpora", json={"key": "race"}).status_code == 201
    path = "/v2/corpora/race/documents"

    def make(number: int) -> int:
        document = {"id": "one", "type": "core", "document_parts": [{"text": f"Of {number}."}]}
        return service.http.post(path, json=document).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(make, range(8)))
    assert sorted(statuses) == [201] + 7 * [409]
    (part,) = service.http.get(f"{path}/one").json()["parts"]
    assert part["text"] == f"Of {statuses.index(201)}."


def test_a_job_that_ended_before_the_first_poll_is_found_by_its_id_alone(
    client: Vectara, service: RunningService
) -> None:
    client.corpora.create(key="early", name="Early")
    job = client.corpora.replace_filter_attributes("early", filter_attributes=[_attribute("year", "integer")]).job_id
    wait_until(lambda: client.jobs.get(str(job)).state == "completed", 30, "the job's end, seen through another call")
    answer = service.http.post("/v1/list-jobs", json={"jobId": job}).json()
    assert [(each["id"], each["state"]) for each in answer["job"]] == [(job, "JOB_STATE__COMPLETED")]


def test_the_first_version_of_the_api_from_a_corpus_to_its_end(service: RunningService) -> None:
    def call(path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = service.http.post(f"/v1/{path}", json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def query(text: str, metadata_filter: str) -> list[str]:
        key = {"corpusId": number, "metadataFilter": metadata_filter}
        (responses,) = call("query", {"query": [{"query": text, "numResults": 5, "corpusKey": [key]}]})["responseSet"]
        return [responses["document"][each["documentIndex"]]["id"] for each in responses["response"]]

    def attributes(name: str, kind: str) -> list[dict[str, Any]]:
        level = "FILTER_ATTRIBUTE_LEVEL__DOCUMENT"
        return [{"name": name, "type": f"FILTER_ATTRIBUTE_TYPE__{kind}", "level": level, "indexed": True}]

    made = call("create-corpus", {"corpus": {"name": "pond", "filterAttributes": attributes("year", "INTEGER")}})
    number = made["corpusId"]
    for year, text in ((2019, "Cranes dance in the fog."), (2021, "Frogs sing at night.")):
        document = {"documentId": f"d{year}", "metadataJson": f'{{"year": {year}}}', "section": [{"text": text}]}
        request = {"corpusId": number, "document": document}
        assert call("index", request)["status"]["code"] == "OK"
        assert call("index", request)["status"]["code"] == "ALREADY_EXISTS"
    changed = {"documentId": "d2019", "section": [{"text": "Something else."}]}
    assert call("index", {"corpusId": number, "document": changed})["status"]["code"] == "CONFLICT"
    assert query("Cranes dance in the fog.", "doc.year < 2020") == ["d2019"]
    replaced = call("replace-corpus-filter-attrs", {"corpusId": number, "filterAttributes": attributes("year", "TEXT")})
    assert _ended(service, replaced["jobId"])["state"] == "JOB_STATE__COMPLETED"
    assert query("Frogs", "doc.year = '2021'") == ["d2021"]
    rebuilt = call("rebuild-corpus-vector-index", {"corpusId": number})["jobId"]
    assert _ended(service, rebuilt)["state"] == "JOB_STATE__COMPLETED"
    assert query("Frogs", "doc.year = '2021'") == ["d2021"]
    assert call("delete-doc", {"corpusId": number, "documentId": "d2019"}) == {}
    listed = call("list-documents", {"corpusId": number})
    assert [each["id"] for each in listed["document"]] == ["d2021"]
    call("delete-corpus", {"corpusId": number})
    (gone,) = call("read-corpus", {"corpusId": [number]})["corpora"]
    assert gone["corpusStatus"]["code"] == "NOT_FOUND"
