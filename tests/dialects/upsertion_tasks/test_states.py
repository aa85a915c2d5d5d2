"""Restart, cancel, idempotency and lists by state, with the real engine and database; no worker runs."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from starlette.testclient import TestClient

from indexmill.access_settings import LimitSettings
from indexmill.engine import Engine
from indexmill.http.app import create_app
from indexmill.http.service import Service
from indexmill.ledger.tenants import Tenants
from indexmill.security.limits import Limits
from indexmill.settings import Settings
from indexmill.sources.spool import Spool, open_spool
from indexmill.sources.uri import Sources, open_sources
from tests.unit.http.fake_service import FakeTenants, open_authenticator

PATH = "/internal/upsertion-tasks"
ITEMS = [{"object_id": "doc-1", "payload": {"text": "neural nets basics", "nothing": None}}]


@dataclass(frozen=True)
class EngineOnly:
    """What the app needs of a service, without waker and workers."""

    settings: Settings
    engine: Engine
    spool: Spool
    sources: Sources
    #: Of other doors.
    knowledge_bases: Any = None
    url_signer: Any = None
    upload_store: Any = None
    corpora: Any = None
    page_keys: Any = None
    authenticator: Any = field(default_factory=open_authenticator)
    limits: Any = field(default_factory=lambda: Limits(cast("Tenants", FakeTenants()), LimitSettings()))

    def readiness(self) -> dict[str, str | None]:
        return {}

    def metrics(self) -> bytes:
        return b""


@pytest.fixture
def client(settings: Settings, engine: Engine) -> Iterator[TestClient]:
    service = EngineOnly(settings, engine, open_spool(settings), open_sources(settings))
    with TestClient(create_app(cast("Service", service))) as made:
        yield made


def run(client: TestClient, task_id: str | None = "t", items: list[dict[str, Any]] = ITEMS) -> Any:
    return client.post(f"{PATH}/run", json={"embedding_model_id": "tiny", "task_id": task_id, "items": items})


def verb(client: TestClient, name: str, task_id: str = "t", **query: Any) -> Any:
    method = "GET" if name == "info" else "PUT"
    answer = client.request(method, f"{PATH}/{name}", params={"task_id": task_id, **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_pending_task_restarts_as_it_is_and_is_canceled_at_once(client: TestClient) -> None:
    created = run(client).json()
    assert created["status"] == "pending"
    assert verb(client, "restart") == created
    canceled = verb(client, "cancel")
    assert (canceled["status"], canceled["progress"]) == ("canceled", 1.0)
    assert verb(client, "cancel") == canceled
    assert verb(client, "info") == canceled


def test_a_canceled_task_restarts_as_the_next_attempt_of_the_same_task(client: TestClient) -> None:
    created = run(client).json()
    verb(client, "cancel")
    restarted = verb(client, "restart")
    assert (restarted["status"], restarted["attempt"], restarted["failed_items"]) == ("pending", 2, [])
    assert (restarted["id"], restarted["created_at"]) == (created["id"], created["created_at"])
    assert "finished_at" not in restarted


def test_an_empty_task_is_done_at_once_and_cancel_leaves_it_done(client: TestClient) -> None:
    done = run(client, items=[]).json()
    assert (done["status"], done["progress"]) == ("done", 1.0)
    assert verb(client, "cancel")["status"] == "done"


def test_fifty_clients_with_one_request_make_one_task_and_another_body_is_409(client: TestClient) -> None:
    with ThreadPoolExecutor(10) as threads:
        answers = [future.result() for future in [threads.submit(run, client) for _ in range(50)]]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert client.get(f"{PATH}/list").headers["X-Total-Count"] == "1"
    assert run(client, items=[{"object_id": "other"}]).status_code == 409


def test_the_same_id_serves_an_upsertion_and_a_deletion(client: TestClient) -> None:
    run(client)
    body = {"embedding_model_id": "tiny", "task_id": "t", "object_ids": ["doc-1"]}
    deletion = client.post("/internal/deletion-tasks/run", json=body).json()
    assert (deletion["id"], deletion["failed_item_ids"], deletion["removed_items"]) == ("t", [], 0)
    assert "removed_items" not in verb(client, "info")


@pytest.mark.parametrize("task_id", ["x" * 255, "a b/c?d#e&f%2F", "日本🚀", "'; DROP TABLE job; --", "%s %(a)s", "{}"])
def test_an_id_of_any_printable_characters_goes_through_the_database(client: TestClient, task_id: str) -> None:
    assert run(client, task_id).status_code == 200
    assert verb(client, "info", task_id)["task_id"] == task_id
    assert verb(client, "cancel", task_id)["status"] == "canceled"


def test_lists_filter_by_status_page_without_gaps_and_stay_flat_after_a_task(client: TestClient) -> None:
    for number in range(7):
        run(client, f"t{number}")
    for number in (1, 4):
        verb(client, "cancel", f"t{number}")

    def ids(**query: Any) -> list[str]:
        return [task["id"] for task in client.get(f"{PATH}/list", params=query).json()]

    newest_first = [f"t{number}" for number in (6, 5, 4, 3, 2, 1, 0)]
    assert ids() == newest_first
    assert ids(status="canceled") == ["t4", "t1"]
    assert ids(limit=3) + ids(limit=3, offset=3) + ids(limit=3, offset=6) == newest_first
    assert ids(limit=3) + ids(limit=3, after="t4") + ids(limit=3, after="t1") == newest_first
    assert ids(offset=2**63 - 1) == []
