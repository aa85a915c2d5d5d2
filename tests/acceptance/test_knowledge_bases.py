"""Knowledge bases by the vendor's own clients, over real sources: uploads, a bucket on an S3 server, a site."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradient import BadRequestError

from tests import sample_files
from tests.acceptance.contacts import contacted_hosts, log_contacts
from tests.acceptance.fixtures import running_service
from tests.acceptance.ledger_view import LedgerView
from tests.acceptance.processes import kill_all, memory_peaks
from tests.acceptance.source_services import bucket_source, put_all, site_source, sources_environment
from tests.acceptance.standard_library import documentation_files
from tests.acceptance.vendor_clients import VendorClients
from tests.running_service import wait_until
from tests.s3_server import S3Server
from tests.site_server import SiteServer, sentence
from tests.web_server import answer

_numbers = itertools.count(1)
MAX_FILE = 4_000_000
MAX_EXPANSION = 20_000_000


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server() as server:
        yield server


@pytest.fixture(scope="module")
def contacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("contacts")


@pytest.fixture(scope="module")
def clients(postgres_url: str, s3: S3Server, contacts: Path) -> Iterator[VendorClients]:
    environment = {
        **sources_environment(s3),
        **log_contacts(contacts),
        "INDEXMILL_SOURCES__MAX_BYTES": str(MAX_FILE),
        "INDEXMILL_READERS__MAX_EXPANSION_BYTES": str(MAX_EXPANSION),
    }
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
    added = clients.genai.create_knowledge_base_data_source(base, body={"aws_data_source": keys}, enforce_https=False)[
        "knowledge_base_data_source"
    ]
    assert "own-secret" not in str(added)
    (stored,) = LedgerView(clients.service.database_url).rows(
        "SELECT secrets FROM data_source WHERE id = %(id)s", id=added["uuid"]
    )
    assert stored["secrets"]
    assert b"own-" not in bytes(stored["secrets"])
    alone = clients.run(base, added["uuid"])
    assert alone["data_source_uuids"] == [added["uuid"]]
    assert clients.files(alone["uuid"]) == {"other.txt": "indexed"}
    assert "own-" not in clients.service.log.read_text()
    listed = clients.gradient.knowledge_bases.data_sources.list(base).knowledge_base_data_sources or []
    assert [each.uuid for each in listed][1] == added["uuid"]
    first = str(listed[0].uuid)
    # Deleted, it takes its documents with it without any job of the caller's.
    clients.gradient.knowledge_bases.data_sources.delete(first, knowledge_base_uuid=base)
    wait_until(lambda: clients.documents(base) == {"other.txt"}, 60, "the documents of the source to go")
    assert [each.uuid for each in clients.gradient.knowledge_bases.list_indexing_jobs(base).jobs or []] == [
        alone["uuid"], job,
    ]  # fmt: skip
    collection = clients.gradient.knowledge_bases.retrieve(base).knowledge_base
    assert collection is not None
    clients.gradient.knowledge_bases.delete(base)
    query = {"collection": collection.model_extra["collection"] if collection.model_extra else "", "text": "bucket"}
    wait_until(lambda: not clients.service.http.post("/search", json=query).json()["hits"], 60, "all to be gone")


def test_a_site_with_everything_is_crawled(clients: VendorClients, contacts: Path) -> None:
    with SiteServer(pages=60, slow=1, slow_seconds=0.1) as site:
        crawl(clients, site, contacts, timeout=60)


def test_a_bucket_of_real_files_is_kept_in_step(clients: VendorClients, s3: S3Server, bucket: str) -> None:
    keep_in_step(clients, s3, bucket, documentation_files(310), timeout=60)


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_a_bucket_of_two_thousand_real_files_is_kept_in_step(clients: VendorClients, s3: S3Server, bucket: str) -> None:
    keep_in_step(clients, s3, bucket, documentation_files(2010), timeout=300)


def keep_in_step(clients: VendorClients, s3: S3Server, bucket: str, texts: dict[str, str], timeout: float) -> None:
    """All but ten; then nothing; then 20 that are changed, 10 that are new and 5 that are gone."""
    names = list(texts)
    added, changed, gone = names[-10:], names[3:23], names[30:35]
    put_all(s3, bucket, {name: texts[name].encode() for name in names[:-10]})
    base, job = clients.create("standard library", bucket_source(bucket), model="wordllama-256")
    first = clients.wait(job, timeout)
    assert first["status"] == "INDEX_JOB_STATUS_COMPLETED"
    assert clients.files(job) == dict.fromkeys(names[:-10], "indexed")

    again = clients.run(base, timeout=timeout)
    assert (again["status"], again["tokens"]) == ("INDEX_JOB_STATUS_NO_CHANGES", 0)
    assert again["total_items_skipped"] == str(len(names) - 10)

    mark = "In the second edition the heron {} builds its nest beside the railway station."
    edited = {name: f"{mark.format(name)}\n\n{texts[name]}" for name in [*changed, *added]}
    put_all(s3, bucket, {name: text.encode() for name, text in edited.items()})
    for name in gone:
        s3.client().delete_object(Bucket=bucket, Key=name)
    third = clients.run(base, timeout=timeout)
    (run,) = third["data_source_jobs"]
    assert (run["indexed_file_count"], run["removed_item_count"], run["failed_item_count"]) == ("30", "5", "0")
    unchanged = set(names) - set(edited) - set(gone)
    assert run["skipped_item_count"] == str(len(unchanged))
    assert clients.files(third["uuid"]) == {
        **dict.fromkeys(edited, "indexed"),
        **dict.fromkeys(unchanged, "unchanged"),
        **dict.fromkeys(gone, "removed"),
    }
    for name in edited:
        assert any(each.startswith(mark.format(name)) for each in clients.chunks(base, name))
    assert clients.nearest(base, mark).startswith("In the second edition")
    for name in gone:
        assert clients.chunks(base, name) == []
    assert clients.chunks(base, next(iter(unchanged)))


def test_a_mixed_bucket_says_of_every_file_what_became_of_it(
    clients: VendorClients, s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    files = mixed_files(tmp_path, expanded_bytes=MAX_EXPANSION + 1_000_000)
    files["large.txt"] = b"A line of a text that is longer than it may be.\n" * (MAX_FILE // 40)
    put_all(s3, bucket, files)
    check_mixed(clients, bucket, set(files), timeout=60)


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_a_mixed_bucket_with_the_usual_limits_takes_bounded_memory(
    postgres_url: str, s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    files = mixed_files(tmp_path, expanded_bytes=600_000_000)
    put_all(s3, bucket, files)
    with (tmp_path / "large.txt").open("wb") as large:
        for _ in range(300):
            large.write(b"A line of a text that is longer than it may be, again and again.\n" * 15_385)
    s3.client().upload_file(str(tmp_path / "large.txt"), bucket, "large.txt")
    with running_service(postgres_url, **sources_environment(s3)) as service, VendorClients(service) as clients:
        with memory_peaks(service) as found:
            check_mixed(clients, bucket, {*files, "large.txt"}, timeout=300)
        assert found["indexmill.api_process"] < 400_000_000
        assert found["indexmill.worker.celery_process"] < 700_000_000, found


def mixed_files(folder: Path, *, expanded_bytes: int) -> dict[str, bytes]:
    kinds = ("pdf", "docx", "xlsx", "pptx", "html", "eml", "epub", "csv", "json")
    files = {f"good/{kind}.{kind}": sample_files.sample(folder, kind).read_bytes() for kind in kinds}
    pdf = sample_files.pdf(folder / "a.pdf", ["One.", "Two."])
    return {
        **files,
        "broken.pdf": sample_files.truncated(pdf).read_bytes(),
        "encrypted.pdf": sample_files.encrypted_pdf(folder / "b.pdf", ["Hidden."]).read_bytes(),
        "bomb.docx": sample_files.zip_bomb_docx(folder / "c.docx", expanded_bytes).read_bytes(),
        "empty.txt": b"",
    }


def check_mixed(clients: VendorClients, bucket: str, files: set[str], timeout: float) -> None:
    workers = {each.pid for each in clients.service.workers()}
    base, job = clients.create("mixed", bucket_source(bucket))
    ended = clients.wait(job, timeout)
    assert ended["status"] == "INDEX_JOB_STATUS_PARTIAL"
    (run,) = ended["data_source_jobs"]
    assert run["status"] == "DATA_SOURCE_STATUS_PARTIALLY_UPDATED"
    rows = {row["file"]: row for row in clients.report(job).values()}
    assert set(rows) == files
    good = {file for file in files if file.startswith("good/")}
    assert {file for file, row in rows.items() if row["status"] == "indexed"} == good
    assert clients.documents(base) == good
    failed = {file: row["error_code"] for file, row in rows.items() if row["status"] == "failed"}
    assert failed == {
        "broken.pdf": "malformed_file",
        "encrypted.pdf": "encrypted_file",
        "bomb.docx": "extraction_limit",
        "empty.txt": "no_content",
        "large.txt": "too_large",
    }
    for row in rows.values():
        assert len(row["error"].split()) > 4 if row["status"] == "failed" else not row["error"], row
    assert {each.pid for each in clients.service.workers()} == workers, "a worker had to be replaced"


def test_workers_killed_in_a_crawl_and_while_they_embed_lose_and_double_nothing(
    clients: VendorClients, s3: S3Server, bucket: str
) -> None:
    clients.service.deploy("patient", delay_ms_per_text=60)
    view = LedgerView(clients.service.database_url)
    put_all(s3, bucket, texts(100))
    with SiteServer(pages=40, slow=40, slow_seconds=0.1) as site:
        site.answers["/broken"] = answer("404 Not Found")
        files, embedding = clients.create("killed files", bucket_source(bucket), model="patient")
        pages, crawling = clients.create("killed site", site_source(site.url))
        visited = "SELECT count(*) FROM crawl_page WHERE job = %(job)s AND due_at IS NULL"
        wait_until(lambda: view.value(visited, job=crawling) >= 5, 30, "the first pages")
        wait_until(lambda: int(clients.job(embedding)["total_items_indexed"]) >= 5, 30, "the first files")
        assert [clients.job(each)["phase"] for each in (crawling, embedding)] == ["BATCH_JOB_PHASE_RUNNING"] * 2
        kill_all(clients.service.workers())
        crawled, embedded = clients.wait(crawling), clients.wait(embedding)
        assert (crawled["status"], crawled["total_items_indexed"]) == ("INDEX_JOB_STATUS_COMPLETED", "40")
        assert clients.documents(pages) == {f"{site.url}{path}" for path in site.indexable}
        # A page that was visited is not visited again, but for the one in hand and those that redirects lead to.
        assert sum(site.requests[path] for path in site.indexable) <= 40 + 20 + 1
    assert (embedded["status"], embedded["total_items_indexed"]) == ("INDEX_JOB_STATUS_COMPLETED", "100")
    assert clients.documents(files) == set(texts(100))
    undisturbed = clients.wait(clients.create("not killed", bucket_source(bucket))[1])
    assert embedded["tokens"] == undisturbed["tokens"]
    assert clients.run(files)["status"] == "INDEX_JOB_STATUS_NO_CHANGES"
    view.check()


@pytest.mark.chaos
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
    assert sentence(7) in clients.nearest(base, f"# Page 7\n\n{sentence(7)}")
    # The database is on a socket; a connect to anything else would be here.
    assert contacted_hosts(contacts) == {"127.0.0.1"}
    again = clients.run(base, timeout=timeout)
    assert (again["tokens"], again["total_items_skipped"]) == (0, str(site.pages))
