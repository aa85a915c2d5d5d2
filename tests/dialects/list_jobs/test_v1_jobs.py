"""`POST /v1/list-jobs` over the real ledger: its conventions, filters, pages and errors."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from starlette.testclient import TestClient

from indexmill.dialects.list_jobs.states import V1_STATES, V2_STATES, states_named
from indexmill.domain.job import Item, Job, JobKind, JobWalk, Submission
from indexmill.domain.job_state import JobState
from indexmill.engine import Engine
from indexmill.http.app import create_app
from indexmill.http.service import Service
from indexmill.security.keyring import Keyring
from indexmill.security.page_keys import PageKeys
from tests.dialects.list_jobs import vendor_models as vendor
from tests.dialects.list_jobs.conftest import Checked, ListJobsService
from tests.dialects.list_jobs.fake_corpora import FakeCorpora

#: What ends a job, besides its state.
ENDS: dict[str, dict[str, Any]] = {
    "succeeded": {"reason": "complete"},
    "failed": {"reason": "system", "detail": "the model is gone"},
    "cancelled": {"reason": "by_request"},
    "refused": {"reason": "withdrawn"},
}


def _submit(engine: Engine, **changes: Any) -> Job:
    wanted: dict[str, Any] = {
        "kind": JobKind.UPSERTION,
        "model": "tiny",
        "items": [Item("a", {"text": "a"})],
        **changes,
    }
    return engine.submit(Submission(**wanted)).job


def _in_state(engine: Engine, set_job: Callable[..., None], state: str) -> Job:
    job = _submit(engine)
    at = job.created_at + timedelta(seconds=29)
    columns: dict[str, Any] = {"state": state, "started_at": None if state in ("queued", "refused") else at}
    if state in ENDS:
        columns |= {"finished_at": at + timedelta(seconds=1), "indexed": 1, **ENDS[state]}
    set_job(job.id, **columns)
    return job


def _list(send: Checked, **body: Any) -> vendor.V1Jobs:
    return send.v1(vendor.V1Jobs, "list-jobs", body)


def _ids(answer: vendor.V1Jobs) -> list[str]:
    return [each.id for each in answer.job]


@pytest.mark.parametrize(
    ("state", "names"),
    [
        ("queued", ("QUEUED", 5)),
        ("running", ("STARTED", 10)),
        ("retrying", ("TRANSIENT_FAILURE_RETRY_IMMINENT", 25)),
        ("succeeded", ("COMPLETED", 15)),
        ("failed", ("FAILED", 20)),
        ("refused", ("FAILED", 20)),
        ("cancelled", ("ABORTED", 30)),
    ],
)
def test_each_state_has_its_name_its_number_and_its_times(
    send: Checked, engine: Engine, set_job: Callable[..., None], state: str, names: tuple[str, int]
) -> None:
    name, number = names
    job = _in_state(engine, set_job, state)
    _submit(engine, collection="tiny")
    (found,) = _list(send, state=[f"JOB_STATE__{name}"], jobId=str(job.id)).job
    assert found.id == f"job_{job.id}"
    created = int(job.created_at.timestamp())
    assert (found.state, found.ts_create) == (f"JOB_STATE__{name}", str(created))
    started = (job.created_at + timedelta(seconds=29)).timestamp()
    assert found.ts_start == ("0" if state in ("queued", "refused") else str(int(started)))
    assert found.ts_complete == (str(int(started + 1)) if state in ENDS else "0")
    assert (found.kind, found.type, found.user_handle) == ("upsertion", "JOB__UNKNOWN", "")
    assert found.detail == ENDS.get(state, {}).get("detail", "")
    assert found.progress == (1 if state in ENDS else 0)
    for same in (number, str(number), float(number)):
        assert _ids(_list(send, state=[same], jobId=str(job.id))) == [found.id]
    assert _ids(_list(send, state=["JOB_STATE__UNKNOWN"], jobId=str(job.id))) == []


def test_every_field_is_written(http: TestClient, engine: Engine) -> None:
    _submit(engine)
    answer = http.post("/v1/list-jobs", json={})
    assert list(answer.json()) == ["status", "job", "pageKey"]
    (job,) = answer.json()["job"]
    assert [(name, type(value)) for name, value in job.items()] == [
        ("id", str),
        ("type", str),
        ("corpusId", list),
        ("state", str),
        ("tsCreate", str),
        ("tsStart", str),
        ("tsComplete", str),
        ("userHandle", str),
        ("kind", str),
        ("progress", float),
        ("itemsTotal", str),
        ("itemsDone", str),
        ("itemsFailed", str),
        ("detail", str),
    ]
    assert (answer.json()["status"], answer.json()["pageKey"]) == ([], "")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"content": b""},
        {"content": b"{}"},
        {"content": b"null"},
        {"content": b"{}", "headers": {"content-type": "text/plain"}},
        {"json": {"unknownThing": [1, {"deep": None}], "jobId": None, "state": None, "numResults": None}},
        {"json": {"num_results": "100", "corpus_id": [], "epoch_secs": "0", "page_key": "", "job_id": ""}},
        {"json": {"numResults": 250.0}},
        {"json": {"numResults": 4_294_967_295}},
        {"json": {"epochSecs": -5}},
        {"json": {"epochSecs": "1"}},
        {"content": iter([b"{", b"}"])},
        {"headers": {"timeout": "10S", "customer-id": "1234567890"}},
        {"headers": {"timeout": "9000s"}},
        {"headers": {"grpc-timeout": "10S"}},
    ],
)
def test_whatever_says_nothing_lists_all(http: TestClient, engine: Engine, options: dict[str, Any]) -> None:
    ids = [f"job_{_submit(engine).id}" for _ in range(3)]
    answer = http.post("/v1/list-jobs", **options)
    assert answer.status_code == 200, answer.text
    assert [each["id"] for each in answer.json()["job"]] == ids[::-1]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"numResults": 0}, "numResults: expected at least 1"),
        ({"numResults": -1}, "numResults"),
        ({"numResults": 1.5}, "numResults"),
        ({"numResults": "ten"}, "integer"),
        ({"numResults": True}, "integer"),
        ({"numResults": 2**32}, "numResults"),
        ({"corpusId": 12}, "corpusId"),
        ({"corpusId": [None]}, "corpusId"),
        ({"corpusId": [-1]}, "corpusId"),
        ({"corpusId": list(range(101))}, "corpusId"),
        ({"epochSecs": "yesterday"}, "epochSecs"),
        ({"epochSecs": 2**63}, "epochSecs"),
        ({"state": ["JOB_STATE__DONE"]}, "JOB_STATE__QUEUED"),
        ({"state": "JOB_STATE__QUEUED"}, "state"),
        ({"state": [True]}, "state"),
        ({"jobId": 12}, "jobId"),
        ({"jobId": "a\0"}, "jobId"),
        ({"pageKey": "not base64!"}, "base64"),
        ([], "object"),
        ("", "object"),
    ],
)
def test_what_cannot_be_is_code_3(send: Checked, body: Any, words: str) -> None:
    assert words in send.v1_refused(400, 3, "list-jobs", body)


def test_what_is_no_json_is_code_3(send: Checked) -> None:
    assert "JSON" in send.v1_refused(400, 3, "list-jobs", content=b"{")
    assert "JSON" in send.v1_refused(400, 3, "list-jobs", content=b'{"a": NaN}')


@pytest.mark.parametrize(
    "headers", [{"timeout": "soon"}, {"timeout": "-1S"}, {"grpc-timeout": "10"}, {"customer-id": "me"}]
)
def test_wrong_headers_are_code_3(send: Checked, headers: dict[str, str]) -> None:
    assert next(iter(headers)) in send.v1_refused(400, 3, "list-jobs", {}, headers=headers)


def test_a_request_that_takes_too_long_is_code_4(
    send: Checked, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_answered = threading.Event()

    def slowly(*_: Any, **__: Any) -> list[Job]:
        assert is_answered.wait(30)
        return []

    monkeypatch.setattr(Engine, "walk_jobs", slowly)
    try:
        assert "took longer" in send.v1_refused(504, 4, "list-jobs", {}, headers={"grpc-timeout": "10m"})
    finally:
        is_answered.set()


def test_every_form_of_an_id_finds_the_job(send: Checked, engine: Engine) -> None:
    _submit(engine)
    job = _submit(engine, external_id="upsert-001")
    for form in (f"job_{job.id}", str(job.id), f"task_{job.id}", job.id.hex, "upsert-001"):
        assert _ids(_list(send, jobId=form)) == [f"job_{job.id}"]
    assert _ids(_list(send, jobId="job_0192f0e4-7a3b-7000-8000-5f0c3c1e9d11")) == []
    assert _ids(_list(send, jobId="nothing of this kind")) == []


def test_filters_are_anded_and_time_goes_back_180_days(
    send: Checked, engine: Engine, set_job: Callable[..., None], corpus: int
) -> None:
    now = datetime.now(UTC)
    here = [_submit(engine, collection="handbook") for _ in range(3)]
    elsewhere = _submit(engine)
    set_job(here[0].id, created_at=now - timedelta(days=179))
    set_job(here[1].id, created_at=now - timedelta(days=181))
    assert _ids(_list(send, corpusId=[corpus])) == [f"job_{here[2].id}", f"job_{here[0].id}"]
    (listed, _) = _list(send, corpusId=[corpus, 999_999]).job
    assert listed.corpus_id == [corpus]
    month = str(int(now.timestamp()) - 30 * 86_400)
    assert _ids(_list(send, epochSecs=month)) == [f"job_{elsewhere.id}", f"job_{here[2].id}"]
    assert _ids(_list(send, epochSecs=month, corpusId=[str(corpus)], state=[5])) == [f"job_{here[2].id}"]
    assert _ids(_list(send, epochSecs=month, corpusId=[corpus], jobId=str(elsewhere.id))) == []
    assert _ids(_list(send, epochSecs=int(now.timestamp()) + 60)) == []
    assert _ids(_list(send, epochSecs=2**63 - 1)) == []


def test_a_page_key_needs_nothing_else_and_goes_to_the_end(send: Checked, engine: Engine, corpus: int) -> None:
    old = [f"job_{_submit(engine, collection='handbook').id}" for _ in range(7)]
    _submit(engine)
    page = _list(send, corpusId=[corpus], state=["JOB_STATE__QUEUED"], numResults=3)
    met = _ids(page)
    while page.page_key:
        # The key carries the conditions: what is said beside it does not count, not even where it is wrong.
        page = _list(send, pageKey=page.page_key, numResults=0, corpusId=[999_999], jobId="x")
        met += _ids(page)
        assert len(page.job) <= 3
    assert met == old[::-1]


def test_ten_pages_while_a_thousand_jobs_are_added_meet_every_old_one_once(send: Checked, engine: Engine) -> None:
    def add(count: int) -> None:
        for _ in range(0, count, 50):
            engine.submit_together([Submission(JobKind.UPSERTION, "tiny", [Item("a", {"text": "a"})])] * 50)

    add(500)
    old = [each.id for each in engine.walk_jobs(JobWalk(), limit=500)]
    adding = threading.Thread(target=add, args=(1000,))
    page = _list(send, numResults=50)
    met = _ids(page)
    adding.start()
    for _ in range(9):
        page = _list(send, pageKey=page.page_key)
        met += _ids(page)
    adding.join(timeout=60)
    assert not adding.is_alive()
    assert page.page_key == ""
    assert met == [f"job_{each}" for each in old]


def test_only_our_own_page_keys_are_taken(send: Checked, engine: Engine) -> None:
    for _ in range(3):
        _submit(engine)
    key = _list(send, numResults=1).page_key
    assert set(key) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    padded = base64.b64encode(base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))).decode()
    assert _ids(_list(send, pageKey=padded)) == _ids(_list(send, pageKey=key))
    keys = PageKeys(Keyring((b"k" * 32,)))
    other = PageKeys(Keyring((b"o" * 32,)))
    said = keys.open("v1 jobs", 1, key)
    forged = [
        key[:-1],
        key[: len(key) // 2],
        key[4:],
        f"A{key[1:]}" if key[0] != "A" else f"B{key[1:]}",
        key[:60] + ("A" if key[60] != "A" else "B") + key[61:],
        f"{key}AAAA",
        "AAAA",
        "A" * 40_000,
        keys.seal("v1 jobs", 2, said),
        keys.seal("v2 jobs", 1, said),
        other.seal("v1 jobs", 1, said),
    ]
    for each in forged:
        assert "page key" in send.v1_refused(400, 3, "list-jobs", {"pageKey": each}), each


def test_each_bit_of_a_page_key_counts(send: Checked, engine: Engine) -> None:
    for _ in range(2):
        _submit(engine)
    key = _list(send, numResults=1).page_key
    keys = PageKeys(Keyring((b"k" * 32,)))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for place, letter in enumerate(key):
        changed = alphabet[alphabet.index(letter) ^ 1]
        with pytest.raises(Exception, match="page key"):
            keys.open("v1 jobs", 1, key[:place] + changed + key[place + 1 :])


def test_a_job_that_has_ended_before_the_first_poll_is_seen_completed(
    send: Checked, verbs: FakeCorpora, corpus: int
) -> None:
    attribute = {"name": "year", "type": 5, "level": 5, "indexed": True}
    body = {"corpusId": corpus, "filterAttributes": [attribute]}
    for path, wanted in (("replace-corpus-filter-attrs", body), ("rebuild-corpus-vector-index", {"corpusId": corpus})):
        job = send.v1(vendor.StartedJob, path, wanted).job_id
        # Without a state, and nothing else than the id: as those poll who wait for a job.
        (found,) = _list(send, jobId=job).job
        assert (found.state, found.corpus_id) == ("JOB_STATE__COMPLETED", [corpus])


def test_a_setting_leaves_ended_jobs_out_where_nothing_asks_for_them(
    engine: Engine, set_job: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    ended, queued = _in_state(engine, set_job, "succeeded"), _submit(engine)
    service = ListJobsService(engine, tmp_path_factory.mktemp("active"), default_states="active")
    with TestClient(create_app(cast("Service", service)), base_url="http://localhost:8080") as client:
        send = Checked(client)
        assert _ids(_list(send)) == [f"job_{queued.id}"]
        assert _ids(_list(send, jobId=str(ended.id))) == [f"job_{ended.id}"]
        assert _ids(_list(send, state=["JOB_STATE__COMPLETED"])) == [f"job_{ended.id}"]
        _submit(engine)
        page = _list(send, numResults=1)
        assert _ids(_list(send, pageKey=page.page_key)) == [f"job_{queued.id}"]


def test_a_failed_job_says_which_item_failed_first(send: Checked, engine: Engine, set_job: Callable[..., None]) -> None:
    job = _submit(engine)
    set_job(job.id, state="failed", reason="by_items", failed=1, finished_at=job.created_at)
    with engine.ledger.database.connection() as connection:
        connection.execute(
            "INSERT INTO failed_item (job, ordinal, position, stage, code, sentence, retryable, object_id) "
            "VALUES (%s, 0, 0, 'embed', 'model_rejected', 'It is no text', false, 'a')",
            [job.id],
        )
    (found,) = _list(send, jobId=str(job.id)).job
    assert found.detail == "1 of 1 item failed; the first: It is no text"
    assert (found.items_total, found.items_done, found.items_failed) == ("1", "0", "1")
    (second,) = send.v2(vendor.V2Jobs, "GET", "jobs").jobs
    assert second.detail == found.detail
    failed = send.http.get(f"/v2/jobs/{found.id}/failed_documents").json()
    assert failed == {
        "failed_documents": [
            {"id": "a", "stage": "embed", "code": "model_rejected", "message": "It is no text", "retryable": False}
        ],
        "metadata": {"page_key": ""},
    }


def test_every_state_of_the_engine_but_receiving_is_asked_for_by_a_name() -> None:
    assert set(states_named(V1_STATES)) == set(states_named(V2_STATES)) == set(JobState) - {JobState.RECEIVING}
