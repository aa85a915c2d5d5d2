"""The guard refuses foreign hosts and writes from foreign web pages, and lets everything of this machine through."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]", "[::1]:8080", "LOCALHOST:8080", "testserver"]
)
def test_names_of_this_machine_are_let_through(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1", "10.0.0.1"],
)
def test_other_names_are_refused_as_after_dns_rebinding(client: TestClient, host: str) -> None:
    for path in ("/healthz", "/jobs", "/openapi.json", "/nowhere"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "host_not_allowed"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:3000", "http://testserver.evil.example"]
)
def test_writes_from_other_sites_are_refused_in_the_doors_shape(client: TestClient, origin: str) -> None:
    headers = {"Origin": origin}
    native = client.post("/jobs/a/cancel", headers=headers)
    assert (native.status_code, native.json()["error"]["code"]) == (403, "origin_not_allowed")
    door = client.post("/internal/upsertion-tasks/run", headers=headers, json={})
    assert door.status_code == 403
    assert isinstance(door.json()["detail"], str)
    assert client.put("/internal/upsertion-tasks/cancel?task_id=a", headers=headers).status_code == 403
    assert client.delete("/jobs?state=failed", headers=headers).status_code == 403


def test_reads_and_writes_of_the_same_site_are_let_through(client: TestClient) -> None:
    assert client.get("/jobs", headers={"Origin": "https://evil.example"}).status_code == 200
    assert client.delete("/jobs?state=failed", headers={"Origin": "http://testserver"}).status_code == 200


def test_no_answer_lets_another_site_read_it(client: TestClient) -> None:
    answer = client.get("/jobs", headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]
