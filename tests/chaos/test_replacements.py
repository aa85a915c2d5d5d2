"""Other filter attributes for 20,000 documents while filters are asked: none by a mixture, whatever is killed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest

from indexmill.domain.filter_attributes import AttributeLevel, AttributeType, FilterAttribute
from tests.acceptance.fixtures import StartService
from tests.acceptance.ledger_view import LedgerView
from tests.acceptance.processes import kill_all
from tests.replacing import BY_BOTH, BY_NEW, NEW, OLD, Answer, Watch, texts_and_values
from tests.running_service import RunningService, wait_until

pytestmark = pytest.mark.timeout(600)

DOCUMENTS = 20_000
#: What a search finds at most.
MOST = 1000
#: The last one fits no document: each is a failed item of the job.
WANTED = [*NEW, FilterAttribute("text", AttributeLevel.DOCUMENT, AttributeType.INTEGER)]


def replace_attributes(service: RunningService, attributes: list[FilterAttribute]) -> str:
    views = [{"name": each.name, "level": each.level, "type": each.type} for each in attributes]
    answer = service.http.post("/v2/corpora/tiny/replace_filter_attributes", json={"filter_attributes": views})
    assert answer.status_code == 200, answer.text
    job: str = answer.json()["job_id"]
    return job


def ended(service: RunningService, job: str) -> dict[str, Any] | None:
    """As those poll who wait for it: by its id alone."""
    found: dict[str, Any] = service.http.post("/v1/list-jobs", json={"jobId": job}).json()["job"][0]
    return found if found["tsComplete"] != "0" else None


def ask(http: httpx.Client, metadata_filter: str) -> Answer:
    body = {"query": "document", "search": {"metadata_filter": metadata_filter, "limit": MOST}}
    answer = http.post("/v2/corpora/tiny/query", json=body)
    if answer.status_code == 400 and "is not a filter attribute" in answer.text:
        return None
    assert answer.status_code == 200, answer.text
    return frozenset(each["document_id"] for each in answer.json()["search_results"])


@pytest.fixture
def service(start_service: StartService) -> RunningService:
    service = start_service()
    service.deploy()
    payloads = [{"object_id": name, "payload": each} for name, each in texts_and_values(DOCUMENTS).items()]
    service.run(payloads, task_id="all")
    assert service.wait("all", timeout=200)["done_items"] == DOCUMENTS
    job = replace_attributes(service, OLD)
    wait_until(lambda: ended(service, job), 60, "the old set")
    return service


def run_replacement(service: RunningService, meanwhile: Callable[[str], None]) -> dict[str, Any]:
    """From the old set to the new one, while four threads ask and one writes."""
    names = iter(texts_and_values(DOCUMENTS))

    def write(http: httpx.Client) -> Answer:
        path = f"/v2/corpora/tiny/documents/{next(names)}"
        return frozenset() if http.patch(path, json={"metadata": {"n": 1}}).status_code == 200 else None

    with httpx.Client(base_url=service.http.base_url, timeout=60) as http:
        old = ask(http, BY_BOTH)
        both, new_only = Watch(partial(ask, http, BY_BOTH)), Watch(partial(ask, http, BY_NEW))
        writer = Watch(partial(write, http))
        with both.running(3), new_only.running(), writer.running():
            job = replace_attributes(service, WANTED)
            meanwhile(job)
            done: dict[str, Any] = wait_until(lambda: ended(service, job), 90, "the job's end")
            before = len(both.answers)
            wait_until(lambda: len(both.answers) > before + 10, 60, "answers after the switch")
        new = ask(http, BY_BOTH)
        assert old is not None
        assert new is not None
        assert len(old) == len(new) == MOST
        assert old.isdisjoint(new)
        both.check(old, new)
        new_only.check(None, ask(http, BY_NEW))
        assert writer.problems == []
        assert {answer for _, _, answer in writer.answers} == {frozenset()}
    assert done["state"] == "JOB_STATE__COMPLETED", done
    counted = [int(done[name]) for name in ("itemsTotal", "itemsDone", "itemsFailed")]
    assert counted == [DOCUMENTS + 1, 1, DOCUMENTS], done
    return done


def test_no_answer_is_by_a_mixture(service: RunningService) -> None:
    run_replacement(service, lambda _: None)


def test_killed_in_the_middle_it_finishes(service: RunningService, view: LedgerView) -> None:
    def filled() -> int:
        rows = view.rows("SELECT progress FROM structural_progress")
        return int(rows[0]["progress"]["documents"]) if rows else 0

    def kill(_: str) -> None:
        wait_until(lambda: filled() >= DOCUMENTS // 4, 60, "a quarter of the documents", pause=0.001)
        kill_all(service.workers())

    started = time.monotonic()
    run_replacement(service, kill)
    assert time.monotonic() - started < 60
    sets = view.rows("SELECT number, attributes FROM attribute_set")
    assert [[each["name"] for each in row["attributes"]] for row in sets] == [["v", "w", "x", "text"]], json.dumps(sets)
    assert view.rows("SELECT count(*) AS reported, count(DISTINCT object_id) AS documents FROM failed_item") == [
        {"reported": DOCUMENTS, "documents": DOCUMENTS}
    ]
