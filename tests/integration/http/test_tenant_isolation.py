"""Every route of the service with tenant B's key and tenant A's ids: as if A's things were not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from fastapi import APIRouter, FastAPI

from indexmill.http.auth import Need
from indexmill.http.problems import NativeRoute
from indexmill.http.route_marks import check_marks, need_of_route, routes_of
from indexmill.settings import Settings
from tests.draining import drain
from tests.tenants import Tenanted, tenanted

#: In what a tenant has, and nobody else ever says.
SECRET = "plugh"
#: In the names that the other tenant asks for.
WORD = "xyzzy"


@dataclass(frozen=True)
class Ids:
    """What names the things of a tenant; `ghosts()` names nothing."""

    job: str
    task: str
    deletion: str
    collection: str
    model: str
    document: str
    base: str
    source: str
    indexing_job: str
    object_key: str
    #: The collection's, as front door 4 names it.
    number: str

    def hidden_in(self, text: str) -> str:
        """The text without these ids, and without ids and times that any answer may have."""
        for value in sorted(vars(self).values(), key=len, reverse=True):
            text = text.replace(f"`{value}`" if value == self.number else value, "<id>")
        text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<id>", text)
        text = re.sub(r"[0-9a-f]{32}", "<id>", text)
        # The same answers to the same questions have numbers of their own.
        text = re.sub(r"crp_[0-9]+", "<id>", text)
        return re.sub(r"20\d\d-\d\d-\d\dT[0-9:.]+Z", "<time>", text)


def ghosts() -> Ids:
    one = [str(uuid4()) for _ in range(6)]
    other = uuid4().hex[:8]
    return Ids(
        one[0], f"ghost-{other}-task", one[1], f"ghost-{other}-library", f"ghost-{other}-model",
        f"ghost-{other}.txt", one[2], one[3], one[4], uuid4().hex, "987654",
    )  # fmt: skip


def body_of(path: str, ids: Ids) -> tuple[Any, dict[str, str]]:
    """The JSON body and the query with which the route names its tenant's things."""
    wanted: dict[str, tuple[Any, dict[str, str]]] = {
        "upsertion-tasks/run": (
            {"embedding_model_id": ids.model, "items": [{"object_id": ids.document, "payload": {"text": "x"}}]}, {},
        ),
        "deletion-tasks/run": ({"embedding_model_id": ids.model, "object_ids": [ids.document]}, {}),
        "upsertion-tasks/info": (None, {"task_id": ids.task}),
        "upsertion-tasks/restart": (None, {"task_id": ids.task}),
        "upsertion-tasks/cancel": (None, {"task_id": ids.task}),
        "upsertion-tasks/list": (None, {"after": ids.job}),
        "deletion-tasks/info": (None, {"task_id": ids.deletion}),
        "deletion-tasks/restart": (None, {"task_id": ids.deletion}),
        "deletion-tasks/cancel": (None, {"task_id": ids.deletion}),
        "deletion-tasks/list": (None, {"after": ids.deletion}),
        "artifacts/ingest/async": (
            {"ingest_body": {"input": {"type": "text", "value": "one"}, "artifact": ids.document,
                             "collection": ids.collection}}, {},
        ),
        "artifacts/ingest": (
            {"input": {"type": "text", "value": "one"}, "artifact": ids.document, "collection": ids.collection}, {},
        ),
        "artifacts/delete/async": ({"delete_body": {"artifact": ids.document, "collection": ids.collection}}, {}),
        "artifacts/delete": ({"artifact": ids.document, "collection": ids.collection}, {}),
        "artifacts/list": (None, {"collection": ids.collection}),
        "artifacts/content": ({"context_filter": {"collection": ids.collection, "artifacts": [ids.document]}}, {}),
        "primitives/search": ({"text": "secret", "context_filter": {"collection": ids.collection}}, {}),
        "/v1/embeddings": ({"input": "x", "model": ids.model}, {}),
        "file_upload_presigned_urls": (
            {"files": [{"file_name": "a.txt", "file_size": "3", "object_key": ids.object_key}]}, {},
        ),
        "gen-ai/knowledge_bases": (
            {"name": "mine", "embedding_model_uuid": ids.model, "datasources": []}, {},
        ),
        "knowledge_bases/{uuid}": ({"name": "stolen"}, {}),
        "knowledge_bases/{uuid}/data_sources": (
            {"file_upload_data_source": {"original_file_name": "a.txt", "stored_object_key": ids.object_key}}, {},
        ),
        "data_sources/{data_source_uuid}": (
            {"chunking_algorithm": "CHUNKING_ALGORITHM_FIXED_LENGTH", "chunking_options": {"max_chunk_size": 64}}, {},
        ),
        "/retrieve": ({"query": "secret", "num_results": 3}, {}),
        "gen-ai/indexing_jobs": ({"knowledge_base_uuid": ids.base, "data_source_uuids": [ids.source]}, {}),
        "/models": ({"id": ids.model, "provider": "nothing", "settings": {}}, {}),
        "/collections": ({"name": f"mine-{ids.collection}", "model": ids.model}, {}),
        "/search": ({"collection": ids.collection, "text": "secret"}, {}),
        "/jobs": (None, {"after": ids.job}),
        "/v1/list-jobs": ({"jobId": ids.job}, {}),
        "/v1/read-corpus": ({"corpusId": [int(ids.number)], "readBasicInfo": True}, {}),
        "/v1/delete-corpus": ({"corpusId": int(ids.number)}, {}),
        "/v1/reset-corpus": ({"corpusId": int(ids.number)}, {}),
        "/v1/replace-corpus-filter-attrs": ({"corpusId": int(ids.number), "filterAttributes": []}, {}),
        "/v1/rebuild-corpus-vector-index": ({"corpusId": int(ids.number)}, {}),
        "/v1/index": (
            {"corpusId": int(ids.number), "document": {"documentId": ids.document, "section": [{"text": "x"}]}}, {},
        ),
        "/v1/core/index": (
            {"corpusId": int(ids.number), "document": {"documentId": ids.document, "parts": [{"text": "x"}]}}, {},
        ),
        "/v1/delete-doc": ({"corpusId": int(ids.number), "documentId": ids.document}, {}),
        "/v1/list-documents": ({"corpusId": int(ids.number)}, {}),
        "/v1/query": (
            {"query": [{"query": "secret", "numResults": 3, "corpusKey": [{"corpusId": int(ids.number)}]}]}, {},
        ),
        "/v2/jobs": (None, {"corpus_key": ids.collection}),
        "/v2/corpora": ({"key": f"mine-{ids.collection}"}, {}),
        "/v2/corpora/{corpus_key}": ({"name": "stolen"}, {}),
        "{document_id:path}": ({"metadata": {"stolen": True}}, {}),
        "/metadata": ({"metadata": {"stolen": True}}, {}),
        "/replace_filter_attributes": ({"filter_attributes": []}, {}),
        "{corpus_key}/documents": (
            {"id": ids.document, "type": "core", "document_parts": [{"text": "x"}]}, {"document_ids": ids.document},
        ),
        "{corpus_key}/query": ({"query": "secret", "search": {"limit": 3}}, {"query": "secret"}),
        "/v2/query": ({"query": "secret", "search": {"corpora": [{"corpus_key": ids.collection}]}}, {}),
    }  # fmt: skip
    fitting = [name for name in wanted if path.endswith(name)]
    return wanted[max(fitting, key=len)] if fitting else (None, {})


def path_of(path: str, ids: Ids) -> str:
    places = {
        "{uuid}": ids.indexing_job if "indexing_jobs/{uuid}" in path else ids.base,
        "{data_source_uuid}": ids.source,
        "{task_id}": ids.task,
        "{job_id:path}": ids.task,
        "{model_id:path}": ids.model,
        "{object_key:path}": ids.object_key,
        "{corpus_key}": ids.collection,
        "{collection:path}": ids.collection,
        "{document_id:path}": ids.document,
        "{job_id}": ids.job,
    }
    for place, value in places.items():
        path = path.replace(place, value)
    assert "{" not in path, f"{path}: expected a line above for each place in a path"
    return path


@pytest.fixture
def service(settings: Settings) -> Iterator[Tenanted]:
    with tenanted(settings) as made:
        yield made


def things_of(service: Tenanted, key: str) -> Ids:
    """One of everything, made over HTTP; all of it holds the word."""

    def ask(method: str, path: str, body: Any = None, **options: Any) -> Any:
        answer = service.ask(key, method, path, body, **options)
        assert answer.status_code < 300, answer.text
        return answer.json()

    model, library, document, task = (f"{WORD}-{each}" for each in ("model", "library", "document.txt", "task"))
    ask("POST", "/models", {"id": model, "provider": "static", "settings": {}})
    item = {"object_id": document, "payload": {"text": f"the secret of {SECRET}"}}
    job = ask("POST", "/internal/upsertion-tasks/run", {"embedding_model_id": model, "items": [item], "task_id": task})
    deletion = ask("POST", "/internal/deletion-tasks/run", {"embedding_model_id": model, "object_ids": ["gone"]})
    text = {"input": {"type": "text", "value": f"the secret of {SECRET}"}, "artifact": document, "collection": library}
    ask("POST", "/v1/artifacts/ingest/async", {"ingest_body": text})
    files = {"files": [{"file_name": f"{SECRET}.txt", "file_size": "16"}]}
    presigned = ask("POST", "/v2/gen-ai/knowledge_bases/data_sources/file_upload_presigned_urls", files)["uploads"][0]
    assert service.http.put(presigned["presigned_url"], content=b"secret of plugh.").status_code == 200
    source = {"original_file_name": f"{SECRET}.txt", "stored_object_key": presigned["object_key"]}
    made = ask(
        "POST", "/v2/gen-ai/knowledge_bases",
        {"name": f"{SECRET}-base", "embedding_model_uuid": model, "datasources": [{"file_upload_data_source": source}]},
    )["knowledge_base"]  # fmt: skip
    sources = ask("GET", f"/v2/gen-ai/knowledge_bases/{made['uuid']}/data_sources")["knowledge_base_data_sources"]
    jobs = ask("GET", f"/v2/gen-ai/knowledge_bases/{made['uuid']}/indexing_jobs")["jobs"]
    (corpus,) = [each for each in ask("GET", "/v2/corpora")["corpora"] if each["key"] == library]
    return Ids(
        job["id"].removeprefix("task_"), task, deletion["id"].removeprefix("task_"), library, model, document,
        made["uuid"], sources[0]["uuid"], jobs[0]["uuid"], presigned["object_key"],
        corpus["id"].removeprefix("crp_"),
    )  # fmt: skip


def guarded_routes(service: Tenanted) -> list[tuple[str, str]]:
    app: Any = service.http.app
    return [
        (method, route.path)
        for route in routes_of(app)
        if need_of_route(route) not in (Need.PUBLIC, Need.OPERATOR)
        for method in sorted(route.methods or ())
    ]


def test_to_another_tenant_nothing_of_a_tenant_is_there(service: Tenanted) -> None:
    of_a, of_b = service.key("a"), service.key("b")
    ids, nobody = things_of(service, of_a), ghosts()
    drain(service.service.engine)
    routes = guarded_routes(service)
    assert len(routes) > 60
    for method, path in routes:
        shown = []
        for each in (ids, nobody):
            body, query = body_of(path, each)
            answer = service.ask(of_b, method, path_of(path, each), None if method == "GET" else body, params=query)
            assert answer.status_code < 500 or answer.status_code == 504, (method, path, answer.text)
            assert SECRET not in answer.text, (method, path)
            text = ids.hidden_in(nobody.hidden_in(answer.text))
            shown.append((answer.status_code, text))
        assert shown[0] == shown[1], (method, path)

    # All of it is still there, as it was: nothing was cancelled, changed or removed.
    def of_its_own(path: str, **query: str) -> Any:
        answer = service.ask(of_a, "GET", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert of_its_own(f"/jobs/{ids.task}")["state"] == "succeeded"
    assert of_its_own(f"/v2/gen-ai/knowledge_bases/{ids.base}")["knowledge_base"]["name"] == f"{SECRET}-base"
    assert len(of_its_own(f"/v2/gen-ai/knowledge_bases/{ids.base}/data_sources")["knowledge_base_data_sources"]) == 1
    assert of_its_own("/v1/artifacts/list", collection=ids.collection)["data"]
    assert any(each["id"] == ids.model for each in of_its_own("/models")["models"])
    found = service.ask(of_a, "POST", "/search", {"collection": ids.model, "text": "secret"}).json()["hits"]
    assert [hit["document_id"] for hit in found] == [ids.document]


def test_the_same_names_stand_for_other_things_of_each_tenant(service: Tenanted) -> None:
    of_a, of_b = service.key("a"), service.key("b")
    for key, text in ((of_a, "of a"), (of_b, "of b")):
        item = {"object_id": "same", "payload": {"text": text}}
        body = {"embedding_model_id": "wordllama-256", "items": [item], "task_id": "same"}
        assert service.ask(key, "POST", "/internal/upsertion-tasks/run", body).status_code == 200
    drain(service.service.engine)
    for key, text in ((of_a, "of a"), (of_b, "of b")):
        hits = service.ask(key, "POST", "/search", {"collection": "wordllama-256", "text": "of"}).json()["hits"]
        assert [hit["payload"]["text"] for hit in hits] == [text]
        assert service.ask(key, "GET", "/jobs").json()["total"] == 1


def test_deletions_of_other_tenants_have_their_own_lane(service: Tenanted) -> None:
    key = service.key("a")
    body = {"embedding_model_id": "wordllama-256", "object_ids": ["x"]}
    assert service.ask(key, "POST", "/internal/deletion-tasks/run", body).status_code == 200
    head = service.service.ledger.claims.lane_heads()[0]
    tenant = service.service.ledger.tenants.find("a").id
    assert (head.lane, head.tenant) == (f"{tenant}/delete", tenant)
    drain(service.service.engine)
    assert service.ask(key, "GET", "/jobs").json()["jobs"][0]["state"] == "succeeded"


def test_only_the_operator_sees_measurements(service: Tenanted) -> None:
    assert service.ask(service.key("a"), "GET", "/metrics").status_code == 403
    assert service.ask(service.key("default", "read"), "GET", "/metrics").status_code == 403
    assert service.ask(service.key("default"), "GET", "/metrics").status_code == 200


def test_a_route_that_nothing_authenticates_stops_the_app() -> None:
    async def forgotten() -> None: ...

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    safe = APIRouter(route_class=NativeRoute)
    safe.add_api_route("/safe", forgotten)
    app.include_router(safe)
    check_marks(app)
    plain = APIRouter()
    plain.add_api_route("/forgotten", forgotten)
    app.include_router(plain)
    with pytest.raises(RuntimeError, match="/forgotten: expected a route class that authenticates"):
        check_marks(app)


def test_a_mounted_app_stops_the_app() -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.mount("/other", FastAPI())
    with pytest.raises(RuntimeError, match="nothing authenticates"):
        check_marks(app)


def test_these_routes_are_public_and_no_others(service: Tenanted) -> None:
    app: Any = service.http.app
    public = {route.path for route in routes_of(app) if need_of_route(route) is Need.PUBLIC}
    pages = {each for each in public if each.endswith((".md", ".txt"))}
    assert public - pages == {
        "/docs", "/health", "/healthz", "/readyz", "/oauth/token", "/oauth2/token", "/openapi.json",
        "/v2/gen-ai/uploads/{object_key:path}", "/v2/gen-ai/indexing_jobs/{uuid}/report.csv",
    }  # fmt: skip
