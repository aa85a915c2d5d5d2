"""Who has submitted a job: the name of the key, or the token's subject, in every list of jobs."""

from __future__ import annotations

from typing import Any

import pytest

from indexmill.domain.job import Item, JobKind, Submission
from indexmill.domain.principal import LOCAL, Principal, Role
from indexmill.engine import Engine
from indexmill.settings import Settings
from tests.tenants import Tenanted, tenanted

MODEL = "wordllama-256"


def submit_one_of_each(service: Tenanted, key: str | None) -> None:
    """A job of each kind and of each way into the ledger."""

    def ask(method: str, path: str, body: Any = None) -> None:
        answer = service.ask(key, method, path, body, headers={"timeout": "1S", "Request-Timeout": "1"})
        # No workers run: what waits for its job is told that it takes too long.
        assert answer.status_code in (200, 201, 202, 504), answer.text

    items = [{"object_id": "a", "payload": {"text": "x"}}]
    ask("POST", "/internal/upsertion-tasks/run", {"embedding_model_id": MODEL, "items": items})
    ask("POST", "/internal/deletion-tasks/run", {"embedding_model_id": MODEL, "object_ids": ["a"]})
    ask("POST", "/v2/corpora", {"key": "birds"})
    ask("POST", "/v2/corpora/birds/documents", {"id": "a", "type": "core", "document_parts": [{"text": "x"}]})
    ask("POST", "/v2/corpora/birds/replace_filter_attributes", {"filter_attributes": []})
    ask("POST", "/collections/birds/rebuild")
    ask("DELETE", "/v2/corpora/birds/documents?document_ids=a")
    source = {"web_crawler_data_source": {"base_url": "https://example.com/"}}
    base = {"name": "base", "embedding_model_uuid": MODEL, "datasources": [source]}
    ask("POST", "/v2/gen-ai/knowledge_bases", base)


def told(service: Tenanted, key: str | None) -> list[set[Any]]:
    """What version 1, version 2 and the native API say."""
    first = service.ask(key, "POST", "/v1/list-jobs", {}).json()["job"]
    second = service.ask(key, "GET", "/v2/jobs?limit=100").json()["jobs"]
    native = service.ask(key, "GET", "/jobs").json()["jobs"]
    assert {each["kind"] for each in first} == {
        "upsertion", "deletion", "ingestion", "replace_filter_attributes", "rebuild", "indexing",
    }  # fmt: skip
    return [
        {each["userHandle"] for each in first},
        {each.get("created_by_username") for each in second},
        {each["submitted_by"] for each in native},
    ]


def test_every_job_says_with_which_key_it_was_submitted(settings: Settings) -> None:
    with tenanted(settings) as service:
        submit_one_of_each(service, None)
        assert told(service, None) == [{""}, {None}, {None}]
        submit_one_of_each(service, service.key("a"))
        assert told(service, service.key("a")) == [{"test"}] * 3
        key = service.key("b")
        credentials = {"client_id": key.split("_")[1], "client_secret": key, "grant_type": "client_credentials"}
        answer = service.ask(None, "POST", "/oauth/token", credentials)
        token = answer.json()["access_token"]
        items = [{"object_id": "a", "payload": {"text": "x"}}]
        body = {"embedding_model_id": MODEL, "items": items}
        headers = {"Authorization": f"Bearer {token}"}
        assert service.ask(None, "POST", "/internal/upsertion-tasks/run", body, headers=headers).status_code == 200
        assert service.ask(key, "POST", "/v1/list-jobs", {}).json()["job"][0]["userHandle"] == "test"


def test_a_large_request_says_so_too(engine: Engine) -> None:
    items = (Item(f"d{n}", {"text": "x"}) for n in range(33 * 256))
    job = engine.of(engine.tenant, "somebody").submit(Submission(JobKind.UPSERTION, "tiny", items)).job
    assert job.submitted_by == "somebody"
    assert engine.cancel(job).submitted_by == "somebody"


@pytest.mark.parametrize(
    ("principal", "handle"),
    [
        (LOCAL, None),
        (Principal(2, Role.READ, "abc", "nightly import"), "nightly import"),
        (Principal(2, Role.READ, "alice@example.com"), "alice@example.com"),
        (Principal(2, Role.READ, "a\0b\n" + 300 * "x"), "ab" + 253 * "x"),
        (Principal(2, Role.READ, "\n"), None),
    ],
)
def test_what_is_stored_of_a_principal(principal: Principal, handle: str | None) -> None:
    assert principal.handle == handle
