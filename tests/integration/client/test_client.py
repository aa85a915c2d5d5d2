"""The Python client against a whole service of this process: what it sends is understood, what comes back is typed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from indexmill.assembly import Service, build_service
from indexmill.client import IndexmillClient, RequestConflict, ResourceNotFound
from indexmill.engine import Engine
from indexmill.settings import Settings
from tests.draining import drain
from tests.served_app import served


@pytest.fixture
def service(settings: Settings) -> Iterator[Service]:
    """Without workers: the tests drain by themselves."""
    made = build_service(settings)
    yield made
    made.ledger.database.close()


@pytest.fixture
def engine(service: Service) -> Engine:
    return service.engine


@pytest.fixture
def client(service: Service) -> Iterator[IndexmillClient]:
    with served(service) as url, IndexmillClient(url) as made:
        made.deploy("tiny", "deterministic", {"dimension": 8})
        yield made


def test_documents_are_inserted_found_and_deleted(client: IndexmillClient, engine: Engine) -> None:
    items = [{"object_id": name, "payload": {"text": f"text {name}"}} for name in ("a", "b")]
    task = client.submit_upserts("tiny", items, task_id="first")
    assert client.submit_upserts("tiny", items, task_id="first") == task
    drain(engine)
    job = client.wait(task, timeout_seconds=10)
    assert (job.succeeded, job.counters["indexed"], job.external_id) == (True, 2, "first")
    assert [hit.document_id for hit in client.search("tiny", "text a", limit=1)] == ["a"]
    removal = client.submit_deletes("tiny", ["a", "never there"], task_id="second")
    drain(engine)
    counters = client.wait(removal, timeout_seconds=10).counters
    assert (counters["removed"], counters["absent"]) == (1, 1)
    assert [hit.document_id for hit in client.search("tiny", "text a")] == ["b"]
    assert [job.kind for job in client.jobs().jobs] == ["deletion", "upsertion"]
    with pytest.raises(RequestConflict):
        client.submit_deletes("tiny", ["b"], task_id="second")
    with pytest.raises(ResourceNotFound):
        client.submit_deletes("unknown", ["b"])
