"""A rebuild in a running service: its workers do it, its sweep builds the index, a killed worker costs a slice, and no
search fails meanwhile.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.acceptance.fixtures import StartService
from tests.acceptance.items import short_items
from tests.replacing import Answer, Watch
from tests.running_service import RunningService, wait_until

pytestmark = pytest.mark.acceptance


def rebuild(service: RunningService) -> str:
    number = service.http.get("/v2/corpora/tiny").json()["id"].removeprefix("crp_")
    answer = service.http.post("/v1/rebuild-corpus-vector-index", json={"corpusId": number})
    assert answer.status_code == 200, answer.text
    job: str = answer.json()["jobId"]
    return job


def job_of(service: RunningService, job: str) -> dict[str, Any]:
    found: dict[str, Any] = service.http.post("/v1/list-jobs", json={"jobId": job}).json()["job"][0]
    return found


def test_searches_go_on_while_a_rebuild_survives_its_worker(start_service: StartService) -> None:
    service = start_service(
        INDEXMILL_SEARCH__EXACT_CHUNKS="100", INDEXMILL_WORKER__LEASE_SECONDS="3", INDEXMILL_WORKER__RENEW_SECONDS="0.5"
    )
    service.deploy()
    service.run(short_items(300), task_id="all")
    service.wait("all")

    def collection() -> dict[str, object]:
        answer = service.http.get("/collections").json()
        return next(each for each in answer["collections"] if each["name"] == "tiny")

    wait_until(lambda: collection()["index"] == "hnsw", 60, "the sweep builds an index")
    names = itertools.cycle(short_items(300))

    def search() -> Answer:
        wanted = next(names)
        answer = service.http.post(
            "/search", json={"collection": "tiny", "text": wanted["payload"]["text"], "limit": 3}
        )
        assert answer.status_code == 200, answer.text
        return frozenset({"found"} if answer.json()["hits"][0]["document_id"] == wanted["object_id"] else {"missed"})

    searches = Watch(search)
    with searches.running():
        job = rebuild(service)
        wait_until(lambda: job_of(service, job)["state"] != "JOB_STATE__QUEUED", 30, "a worker takes the rebuild")
        service.workers()[0].kill()
        ended = wait_until(
            lambda: (found := job_of(service, job))["tsComplete"] != "0" and found, 90, "the rebuild ends"
        )
        before = len(searches.answers)
        wait_until(lambda: len(searches.answers) > before + 10, 30, "searches of the new index")
    assert ended["state"] == "JOB_STATE__COMPLETED", ended
    assert searches.problems == []
    assert before > 10
    assert {answer for _, _, answer in searches.answers} == {frozenset({"found"})}
    result = service.http.get(f"/jobs/{job}").json()["result"]
    assert (result["index"], result["sampled"]) == ("hnsw", 200)
    assert result["recall_at_10"] >= 0.98
    found = collection()
    assert (found["generation"], found["index"], found["chunks"]) == (2, "hnsw", 300)
    assert found["recall"] == result["recall_at_10"]
