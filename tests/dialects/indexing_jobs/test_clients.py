"""The vendor's own clients against this door, over HTTP: every call that they have for it, read strictly by them.

Behind the door are fakes: what is tested is that requests are understood and answers parse.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from typing import Any, cast
from uuid import UUID

import pydo
import pytest
from gradient import BadRequestError, Gradient, IndexingJobError, NotFoundError

from indexmill.domain.job_state import JobState, Reason
from indexmill.domain.knowledge_base import FileCounts, ReportRow, SourceRun, SourceRunStatus
from tests.dialects.indexing_jobs.fake_knowledge_bases import START, FakeIndexingService, FakeKnowledgeBases, hit
from tests.served_app import served

BUCKET = {"bucket_name": "handbook", "item_path": "public/", "region": "nyc3"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeIndexingService, str]]:
    service = FakeIndexingService(data_folder=tmp_path_factory.mktemp("data"))
    with served(service) as url:
        yield service, url


@pytest.fixture
def verbs(running: tuple[FakeIndexingService, str]) -> FakeKnowledgeBases:
    running[0].empty()
    return running[0].knowledge_bases


@pytest.fixture
def gradient(running: tuple[FakeIndexingService, str], verbs: FakeKnowledgeBases) -> Iterator[Gradient]:
    with Gradient(
        base_url=running[1], access_token="key", max_retries=0, _strict_response_validation=True
    ) as made:  # fmt: skip
        yield made


@pytest.fixture
def client(running: tuple[FakeIndexingService, str], verbs: FakeKnowledgeBases) -> Iterator[Any]:
    with pydo.Client(token="key", endpoint=running[1], retry_total=0) as made:
        yield made


def _end(verbs: FakeKnowledgeBases, job: str | None, state: JobState, reason: Reason) -> None:
    found = verbs.job(UUID(job))
    counts = FileCounts(total=3, indexed=2, failed=1, chunks=7, tokens=99)
    runs = [SourceRun(each.source, SourceRunStatus.UPDATED, counts, START, START) for each in found.runs]
    verbs.rows = [ReportRow(found.runs[0].source, "a.md", "indexed", 7, 99, 10)]
    verbs.end(found, state, reason, *runs)


def test_gradient_follows_a_job_to_its_end(gradient: Gradient, verbs: FakeKnowledgeBases) -> None:
    (model,) = gradient.models.list(usecases=["MODEL_USECASE_KNOWLEDGEBASE"]).models or []
    made = gradient.knowledge_bases.create(
        name="kb",
        embedding_model_uuid=str(model.uuid),
        datasources=[{"spaces_data_source": BUCKET, "chunking_options": {"max_chunk_size": 256}}],  # type: ignore[typeddict-item]
        tags=["a"],
    ).knowledge_base
    assert made is not None
    base = str(made.uuid)
    assert gradient.knowledge_bases.wait_for_database(base, timeout=60).database_status == "ONLINE"
    assert made.last_indexing_job is not None
    job = str(made.last_indexing_job.uuid)
    with pytest.raises(BadRequestError, match=f"already has an indexing job running.*{job}"):
        gradient.knowledge_bases.indexing_jobs.create(knowledge_base_uuid=base)
    _end(verbs, job, JobState.SUCCEEDED, Reason.WITH_FAILURES)
    ended = gradient.knowledge_bases.indexing_jobs.wait_for_completion(job, poll_interval=0.01, timeout=60).job
    assert ended is not None
    assert (ended.status, ended.tokens, ended.total_tokens) == ("INDEX_JOB_STATUS_PARTIAL", 99, "99")
    (run,) = gradient.knowledge_bases.indexing_jobs.retrieve_data_sources(job).indexed_data_sources or []
    assert (run.indexed_item_count, run.started_at) == ("7", START)
    url = str(gradient.knowledge_bases.indexing_jobs.retrieve_signed_url(job).signed_url)
    with urllib.request.urlopen(url, timeout=60) as report:  # noqa: S310 - an address that the door has made
        assert report.read().decode().splitlines()[1] == f"{run.data_source_uuid},a.md,indexed,7,99,10,,"
    listed = gradient.knowledge_bases.list_indexing_jobs(base).jobs
    assert listed == gradient.knowledge_bases.indexing_jobs.list(page=1, per_page=10).jobs
    assert [each.uuid for each in listed or []] == [job]


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (JobState.FAILED, Reason.BY_ITEMS),
        (JobState.FAILED, Reason.SYSTEM),
        (JobState.CANCELLED, Reason.BY_REQUEST),
    ],
)
def test_gradient_stops_waiting_when_a_job_has_failed(
    gradient: Gradient, verbs: FakeKnowledgeBases, state: JobState, reason: Reason
) -> None:
    made = gradient.knowledge_bases.create(name="kb", datasources=[{"spaces_data_source": {"bucket_name": "b"}}])
    job = str(made.knowledge_base.last_indexing_job.uuid)  # type: ignore[union-attr]
    _end(verbs, job, state, reason)
    with pytest.raises(IndexingJobError):
        gradient.knowledge_bases.indexing_jobs.wait_for_completion(job, poll_interval=0.01, timeout=60)


def test_gradient_cancels_with_and_without_a_body(gradient: Gradient) -> None:
    made = gradient.knowledge_bases.create(name="kb", datasources=[{"bucket_name": "b"}]).knowledge_base
    jobs = gradient.knowledge_bases.indexing_jobs
    job = str(made.last_indexing_job.uuid)  # type: ignore[union-attr]
    assert jobs.update_cancel(job).job.phase == "BATCH_JOB_PHASE_CANCELLED"  # type: ignore[union-attr]
    assert jobs.update_cancel(job, body_uuid=job).job.phase == "BATCH_JOB_PHASE_CANCELLED"  # type: ignore[union-attr]


def test_gradient_manages_data_sources(gradient: Gradient, running: tuple[FakeIndexingService, str]) -> None:
    base = str(gradient.knowledge_bases.create(name="kb").knowledge_base.uuid)  # type: ignore[union-attr]
    sources = gradient.knowledge_bases.data_sources
    (upload,) = sources.create_presigned_urls(files=[{"file_name": "a.txt", "file_size": "5"}]).uploads or []
    request = urllib.request.Request(str(upload.presigned_url), b"hello", method="PUT")  # noqa: S310 - made by the door
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
        assert answer.status == 200
    assert running[0].uploaded(upload.object_key) == b"hello"
    file = {"original_file_name": "a.txt", "size_in_bytes": "5", "stored_object_key": str(upload.object_key)}
    with_file = gradient.knowledge_bases.create(name="f", datasources=[{"file_upload_data_source": file}])  # type: ignore[typeddict-item]
    assert with_file.knowledge_base is not None
    made = sources.create(
        base,
        aws_data_source={"bucket_name": "b", "key_id": "k", "secret_key": "s", "region": "eu", "item_path": ""},
        chunking_algorithm="CHUNKING_ALGORITHM_SEMANTIC",
        chunking_options={"semantic_threshold": 0.5},
    ).knowledge_base_data_source
    assert made is not None
    assert sources.list(base).knowledge_base_data_sources == [made]
    changed = sources.update(
        str(made.uuid), path_knowledge_base_uuid=base, chunking_algorithm="CHUNKING_ALGORITHM_FIXED_LENGTH"
    ).knowledge_base_data_source
    assert changed is not None
    assert changed.chunking_algorithm == "CHUNKING_ALGORITHM_FIXED_LENGTH"
    assert sources.delete(str(made.uuid), knowledge_base_uuid=base).data_source_uuid == made.uuid


def test_gradient_changes_retrieves_and_deletes(
    gradient: Gradient, verbs: FakeKnowledgeBases, running: tuple[FakeIndexingService, str]
) -> None:
    base = str(gradient.knowledge_bases.create(name="kb").knowledge_base.uuid)  # type: ignore[union-attr]
    renamed = gradient.knowledge_bases.update(base, name="other", tags=["x"], body_uuid=base).knowledge_base
    assert renamed is not None
    assert (renamed.name, renamed.tags) == ("other", ["x"])
    verbs.hits = [hit(n, year=2000 + n) for n in range(5)]
    wanted: Any = {"must": [{"field": "year", "operator": "gt", "value": 2002}]}
    for path in ("", "/v1"):
        reader = gradient.with_options(base_url=f"{running[1]}{path}")
        found = reader.retrieve.documents(base, query="q", num_results=2, alpha=1, filters=wanted)
        assert [each.text_content for each in found.results] == ["text 3", "text 4"]
        assert found.total_results == 2
    assert [each.uuid for each in gradient.knowledge_bases.list(page=1).knowledge_bases or []] == [base]
    assert gradient.knowledge_bases.delete(base).uuid == base
    with pytest.raises(NotFoundError) as caught:
        gradient.knowledge_bases.retrieve(base)
    assert cast("dict[str, Any]", caught.value.body)["id"] == "not_found"


def test_pydo_makes_every_call(client: Any, verbs: FakeKnowledgeBases) -> None:
    genai, plain = client.genai, {"enforce_https": False}
    (model,) = genai.list_models(usecases=["MODEL_USECASE_KNOWLEDGEBASE", "MODEL_USECASE_AGENT"], **plain)["models"]
    body = {
        "name": "kb",
        "embedding_model_uuid": model["uuid"],
        "datasources": [{"spaces_data_source": BUCKET}],
        "project_id": "",
        "tags": None,
    }
    made = genai.create_knowledge_base(body=body, **plain)["knowledge_base"]
    base, job = made["uuid"], made["last_indexing_job"]["uuid"]
    assert genai.get_knowledge_base(base, **plain)["database_status"] == "ONLINE"
    assert genai.list_knowledge_bases(page=1, per_page=5, **plain)["meta"]["total"] == 1
    assert genai.update_knowledge_base(base, body={"name": "x"}, **plain)["knowledge_base"]["name"] == "x"

    jobs = genai.list_indexing_jobs(page=1, per_page=5, **plain)["jobs"]
    assert jobs == genai.list_indexing_jobs_by_knowledge_base(base, **plain)["jobs"]
    assert genai.get_indexing_job(job, **plain)["job"] == jobs[0]
    assert genai.cancel_indexing_job(job, **plain)["job"]["status"] == "INDEX_JOB_STATUS_CANCELLED"
    again = genai.create_indexing_job(body={"knowledge_base_uuid": base, "data_source_uuids": None}, **plain)["job"]
    _end(verbs, again["uuid"], JobState.SUCCEEDED, Reason.COMPLETE)
    (run,) = genai.list_indexing_job_data_sources(again["uuid"], **plain)["indexed_data_sources"]
    assert run["indexed_file_count"] == "2"
    assert "signature=" in genai.get_indexing_job_details_signed_url(again["uuid"], **plain)["signed_url"]

    site = {"web_crawler_data_source": {"base_url": "https://example.com", "crawling_option": "DOMAIN"}}
    source = genai.create_knowledge_base_data_source(base, body=site, **plain)["knowledge_base_data_source"]
    assert len(genai.list_knowledge_base_data_sources(base, **plain)["knowledge_base_data_sources"]) == 2
    options = {"chunking_options": {"max_chunk_size": 64}}
    changed = genai.update_knowledge_base_data_source(base, source["uuid"], body=options, **plain)
    assert changed["knowledge_base_data_source"]["chunking_options"] == {"max_chunk_size": 64}
    gone = genai.delete_knowledge_base_data_source(base, source["uuid"], **plain)
    assert gone == {"data_source_uuid": source["uuid"], "knowledge_base_uuid": base}
    files = {"files": [{"file_name": "a.txt", "file_size": "5"}]}
    assert len(genai.create_data_source_file_upload_presigned_urls(body=files, **plain)["uploads"]) == 1
    assert genai.delete_knowledge_base(base, **plain) == {"uuid": base}
    # This client hands out what a 404 says.
    missing = genai.get_knowledge_base(base, **plain)
    assert (missing["id"], base in missing["message"]) == ("not_found", True)
