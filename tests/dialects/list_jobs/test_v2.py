"""The second version on the wire: the real ledger behind jobs, a fake behind corpora."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from indexmill.dialects.list_jobs.searching import SearchedCorpus, nearest
from indexmill.domain.filter_attributes import AttributeLevel, AttributeType, FilterAttribute
from indexmill.domain.job import Item, Job, JobKind, Submission
from indexmill.engine import Engine
from indexmill.errors import ServiceError
from tests.dialects.list_jobs import vendor_models as vendor
from tests.dialects.list_jobs.conftest import Checked
from tests.dialects.list_jobs.fake_corpora import FakeCorpora


def _submit(engine: Engine, collection: str = "tiny") -> Job:
    return engine.submit(Submission(JobKind.UPSERTION, "tiny", [Item("a", {"text": "a"})], collection=collection)).job


def _ids(page: vendor.V2Jobs) -> list[str]:
    return [each.id for each in page.jobs]


def _jobs(send: Checked, **parameters: Any) -> vendor.V2Jobs:
    return send.v2(vendor.V2Jobs, "GET", "jobs", params=parameters)


@pytest.fixture
def key(send: Checked) -> str:
    return send.v2(vendor.V2Corpus, "POST", "corpora", {"key": "handbook"}, expected=201).key


def test_jobs_are_filtered_and_paged(send: Checked, engine: Engine, set_job: Callable[..., None], key: str) -> None:
    here = [f"job_{_submit(engine, key).id}" for _ in range(5)]
    elsewhere = _submit(engine)
    ended = _submit(engine)
    now = datetime.now(UTC)
    set_job(ended.id, state="succeeded", reason="complete", indexed=1, started_at=now, finished_at=now)
    set_job(elsewhere.id, created_at=now - timedelta(days=40), state="running", started_at=now)
    assert _ids(_jobs(send))[0] == f"job_{ended.id}"
    page = _jobs(send, corpus_key=[key, "nowhere"], state="queued", limit=2)
    met = _ids(page)
    while page.metadata.page_key:
        page = _jobs(send, page_key=page.metadata.page_key, corpus_key="nowhere", limit=100)
        met += _ids(page)
    assert met == here[::-1]
    (done,) = _jobs(send, state=["completed", "failed"]).jobs
    assert (done.state, done.completed_at is not None, done.corpus_keys) == ("completed", True, ["tiny"])
    assert _ids(_jobs(send, after=(now - timedelta(days=50)).isoformat(), state="started")) == [f"job_{elsewhere.id}"]
    assert _ids(_jobs(send, after="2024-05-01T00:00:00", state="started")) == [f"job_{elsewhere.id}"]
    assert _ids(_jobs(send, after=(now - timedelta(days=30)).isoformat(), state="started")) == []
    assert _ids(_jobs(send, state="unknown")) == []
    # A key of the first version's listing is none of this one's.
    first = send.v1(vendor.V1Jobs, "list-jobs", {"numResults": 1}).page_key
    assert "page key" in send.v2_refused(400, "GET", f"jobs?page_key={first}").messages[0]


def test_a_job_is_read_cancelled_and_retried(send: Checked, engine: Engine) -> None:
    job = _submit(engine)
    for form in (f"job_{job.id}", str(job.id), f"task_{job.id}"):
        assert send.v2(vendor.V2Job, "GET", f"jobs/{form}").state == "queued"
    for _ in range(2):
        cancelled = send.v2(vendor.V2Job, "POST", f"jobs/job_{job.id}/cancel")
        assert (cancelled.state, cancelled.progress) == ("aborted", 1)
    assert send.v2(vendor.V2Job, "POST", f"jobs/job_{job.id}/retry").state == "queued"
    assert engine.find(str(job.id)).attempt == 2


def test_what_is_not_there_is_named(send: Checked, key: str) -> None:
    for method, path in (
        ("GET", "jobs/job_x"),
        ("POST", "jobs/job_x/cancel"),
        ("POST", "jobs/job_x/retry"),
        ("GET", "jobs/job_x/failed_documents"),
    ):
        assert send.v2_refused(404, method, path).id == "job_x"
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/reset"),
        ("POST", "/rebuild_vector_index"),
        ("POST", "/compute_size"),
        ("GET", "/documents"),
        ("GET", "/documents/a"),
        ("GET", "/query?query=x"),
        ("DELETE", "/documents?document_ids=a"),
    ):
        problem = send.v2_refused(404, method, f"corpora/nowhere{path}")
        assert (problem.id, problem.messages) == ("nowhere", ["Corpus `nowhere` not found"])
    for method in ("GET", "DELETE"):
        assert send.v2_refused(404, method, f"corpora/{key}/documents/a%2Fb").id == "a/b"
    assert send.v2_refused(404, "GET", "jobs/job_x/other").id == ""
    send.v2_refused(405, "PUT", "jobs")


def test_corpora_are_made_changed_listed_and_deleted(send: Checked, verbs: FakeCorpora) -> None:
    attributes = [
        {"name": "year", "level": "document", "type": "integer"},
        {"name": "tags", "level": "part", "type": "list[text]", "indexed": False, "description": "words"},
    ]
    body = {"key": "handbook", "name": "The handbook", "filter_attributes": attributes, "save_history": True}
    made = send.v2(vendor.V2Corpus, "POST", "corpora", body, expected=201)
    assert (made.id, made.save_history, made.enabled) == (f"crp_{verbs.get('handbook').number}", True, True)
    assert verbs.get("handbook").attributes[1] == FilterAttribute(
        "tags", AttributeLevel.PART, AttributeType.TEXT_LIST, indexed=False, description="words"
    )
    assert "handbook" in send.v2_refused(409, "POST", "corpora", body).messages[0]
    changed = send.v2(vendor.V2Corpus, "PATCH", "corpora/handbook", {"enabled": False, "description": "new"})
    assert (changed.enabled, changed.description, changed.name) == (False, "new", "The handbook")
    assert send.v2(vendor.V2Corpus, "GET", "corpora/handbook") == changed
    keys = ["handbook", *(f"c{n}" for n in range(4))]
    for each in keys[1:]:
        send.v2(vendor.V2Corpus, "POST", "corpora", {"key": each}, expected=201)
    page = send.v2(vendor.V2Corpora, "GET", "corpora?limit=2")
    met = page.corpora
    while page.metadata.page_key:
        page = send.v2(vendor.V2Corpora, "GET", f"corpora?page_key={page.metadata.page_key}")
        met += page.corpora
    assert [each.key for each in met] == keys
    # Nothing is counted for a list.
    assert {each.limits for each in met} == {None}
    assert [each.key for each in send.v2(vendor.V2Corpora, "GET", "corpora?filter=c1").corpora] == ["c1"]
    numbered = send.v2(vendor.V2Corpora, "GET", f"corpora?corpus_id={made.id}&corpus_id=crp_999999").corpora
    assert [each.key for each in numbered] == ["handbook"]
    for path, wanted in (
        ("replace_filter_attributes", {"filter_attributes": attributes[:1]}),
        ("rebuild_vector_index", None),
    ):
        job = send.v2(vendor.V2JobStarted, "POST", f"corpora/handbook/{path}", wanted).job_id
        assert send.v2(vendor.V2Job, "GET", f"jobs/{job}").state == "completed"
    send.v2_done("POST", "corpora/handbook/reset")
    send.v2_done("DELETE", "corpora/c3")
    assert sorted(verbs.corpora) == ["c0", "c1", "c2", "handbook"]


def test_documents_are_made_read_listed_and_deleted(send: Checked, verbs: FakeCorpora, key: str) -> None:
    core = {"id": "a/b c", "type": "core", "metadata": {"n": 1, "none": None}, "document_parts": [{"text": "one"}]}
    path = f"corpora/{key}/documents"
    made = send.v2(vendor.V2Document, "POST", path, core, expected=201, headers={"Request-Timeout": "5"})
    assert verbs.waits == [5]
    assert send.v2(vendor.V2Document, "POST", path, core, expected=201) == made
    assert "a/b c" in send.v2_refused(409, "POST", path, {**core, "metadata": {}}).messages[0]
    read = send.v2(vendor.V2Document, "GET", f"{path}/a%2Fb%20c")
    assert (read.metadata, [each.text for each in read.parts or ()]) == ({"n": 1, "none": None}, ["one"])
    structured = {
        "type": "structured",
        "title": "T",
        "metadata": {"half": "a"},
        "sections": [{"id": 1, "text": "x", "title": "S", "metadata": {"p": 1}, "sections": [{"text": "y"}]}],
    }
    for n in range(4):
        send.v2(vendor.V2Document, "POST", path, {**structured, "id": f"d{n}"}, expected=201)
    # The section's id is said of its own parts.
    parts = [(part.text, part.metadata) for part in verbs.stored[key]["d0"].parts or ()]
    assert parts == [("x", {"section": 1, "p": 1}), ("y", {})]
    page = send.v2(vendor.V2Documents, "GET", f"{path}?limit=2&metadata_filter=doc.half = 'a'")
    met = page.documents
    while page.metadata.page_key:
        page = send.v2(vendor.V2Documents, "GET", f"{path}?page_key={page.metadata.page_key}")
        met += page.documents
    assert [each.id for each in met] == ["d0", "d1", "d2", "d3"]
    assert met[0].metadata == {"title": "T", "half": "a"}
    size = {"used_docs": 5, "used_parts": 9, "used_characters": 11, "used_metadata_characters": 0}
    assert send.http.post(f"/v2/corpora/{key}/compute_size").json() == size
    assert send.v2(vendor.V2Corpus, "GET", f"corpora/{key}").limits == vendor.Limits(used_docs=5, used_parts=9)
    changed = send.v2(vendor.V2Document, "PATCH", f"{path}/a%2Fb%20c", {"metadata": {"n": 2}})
    assert changed.metadata == {"n": 2, "none": None}
    changed = send.v2(vendor.V2Document, "PUT", f"{path}/a%2Fb%20c/metadata", {"metadata": {"m": None}})
    assert changed.metadata == {"m": None}
    assert send.v2(vendor.V2Document, "PATCH", f"{path}/a%2Fb%20c", {}).metadata == {"m": None}
    assert send.v2_refused(404, "PATCH", f"{path}/gone", {"metadata": {}}).id == "gone"
    assert "NUL" in send.v2_refused(400, "PATCH", f"{path}/d0", {"metadata": {"a": "\0"}}).messages[0]
    send.v2_done("DELETE", f"{path}/a%2Fb%20c", headers={"Request-Timeout": "50"})
    assert verbs.waits[-1] == 50
    started = send.v2(vendor.BulkStarted, "DELETE", f"{path}?document_ids=d0,d1,", expected=202)
    assert send.v2(vendor.V2Job, "GET", f"jobs/{started.job_id}").state == "completed"
    done = send.v2(vendor.BulkDone, "DELETE", f"{path}?document_ids=d2,gone&async=false")
    assert (done.deleted_count, done.skipped_count) == (1, 1)
    done = send.v2(vendor.BulkDone, "DELETE", f"{path}?metadata_filter=doc.half = 'a'&async=false")
    assert (done.deleted_count, verbs.waits[-3:]) == (1, [None, 30, 30])


@pytest.mark.parametrize("blank", ["", "%20", "%09%0A"])
def test_an_empty_filter_is_no_wish_to_delete_everything(
    send: Checked, verbs: FakeCorpora, key: str, blank: str
) -> None:
    path = f"/v2/corpora/{key}/documents"
    before = dict(verbs.stored[key])
    answer = send.http.request("DELETE", f"{path}?metadata_filter={blank}")
    assert answer.status_code == 400
    assert "reset the corpus" in answer.json()["messages"][0]
    assert verbs.stored[key] == before


def test_corpora_are_searched(send: Checked, key: str) -> None:
    other = send.v2(vendor.V2Corpus, "POST", "corpora", {"key": "other"}, expected=201).key
    for n in range(4):
        document = {"id": f"d{n}", "type": "core", "metadata": {"half": "ab"[n // 2]}}
        body = {**document, "document_parts": [{"text": "x" * (n + 1), "metadata": {"p": n}}]}
        send.v2(vendor.V2Document, "POST", f"corpora/{(key, other)[n % 2]}/documents", body, expected=201)
    search = {"metadata_filter": "doc.half = 'a'", "limit": 5, "offset": 0, "reranker": {"type": "none"}}
    found = send.v2(vendor.V2Results, "POST", f"corpora/{key}/query", {"query": "x", "search": search}).search_results
    assert [(each.document_id, each.part_metadata, each.corpus_key) for each in found] == [("d0", {"p": 0}, key)]
    found = send.v2(vendor.V2Results, "GET", f"corpora/{key}/query?query=x&limit=1&offset=1").search_results
    assert [each.document_id for each in found] == ["d2"]
    both = {"corpora": [{"corpus_key": key}, {"corpus_key": other, "metadata_filter": "doc.half = 'b'"}], "limit": 2}
    found = send.v2(vendor.V2Results, "POST", "query", {"query": "x", "search": both}).search_results
    assert [(each.document_id, each.request_corpora_index) for each in found] == [("d0", 0), ("d2", 0)]
    found = send.v2(vendor.V2Results, "POST", "query", {"query": "x", "search": {**both, "offset": 2}}).search_results
    assert [(each.document_id, each.request_corpora_index) for each in found] == [("d3", 1)]


def test_no_further_corpus_is_searched_when_nobody_waits_any_more(verbs: FakeCorpora, key: str) -> None:
    corpora = [SearchedCorpus(key, None)] * 2
    with pytest.raises(TimeoutError):
        nearest(verbs, corpora, "x", 1, 0, seconds=0)
    assert verbs.asked == []
    nearest(verbs, corpora, "x", 1, 0, seconds=60)
    assert len(verbs.asked) == 2


def test_a_search_may_come_as_events(send: Checked, key: str) -> None:
    document = {"id": "d", "type": "core", "document_parts": [{"text": "one\n\nline"}]}
    send.v2(vendor.V2Document, "POST", f"corpora/{key}/documents", document, expected=201)
    body = {"query": "x", "stream_response": True}
    for path, wanted in (
        (f"corpora/{key}/query", body),
        ("query", {**body, "search": {"corpora": [{"corpus_key": key}]}}),
    ):
        answer = send.http.post(f"/v2/{path}", json=wanted)
        assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/event-stream")
        results, end, rest = answer.text.split("\n\n")
        assert results.startswith("event: search_results\ndata: ")
        said = json.loads(results.partition("data: ")[2])
        assert said.pop("type") == "search_results"
        assert vendor.V2Results.model_validate(said).search_results[0].text == "one\n\nline"
        assert (end, rest) == ('event: end\ndata: {"type":"end"}', "")
    assert send.v2_refused(404, "POST", "corpora/nowhere/query", body).id == "nowhere"


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("GET", "jobs?limit=0", None, "limit"),
        ("GET", "jobs?limit=101", None, "limit"),
        ("GET", "jobs?state=done", None, "state"),
        ("GET", "jobs?after=yesterday", None, "after"),
        ("GET", "jobs?page_key=AAAA", None, "page key"),
        ("GET", "corpora?corpus_id=12", None, "crp_12"),
        ("POST", "corpora", {}, "key"),
        ("POST", "corpora", {"key": "a b"}, "key"),
        ("POST", "corpora", {"key": "a", "filter_attributes": [{"name": "x"}]}, "level"),
        (
            "POST",
            "corpora",
            {
                "key": "a",
                "filter_attributes": [{"name": "x", "level": "part", "type": "text", "description": "\0"}],
            },
            "description",
        ),
        ("GET", "corpora?filter=%00", None, "filter"),
        ("POST", "corpora/c/documents", {"id": "a", "type": "core"}, "document_parts"),
        ("POST", "corpora/c/documents", {"id": "a", "type": "structured"}, "sections"),
        ("POST", "corpora/c/documents", {"id": "", "type": "core", "document_parts": []}, "id"),
        (
            "POST",
            "corpora/c/documents",
            {"id": "a", "type": "core", "document_parts": [{"text": "x", "metadata": {"a": ["\0"]}}]},
            "NUL",
        ),
        ("POST", "corpora/c/documents", {"id": "a", "type": "core", "document_parts": []}, "document_parts"),
        ("POST", "corpora/c/documents", {"id": "a", "type": "structured", "sections": []}, "sections"),
        ("DELETE", "corpora/c/documents", None, "exactly one"),
        ("DELETE", "corpora/c/documents?document_ids=,", None, "1 to 1000"),
        ("POST", "corpora/c/query", {"query": ""}, "query"),
        ("POST", "corpora/c/query", {"query": "x", "search": {"limit": 1000, "offset": 1}}, "1000"),
        ("POST", "query", {"query": "x", "search": {"corpora": []}}, "corpora"),
    ],
)
def test_what_cannot_be_is_a_400_that_says_why(send: Checked, method: str, path: str, body: Any, words: str) -> None:
    assert words in send.v2_refused(400, method, path, body).messages[0]


def test_wrong_fields_are_named(send: Checked) -> None:
    problem = send.v2_refused(400, "POST", "corpora", {"key": "a b", "name": 5})
    assert {"key", "name"} == set(problem.field_errors)
    send.v2_refused(400, "GET", "jobs", headers={"Request-Timeout": "soon"})


def test_other_errors_have_this_shape(send: Checked, verbs: FakeCorpora, key: str) -> None:
    verbs.raises = ServiceError("postgres://secret")
    assert "secret" not in str(send.v2_refused(503, "GET", f"corpora/{key}"))
    verbs.raises = TimeoutError()
    send.v2_refused(504, "GET", f"corpora/{key}")
    verbs.raises = ZeroDivisionError()
    send.v2_refused(500, "GET", f"corpora/{key}")
