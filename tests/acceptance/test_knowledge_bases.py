"""Knowledge bases by the vendor's own clients, over real sources: uploads, a bucket on an S3 server, a site."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradient import BadRequestError

from tests.acceptance.contacts import contacted_hosts, log_contacts
from tests.acceptance.fixtures import running_service
from tests.acceptance.source_services import bucket_source, put_all, site_source, sources_environment
from tests.acceptance.vendor_clients import VendorClients
from tests.running_service import wait_until
from tests.s3_server import S3Server
from tests.site_server import METADATA, SiteServer, sentence
from tests.web_server import answer

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture(scope="module")
def contacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("contacts")


@pytest.fixture(scope="module")
def clients(postgres_url: str, s3: S3Server, contacts: Path) -> Iterator[VendorClients]:
    environment = {**sources_environment(s3), **log_contacts(contacts)}
    with running_service(postgres_url, **environment) as service, VendorClients(service) as made:
        yield made
        assert made.checked > 0


@pytest.fixture
def bucket() -> str:
    return f"bucket-{next(_numbers)}"


def texts(count: int, version: str = "first") -> dict[str, bytes]:
    return {f"notes/{number:04}.md": note(number, version).encode() for number in range(count)}


def note(number: int, version: str = "first") -> str:
    return f"Note {number} in its {version} version tells of {number * 17} cranes above lake {number}."


def test_a_file_a_bucket_and_a_site_are_kept_in_step(clients: VendorClients, s3: S3Server, bucket: str) -> None:
    put_all(s3, bucket, texts(3))
    with SiteServer(pages=3, slow=0) as site:
        site.answers["/broken"] = answer("404 Not Found")
        key = clients.upload("letter.txt", b"A letter about the tides.")
        upload = {
            "file_upload_data_source": {
                "original_file_name": "letter.txt",
                "size_in_bytes": "25",
                "stored_object_key": key,
            }
        }
        base, job = clients.create("shelf", upload, bucket_source(bucket), site_source(site.url))
        jobs = clients.gradient.knowledge_bases.indexing_jobs
        ended = jobs.wait_for_completion(job, poll_interval=0.1, timeout=60).job
        assert ended is not None
        assert (ended.status, ended.total_datasources, ended.completed_datasources) == (
            "INDEX_JOB_STATUS_COMPLETED", 3, 3,
        )  # fmt: skip
        first = clients.wait(job)
        assert [run["indexed_file_count"] for run in first["data_source_jobs"]] == ["1", "3", "3"]
        assert int(first["total_tokens"]) > 0
        pages = {f"{site.url}{path}" for path in site.indexable}
        assert clients.documents(base) == {"letter.txt", *texts(3), *pages}
        assert "tides" in clients.nearest(base, "A letter about the tides.")

        again = clients.run(base)
        assert (again["status"], again["tokens"]) == ("INDEX_JOB_STATUS_NO_CHANGES", 0)
        assert {run["status"] for run in again["data_source_jobs"]} == {"DATA_SOURCE_STATUS_NOT_UPDATED"}
        assert set(clients.files(again["uuid"]).values()) == {"unchanged"}

        clients.upload("letter.txt", b"Another letter, about the moon.", key)
        s3.client().put_object(Bucket=bucket, Key="notes/0001.md", Body=note(1, "second").encode())
        site.write(2, "Quite another page about herons.")
        third = clients.run(base)
        changed = {file for file, status in clients.files(third["uuid"]).items() if status == "indexed"}
        assert changed == {"letter.txt", "notes/0001.md", f"{site.url}/page/2"}
        assert (third["total_items_indexed"], third["total_items_skipped"]) == ("3", "4")
        assert "second version" in clients.nearest(base, note(1, "second"))
        assert clients.nearest(base, "A letter about the tides.") != "A letter about the tides."


def test_one_job_at_a_time_whose_cancel_holds_at_once(clients: VendorClients, s3: S3Server, bucket: str) -> None:
    clients.service.deploy("slow", delay_ms_per_text=100)
    put_all(s3, bucket, texts(60))
    base, job = clients.create("slow", bucket_source(bucket), model="slow")
    with pytest.raises(BadRequestError, match=f"already has an indexing job running.*{job}"):
        clients.gradient.knowledge_bases.indexing_jobs.create(knowledge_base_uuid=base)
    wait_until(lambda: int(clients.job(job)["total_items_indexed"]) > 0, 30, "the first files")
    cancelled = clients.genai.cancel_indexing_job(job, enforce_https=False)["job"]
    assert (cancelled["status"], cancelled["phase"]) == ("INDEX_JOB_STATUS_CANCELLED", "BATCH_JOB_PHASE_CANCELLED")
    indexed = {file for file, status in clients.files(job).items() if status == "indexed"}
    assert clients.documents(base) == indexed
    clients.wait(job)
    # What was indexed before stays, and is not embedded again.
    rest = clients.run(base)
    assert rest["status"] == "INDEX_JOB_STATUS_COMPLETED"
    assert (int(rest["total_items_skipped"]), int(rest["total_items_indexed"])) == (len(indexed), 60 - len(indexed))
    assert clients.job(job) == clients.wait(job)


def test_data_sources_come_and_go(clients: VendorClients, s3: S3Server, bucket: str) -> None:
    other = f"{bucket}-other"
    put_all(s3, bucket, texts(4))
    put_all(s3, other, {"other.txt": b"Of another bucket, behind keys of its own."})
    base, job = clients.create("sources", bucket_source(bucket))
    clients.wait(job)
    keys = {"bucket_name": other, "region": "us-east-1", "key_id": "own-key", "secret_key": "own-secret"}
    added = clients.genai.create_knowledge_base_data_source(
        base, body={"aws_data_source": keys}, enforce_https=False
    )["knowledge_base_data_source"]
    assert "own-secret" not in str(added)
    alone = clients.run(base, added["uuid"])
    assert alone["data_source_uuids"] == [added["uuid"]]
    assert clients.files(alone["uuid"]) == {"other.txt": "indexed"}
    listed = clients.gradient.knowledge_bases.data_sources.list(base).knowledge_base_data_sources or []
    assert [each.uuid for each in listed][1] == added["uuid"]
    first = str(listed[0].uuid)
    # Deleted, it takes its documents with it without any job of the caller's.
    clients.gradient.knowledge_bases.data_sources.delete(first, knowledge_base_uuid=base)
    wait_until(lambda: clients.documents(base) == {"other.txt"}, 10, "the documents of the source to go")
    assert [each.uuid for each in clients.gradient.knowledge_bases.list_indexing_jobs(base).jobs or []] == [
        alone["uuid"], job,
    ]  # fmt: skip
    collection = clients.gradient.knowledge_bases.retrieve(base).knowledge_base
    assert collection is not None
    clients.gradient.knowledge_bases.delete(base)
    query = {"collection": collection.model_extra["collection"] if collection.model_extra else "", "text": "bucket"}
    wait_until(lambda: not clients.service.http.post("/search", json=query).json()["hits"], 10, "all to be gone")


def test_a_site_with_everything_is_crawled(clients: VendorClients, contacts: Path) -> None:
    with SiteServer(pages=60, slow=1, slow_seconds=0.1) as site:
        crawl(clients, site, contacts, timeout=60)


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_a_site_of_five_hundred_pages_is_crawled(clients: VendorClients, contacts: Path) -> None:
    with SiteServer(pages=500) as site:
        crawl(clients, site, contacts, timeout=240)


def crawl(clients: VendorClients, site: SiteServer, contacts: Path, timeout: float) -> None:
    """Loops, redirects, robots rules, 404s, slow pages: what is in scope is indexed once, the rest never contacted."""
    base, job = clients.create("site", site_source(site.url))
    first = clients.wait(job, timeout)
    assert first["status"] == "INDEX_JOB_STATUS_PARTIAL"
    statuses = {file.removeprefix(site.url): status for file, status in clients.files(job).items()}
    assert statuses == {**dict.fromkeys(site.indexable, "indexed"), **dict.fromkeys(site.failing, "failed")}
    assert (first["total_items_indexed"], first["total_items_failed"]) == (str(site.pages), str(len(site.failing)))
    assert not site.forbidden & set(site.requests)
    assert sentence(7) in clients.nearest(base, sentence(7))
    # The database is on a socket; a connect to anything else would be here.
    assert contacted_hosts(contacts) == {"127.0.0.1"}
    again = clients.run(base, timeout=timeout)
    assert (again["tokens"], again["total_items_skipped"]) == (0, str(site.pages))
