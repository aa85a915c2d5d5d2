"""Every route of the service with tenant B's key and tenant A's ids: as if A's things were not there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from starlette.staticfiles import StaticFiles

from indexmill.http.auth import Need
from indexmill.http.problems import NativeRoute
from indexmill.http.route_marks import check_marks, need_of_route, routes_of
from indexmill.ledger.claims import is_claimed_alone
from indexmill.worker.turns import Turns
from tests.draining import drain
from tests.tenants import Tenanted, shared_settings, tenanted

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
        "/jobs": (None, {"after": ids.job, "state": "succeeded"}),
        "/v1/upload": (None, {"o": ids.number}),
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


@pytest.fixture(scope="module")
def service(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenanted]:
    """For all of these tests: each has tenants of its own, but for what changes nothing."""
    with (
        shared_settings(postgres_url, tmp_path_factory.mktemp("isolation")) as settings,
        tenanted(settings) as made,
    ):
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
    of_a, of_b, of_c = service.key("a"), service.key("b"), service.key("c")
    ids, nobody = things_of(service, of_a), ghosts()
    drain(service.service.engine)
    routes = guarded_routes(service)
    assert len(routes) > 60
    refused = set()
    for method, path in routes:
        shown = []
        # These make a collection of the name that they are given: whoever asks for A's afterwards must have none.
        key = of_b if path.startswith("/v1/artifacts/") and method == "POST" else of_c
        for each in (ids, nobody):
            body, query = body_of(path, each)
            form = {"files": {"file": ("a.txt", b"x")}} if path.endswith(("/upload", "/upload_file")) else {}
            sent = None if method == "GET" or form else body
            answer = service.ask(key, method, path_of(path, each), sent, params=query, **form)
            if answer.status_code in (400, 422):
                refused.add(path)
            assert answer.status_code < 500 or answer.status_code == 504, (method, path, answer.text)
            assert SECRET not in answer.text, (method, path)
            text = ids.hidden_in(nobody.hidden_in(answer.text))
            shown.append((answer.status_code, text))
        assert shown[0] == shown[1], (method, path)
        if path.startswith("/v2/corpora/"):
            assert shown[0][0] == 404, (method, path, shown)
    # What is refused before anything is looked for shows nothing: these name nothing of A, or are refused for it.
    assert refused == {"/v2/gen-ai/knowledge_bases", "/v1/create-corpus", "/models"}

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
    of_a, of_b = service.key("same a"), service.key("same b")
    for key, text in ((of_a, "of a"), (of_b, "of b")):
        item = {"object_id": "same", "payload": {"text": text}}
        body = {"embedding_model_id": "wordllama-256", "items": [item], "task_id": "same"}
        assert service.ask(key, "POST", "/internal/upsertion-tasks/run", body).status_code == 200
    drain(service.service.engine)
    for key, text in ((of_a, "of a"), (of_b, "of b")):
        hits = service.ask(key, "POST", "/search", {"collection": "wordllama-256", "text": "of"}).json()["hits"]
        assert [hit["payload"]["text"] for hit in hits] == [text]
        assert service.ask(key, "GET", "/jobs").json()["total"] == 1


def all_routes(service: Tenanted) -> Iterator[tuple[str, str, Need]]:
    app: Any = service.http.app
    for route in routes_of(app):
        for method in sorted(route.methods or ()):
            yield method, route.path, need_of_route(route)


def test_nobody_comes_in_without_a_credential_at_any_route(service: Tenanted) -> None:
    """Whatever a route class makes of its handler, the gate must stand in front of it."""
    reader, nobody = service.key("a", "read"), ghosts()
    for method, path, need in all_routes(service):
        asked = path_of(path, nobody)
        answer = service.ask(None, method, asked, {} if method != "GET" else None)
        is_in = answer.status_code not in (401, 403)
        # Signed URLs and a client's secret are credentials of their own.
        opens_itself = path.startswith(("/oauth", "/v2/gen-ai/uploads/")) or path.endswith("report.csv")
        assert is_in == (need is Need.PUBLIC) or opens_itself, (method, path, answer.text)
        if need is not Need.PUBLIC:
            assert "Expected an API key or a token" in answer.text, (method, path, answer.text)
            for other in ("HEAD", "OPTIONS", "TRACE"):
                assert service.ask(None, other, asked).status_code in (401, 403, 405), (other, path)
        if need in (Need.WRITE, Need.ADMIN, Need.OPERATOR):
            answer = service.ask(reader, method, asked, {})
            assert answer.status_code == 403, (method, path, answer.text)
            assert "Expected an API key with the role" in answer.text


def test_what_a_reader_may_send_only_reads(service: Tenanted) -> None:
    reads = {path for method, path, need in all_routes(service) if need is Need.READ and method != "GET"}
    assert reads == {
        "/search", "/v1/embeddings", "/v1/artifacts/content", "/v1/primitives/search",
        "/{uuid}/retrieve", "/v1/{uuid}/retrieve",
        "/v1/list-jobs", "/v1/list-corpora", "/v1/read-corpus", "/v1/list-documents", "/v1/query",
        "/v2/query", "/v2/corpora/{corpus_key}/query", "/v2/corpora/{corpus_key}/compute_size",
    }  # fmt: skip


def test_a_slash_at_the_end_leads_to_the_path_without_it_and_nowhere_else(service: Tenanted) -> None:
    key = service.key("a")
    for host in ("localhost", "evil.example.com"):
        answer = service.ask(key, "GET", "/collections/?a=%2F", headers={"host": host}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (307, "/collections?a=%2F")
    answer = service.http.post("/internal/upsertion-tasks/run/", json={}, headers={"x-api-key": key})
    assert answer.status_code == 422, "with the body, and the credential"
    for path in ("//evil.example.com/", "/nowhere/", "//evil.example.com/retrieve/"):
        assert service.ask(key, "GET", path, follow_redirects=False).status_code == 404
    assert service.ask(None, "GET", "/collections/").status_code == 401


def test_lanes_of_other_tenants_are_their_own(service: Tenanted) -> None:
    """One that deletes, scans or rebuilds for long stands in nobody's way."""
    ledger, tenants = service.service.ledger, {}
    for name in ("default", "lanes a", "lanes b"):
        key = service.key(name)
        assert service.ask(key, "GET", "/models").status_code == 200
        tenants[ledger.tenants.find(name).id] = name
        service.service.engine.of(ledger.tenants.find(name).id).rebuild("wordllama-256")
    heads = [head for head in ledger.claims.lane_heads() if head.tenant in tenants]
    assert sorted((head.tenant, head.lane) for head in heads) == sorted(
        (tenant, "structural" if name == "default" else f"{tenant}/structural") for tenant, name in tenants.items()
    )
    assert all(is_claimed_alone(head.lane) for head in heads)
    turns, given = Turns(), []
    for _ in range(6):
        head = turns.next(heads, None)
        assert head is not None
        turns.took(head)
        given.append(tenants[head.tenant])
    assert sorted(given[:3]) == sorted(given[3:]) == ["default", "lanes a", "lanes b"]
    drain(service.service.engine)
    jobs = [service.ask(service.key(name), "GET", "/jobs").json()["jobs"][0] for name in tenants.values()]
    assert [(job["kind"], job["state"]) for job in jobs] == [("rebuild", "succeeded")] * 3


def test_deletions_of_other_tenants_have_their_own_lane(service: Tenanted) -> None:
    key = service.key("deletions")
    body = {"embedding_model_id": "wordllama-256", "object_ids": ["x"]}
    assert service.ask(key, "POST", "/internal/deletion-tasks/run", body).status_code == 200
    tenant = service.service.ledger.tenants.find("deletions").id
    (head,) = [each for each in service.service.ledger.claims.lane_heads() if each.tenant == tenant]
    assert head.lane == f"{tenant}/delete"
    drain(service.service.engine)
    assert service.ask(key, "GET", "/jobs").json()["jobs"][0]["state"] == "succeeded"


def test_only_the_operator_sees_measurements(service: Tenanted) -> None:
    assert service.ask(service.key("a"), "GET", "/metrics").status_code == 403
    assert service.ask(service.key("default", "read"), "GET", "/metrics").status_code == 403
    assert service.ask(service.key("default"), "GET", "/metrics").status_code == 200


def test_a_route_that_nothing_authenticates_stops_the_app() -> None:
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


async def forgotten() -> None: ...


async def forgotten_socket(socket: WebSocket) -> None: ...


def _included(add: Callable[[Any], object], **options: Any) -> Callable[[Any], object]:
    """In a router of the app, or in a router of one."""
    inner, outer = APIRouter(route_class=NativeRoute), APIRouter(route_class=NativeRoute)
    add(inner)
    outer.include_router(inner, **options)
    return lambda app: app.include_router(outer)


@pytest.mark.parametrize(
    "add",
    [
        lambda app: app.mount("/other", FastAPI()),
        lambda app: app.mount("/files", StaticFiles(directory=".")),
        lambda app: app.host("other.example.com", FastAPI()),
        lambda app: app.frontend("/pages", directory="."),
        lambda app: app.add_route("/plain", forgotten),
        lambda app: app.add_api_route("/unguarded", forgotten),
        lambda app: app.router.add_websocket_route("/socket", forgotten_socket),
        lambda app: app.add_api_websocket_route("/socket", forgotten_socket),
        lambda app: app.add_api_route("/openapi.json", forgotten),
        _included(lambda router: router.mount("/other", FastAPI())),
        _included(lambda router: router.frontend("/pages", directory=".")),
        _included(lambda router: router.add_route("/plain", forgotten)),
        _included(lambda router: router.add_route("/openapi.json", forgotten)),
        _included(lambda router: router.add_websocket_route("/socket", forgotten_socket)),
        _included(lambda router: router.add_api_route("/safe", forgotten), prefix="/prefix"),
    ],
)
def test_there_is_no_way_round_the_check(add: Callable[[Any], object]) -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    check_marks(app)
    add(app)
    with pytest.raises(RuntimeError, match=r"authenticate|prefix"):
        check_marks(app)


def test_what_is_added_to_the_app_itself_is_guarded(service: Tenanted) -> None:
    key = service.key("a")
    app: Any = service.http.app
    app.add_api_route("/later", forgotten)
    assert service.ask(None, "GET", "/later").status_code == 401
    assert service.ask(key, "GET", "/later").status_code == 200


def test_these_routes_are_public_and_no_others(service: Tenanted) -> None:
    app: Any = service.http.app
    public = {route.path for route in routes_of(app) if need_of_route(route) is Need.PUBLIC}
    pages = {each for each in public if each.endswith((".md", ".txt"))}
    assert public - pages == {
        "/docs", "/health", "/healthz", "/readyz", "/oauth/token", "/oauth2/token", "/openapi.json",
        "/v2/gen-ai/uploads/{object_key:path}", "/v2/gen-ai/indexing_jobs/{uuid}/report.csv",
    }  # fmt: skip
