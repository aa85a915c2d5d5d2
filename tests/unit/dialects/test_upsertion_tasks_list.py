"""The list of front door 1: its query, its order, its headers."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

import pytest
from starlette.testclient import TestClient

from tests.unit.http.fake_service import FakeEngine

LIST = "/internal/upsertion-tasks/list"


def fill(client: TestClient, count: int, status: str = "") -> None:
    for number in range(count):
        body = {"embedding_model_id": "embed-123", "task_id": f"t{number}", "items": [{"object_id": "a"}]}
        assert client.post("/internal/upsertion-tasks/run", json=body).status_code == 200


def links(header: str) -> dict[str, str]:
    return {rel: target for target, rel in re.findall(r'<([^>]*)>; rel="(\w+)"', header)}


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=1001", "limit=x", "limit="),
        *("offset=-1", "offset=1.5", "offset=9223372036854775808", "offset=" + "9" * 5000),
        *("status=cancelled", "status="),
        *("after=", "after=a&offset=1", "after=" + "x" * 256),
    ],
)
def test_a_wrong_query_is_422(client: TestClient, query: str) -> None:
    answer = client.get(f"{LIST}?{query}")
    assert answer.status_code == 422
    assert len(answer.content) < 2000


@pytest.mark.parametrize("status", ["pending", "processing", "done", "canceled", "failed", "refused"])
def test_each_of_the_six_statuses_is_taken(client: TestClient, status: str) -> None:
    assert client.get(LIST, params={"status": status}).json() == []


def test_the_list_is_a_bare_array_newest_first(client: TestClient) -> None:
    fill(client, 3)
    answer = client.get(LIST)
    assert [each["id"] for each in answer.json()] == ["t2", "t1", "t0"]
    assert answer.headers["X-Total-Count"] == "3"
    assert links(answer.headers["Link"]) == {"first": LIST}


@pytest.mark.parametrize("prefix", ["/internal", "/api/v1/internal"])
def test_the_links_lead_through_all_pages_and_back_and_keep_the_query(client: TestClient, prefix: str) -> None:
    fill(client, 5)
    path = f"{prefix}/upsertion-tasks/list"
    seen, target = [], f"{path}?status=pending&limit=2&mine=a%26b"
    pages = []
    while target:
        answer = client.get(target)
        seen += [each["id"] for each in answer.json()]
        pages.append(target)
        here = links(answer.headers["Link"])
        assert all(urlsplit(each).path == path for each in here.values())
        assert all(("mine", "a&b") in parse_qsl(urlsplit(each).query) for each in here.values())
        target = here.get("next", "")
    assert seen == ["t4", "t3", "t2", "t1", "t0"]
    back = links(client.get(pages[-1]).headers["Link"])["prev"]
    assert [each["id"] for each in client.get(back).json()] == ["t2", "t1"]


def test_after_continues_from_a_task_and_its_links_do_too(client: TestClient) -> None:
    fill(client, 5)
    answer = client.get(f"{LIST}?after=t4&limit=2")
    assert [each["id"] for each in answer.json()] == ["t3", "t2"]
    onward = links(answer.headers["Link"])
    assert set(onward) == {"next", "first"}
    assert [each["id"] for each in client.get(onward["next"]).json()] == ["t1", "t0"]


def test_after_an_unknown_task_is_404(client: TestClient) -> None:
    answer = client.get(f"{LIST}?after=nobody")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Task with ID `nobody` not found"})


def test_beyond_ten_thousand_the_total_says_so(client: TestClient, engine: FakeEngine) -> None:
    engine.total_limit = 2
    fill(client, 3)
    assert client.get(LIST).headers["X-Total-Count"] == "2+"


def test_a_deep_offset_answers_an_empty_page(client: TestClient) -> None:
    fill(client, 1)
    answer = client.get(LIST, params={"offset": 2**63 - 1, "limit": 1000})
    assert (answer.status_code, answer.json()) == (200, [])
