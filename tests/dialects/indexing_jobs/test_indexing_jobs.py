"""Indexing jobs on the wire: their states, counters, cancel and report."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest

from indexmill.dialects.indexing_jobs.report import COLUMNS
from indexmill.dialects.indexing_jobs.translate import JOB_WORDS, SOURCE_STATUSES
from indexmill.domain.job_state import END_REASONS, TERMINAL_STATES, JobState, Reason
from indexmill.domain.knowledge_base import FileCounts, IndexingJob, ReportRow, SourceRun, SourceRunStatus
from indexmill.security.signed_urls import LinkPurpose
from tests.dialects.indexing_jobs import vendor_models as vendor
from tests.dialects.indexing_jobs.conftest import Checked
from tests.dialects.indexing_jobs.fake_knowledge_bases import START, FakeIndexingService, FakeKnowledgeBases

TERMINAL_PHASES = {f"BATCH_JOB_PHASE_{name}" for name in ("SUCCEEDED", "FAILED", "ERROR", "CANCELLED")}
COUNTS = FileCounts(
    total=12,
    indexed=2,
    skipped=9,
    failed=1,
    removed=3,
    cancelled=0,
    chunks=37,
    tokens=4096,
    bytes_total=2**60,
    bytes_indexed=9120,
)


@pytest.fixture
def job(base: str, verbs: FakeKnowledgeBases) -> IndexingJob:
    """The queued job of the knowledge base."""
    found = verbs.get(UUID(base)).last_job
    assert found is not None
    return found


def _read(send: Checked, job: IndexingJob) -> vendor.IndexingJob:
    return send(vendor.JobAnswer, "GET", f"indexing_jobs/{job.job.id}").job


def test_a_job_is_started_for_all_sources_or_for_some(send: Checked, base: str, verbs: FakeKnowledgeBases) -> None:
    first = verbs.get(UUID(base)).last_job
    assert first is not None
    verbs.cancel(first.job.id)
    (source,) = verbs.data_sources
    for sources in (None, [], [str(source)], [""]):
        body = {"knowledge_base_uuid": base, "data_source_uuids": sources, "unknown": 1}
        made = send(vendor.JobAnswer, "POST", "indexing_jobs", body).job
        assert (made.status, made.phase) == ("INDEX_JOB_STATUS_PENDING", "BATCH_JOB_PHASE_PENDING")
        assert made.data_source_uuids == [str(source)]
        verbs.cancel(UUID(made.uuid))


def test_a_second_job_is_a_400_that_names_the_first(send: Checked, base: str, job: IndexingJob) -> None:
    refused = send.refused(400, "POST", "indexing_jobs", {"knowledge_base_uuid": base})
    assert refused.id == "bad_request"
    assert "already has an indexing job running" in refused.message
    assert str(job.job.id) in refused.message


def test_a_queued_job_has_no_times_but_those_that_have_come(send: Checked, job: IndexingJob) -> None:
    read = _read(send, job)
    assert not {"started_at", "finished_at"} & read.model_fields_set
    (run,) = read.data_source_jobs or []
    assert run.status == "DATA_SOURCE_STATUS_UNKNOWN"
    assert not {"started_at", "completed_at", "error_msg", "error_details"} & run.model_fields_set


CONTRACT = {
    (JobState.QUEUED, None): "PENDING / PENDING",
    (JobState.RUNNING, None): "IN_PROGRESS / RUNNING",
    (JobState.RETRYING, None): "IN_PROGRESS / RUNNING",
    (JobState.SUCCEEDED, Reason.COMPLETE): "COMPLETED / SUCCEEDED",
    (JobState.SUCCEEDED, Reason.NOTHING_CHANGED): "NO_CHANGES / SUCCEEDED",
    (JobState.SUCCEEDED, Reason.WITH_FAILURES): "PARTIAL / SUCCEEDED",
    (JobState.FAILED, Reason.BY_ITEMS): "FAILED / FAILED",
    (JobState.FAILED, Reason.SYSTEM): "FAILED / ERROR",
    (JobState.CANCELLED, Reason.BY_REQUEST): "CANCELLED / CANCELLED",
    (JobState.CANCELLED, Reason.SUPERSEDED): "CANCELLED / CANCELLED",
    (JobState.REFUSED, Reason.WITHDRAWN): "FAILED / ERROR",
}


@pytest.mark.parametrize("ending", CONTRACT)
def test_states_are_called_as_the_contract_says(
    send: Checked, job: IndexingJob, verbs: FakeKnowledgeBases, ending: tuple[JobState, Reason | None]
) -> None:
    verbs.end(job, *ending)
    read = _read(send, job)
    status, phase = CONTRACT[ending].split(" / ")
    assert (read.status, read.phase) == (f"INDEX_JOB_STATUS_{status}", f"BATCH_JOB_PHASE_{phase}")
    assert (read.phase in TERMINAL_PHASES) == (ending[0] in TERMINAL_STATES)


def test_every_state_and_reason_has_words_of_the_schema() -> None:
    for state in set(JobState) - {JobState.RECEIVING}:
        for reason in END_REASONS.get(state, {None}):
            words = JOB_WORDS.get((state, reason)) or JOB_WORDS[state, None]
            assert words.status in get_args(vendor.JobStatus)
            assert words.phase in get_args(vendor.JobPhase)
            assert (words.phase in TERMINAL_PHASES) == (state in TERMINAL_STATES)
    assert set(SOURCE_STATUSES) == set(SourceRunStatus)
    assert set(SOURCE_STATUSES.values()) == set(get_args(vendor.SourceStatus))


def test_counters_are_numbers_and_strings_and_add_up(
    send: Checked, base: str, job: IndexingJob, verbs: FakeKnowledgeBases
) -> None:
    partial = SourceRunStatus.PARTIALLY_UPDATED
    run = SourceRun(job.runs[0].source, partial, COUNTS, START, START, "files_failed", "Some.")
    other = SourceRun(uuid4(), SourceRunStatus.RUNNING, FileCounts(total=5, indexed=1, chunks=2, tokens=4), START)
    verbs.end(job, JobState.RUNNING, None, run, other)
    read = _read(send, job)
    assert (read.total_datasources, read.completed_datasources) == (2, 1)
    assert (read.tokens, read.total_tokens) == (4100, "4100")
    assert (read.total_items_indexed, read.total_items_skipped, read.total_items_failed) == ("3", "9", "1")
    (shown, _) = read.data_source_jobs or []
    assert shown.model_dump() == {
        "data_source_uuid": str(run.source),
        "status": "DATA_SOURCE_STATUS_PARTIALLY_UPDATED",
        "started_at": "2024-06-14T09:30:00Z",
        "completed_at": "2024-06-14T09:30:00Z",
        "error_msg": "files_failed",
        "error_details": "Some.",
        "total_file_count": "12",
        "indexed_file_count": "2",
        "indexed_item_count": "37",
        "skipped_item_count": "9",
        "failed_item_count": "1",
        "removed_item_count": "3",
        "total_bytes": str(2**60),
        "total_bytes_indexed": "9120",
    }
    listed = send(vendor.IndexedDataSources, "GET", f"indexing_jobs/{job.job.id}/data_sources")
    assert listed.indexed_data_sources == read.data_source_jobs
    (source,) = send(vendor.DataSourceList, "GET", f"knowledge_bases/{base}/data_sources").knowledge_base_data_sources
    assert source.last_datasource_indexing_job == shown


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b'{"uuid": ""}', b'{"uuid": "%s"}'])
def test_a_job_is_cancelled_with_a_body_or_without(send: Checked, job: IndexingJob, body: bytes) -> None:
    path = f"/v2/gen-ai/indexing_jobs/{job.job.id}/cancel"
    answer = send.http.put(path, content=body.replace(b"%s", str(job.job.id).encode()))
    assert answer.status_code == 200, answer.text
    cancelled = vendor.JobAnswer.model_validate(answer.json()).job
    assert (cancelled.status, cancelled.phase) == ("INDEX_JOB_STATUS_CANCELLED", "BATCH_JOB_PHASE_CANCELLED")
    assert {each.status for each in cancelled.data_source_jobs or []} == {"DATA_SOURCE_STATUS_CANCELLED"}


def test_a_body_that_names_another_job_cancels_none(send: Checked, job: IndexingJob) -> None:
    send.refused(400, "PUT", f"indexing_jobs/{job.job.id}/cancel", {"uuid": str(uuid4())})
    assert _read(send, job).status == "INDEX_JOB_STATUS_PENDING"


def test_jobs_of_a_knowledge_base_come_newest_first(send: Checked, base: str, verbs: FakeKnowledgeBases) -> None:
    for _ in range(2):
        verbs.cancel(next(reversed(verbs.indexing_jobs)))
        send(vendor.JobAnswer, "POST", "indexing_jobs", {"knowledge_base_uuid": base})
    listed = send(vendor.JobList, "GET", f"knowledge_bases/{base}/indexing_jobs")
    assert [each.uuid for each in listed.jobs] == [str(each) for each in reversed(verbs.indexing_jobs)]
    assert send(vendor.JobList, "GET", "indexing_jobs").jobs == listed.jobs


def _report_url(send: Checked, job: IndexingJob) -> str:
    return send(vendor.SignedUrl, "GET", f"indexing_jobs/{job.job.id}/details_signed_url").signed_url


def test_the_report_has_a_row_a_file(send: Checked, job: IndexingJob, verbs: FakeKnowledgeBases) -> None:
    source = job.runs[0].source
    verbs.rows = [ReportRow(source, f"guide/{n}, more.md", "indexed", 3, 40, 900) for n in range(2500)]
    verbs.rows[7] = ReportRow(source, 'a "b"\nc.pdf', "failed", 0, 0, 10, "unreadable", "It is, alas, encrypted")
    verbs.end(job, JobState.SUCCEEDED, Reason.WITH_FAILURES)
    url = _report_url(send, job)
    assert url.startswith(f"http://localhost:8080/v2/gen-ai/indexing_jobs/{job.job.id}/report.csv?")
    answer = send.http.get(url)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="indexing-job-{job.job.id}.csv"'
    rows = list(csv.reader(io.StringIO(answer.text, newline="")))
    assert rows[0] == list(COLUMNS)
    assert len(rows) == 2501
    assert rows[1] == [str(source), "guide/0, more.md", "indexed", "3", "40", "900", "", ""]
    assert rows[8][1:] == ['a "b"\nc.pdf', "failed", "0", "0", "10", "unreadable", "It is, alas, encrypted"]


@pytest.mark.parametrize("key", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\uff1d1"])
def test_no_cell_of_the_report_is_a_formula(
    send: Checked, job: IndexingJob, verbs: FakeKnowledgeBases, key: str
) -> None:
    verbs.rows = [ReportRow(job.runs[0].source, key, "failed", 0, 0, 0, "unreadable", f"{key} is broken")]
    verbs.end(job, JobState.FAILED, Reason.BY_ITEMS)
    row = list(csv.reader(io.StringIO(send.http.get(_report_url(send, job)).text, newline="")))[1]
    assert (row[1], row[7]) == (f"'{key}", f"'{key} is broken")


def test_a_report_needs_its_signature(
    send: Checked, job: IndexingJob, verbs: FakeKnowledgeBases, service: FakeIndexingService
) -> None:
    verbs.end(job, JobState.SUCCEEDED, Reason.COMPLETE)
    url = _report_url(send, job)
    other = verbs.end(replace(job, job=replace(job.job, id=uuid4())), JobState.SUCCEEDED, Reason.COMPLETE)
    path = urlsplit(url).path
    expired = service.url_signer.sign(LinkPurpose.REPORT, path, datetime.now(UTC) - timedelta(seconds=1))
    upload = service.url_signer.sign(LinkPurpose.UPLOAD, path, datetime.now(UTC) + timedelta(hours=1))
    for wrong in (
        path,
        url[:-1],
        url.replace(str(job.job.id), str(other.job.id)),
        f"{path}?{expired}",
        f"{path}?{upload}",
    ):
        assert send.refused(403, "GET", wrong).id == "forbidden"


def test_where_there_is_no_report_there_is_no_address(
    send: Checked, job: IndexingJob, verbs: FakeKnowledgeBases
) -> None:
    verbs.end(job, JobState.RUNNING, None, has_report=False)
    assert _read(send, job).is_report_available is False
    assert "is_report_available" in send.refused(404, "GET", f"indexing_jobs/{job.job.id}/details_signed_url").message
