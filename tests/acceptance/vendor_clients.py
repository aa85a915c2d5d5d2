"""The vendor's clients of front door 3, each of whose answers is held against the vendor's schema as it comes."""

from __future__ import annotations

import csv
import io
import re
from types import TracebackType
from typing import Any, Final, cast

import httpx
import pydo
from gradient import Gradient

from tests.dialects.indexing_jobs import vendor_models as vendor
from tests.running_service import RunningService, wait_until

__all__ = ["Report", "VendorClients"]

_ANSWERS: Final[tuple[tuple[str, str, type[vendor.Vendor]], ...]] = (
    ("POST", r"indexing_jobs", vendor.JobAnswer),
    ("GET", r"indexing_jobs", vendor.JobList),
    ("GET", r"knowledge_bases/[^/]+/indexing_jobs", vendor.JobList),
    ("GET", r"indexing_jobs/[^/]+", vendor.JobAnswer),
    ("GET", r"indexing_jobs/[^/]+/data_sources", vendor.IndexedDataSources),
    ("GET", r"indexing_jobs/[^/]+/details_signed_url", vendor.SignedUrl),
    ("PUT", r"indexing_jobs/[^/]+/cancel", vendor.JobAnswer),
    ("POST", r"knowledge_bases", vendor.KnowledgeBaseAnswer),
    ("GET", r"knowledge_bases", vendor.KnowledgeBaseList),
    ("POST", r"knowledge_bases/data_sources/file_upload_presigned_urls", vendor.Uploads),
    ("GET", r"knowledge_bases/[^/]+", vendor.KnowledgeBaseRead),
    ("PUT", r"knowledge_bases/[^/]+", vendor.KnowledgeBaseAnswer),
    ("DELETE", r"knowledge_bases/[^/]+", vendor.KnowledgeBaseDeleted),
    ("POST", r"knowledge_bases/[^/]+/data_sources", vendor.DataSourceAnswer),
    ("GET", r"knowledge_bases/[^/]+/data_sources", vendor.DataSourceList),
    ("PUT", r"knowledge_bases/[^/]+/data_sources/[^/]+", vendor.DataSourceAnswer),
    ("DELETE", r"knowledge_bases/[^/]+/data_sources/[^/]+", vendor.DataSourceDeleted),
    ("GET", r"models", vendor.ModelList),
)
#: File -> its row of a report.
Report = dict[str, dict[str, str]]


class VendorClients:
    """`gradient` and `pydo` of one service. `checked`: how many answers were held against the schema."""

    def __init__(self, service: RunningService) -> None:
        self.service = service
        self.url = f"http://127.0.0.1:{service.port}"
        self.checked = 0
        self._http = httpx.Client(timeout=30, trust_env=False, event_hooks={"response": [self._check_httpx]})
        self.gradient = Gradient(
            base_url=self.url,
            access_token="key",
            max_retries=0,
            http_client=self._http,
            _strict_response_validation=True,
        )
        self._pydo = pydo.Client(token="key", endpoint=self.url, retry_total=0, raw_response_hook=self._check_azure)
        self.genai: Any = cast("Any", self._pydo).genai

    def __enter__(self) -> VendorClients:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.gradient.close()
        self._pydo.close()

    # Doing what takes several calls

    def upload(self, name: str, content: bytes, object_key: str | None = None) -> str:
        """Send a file to a presigned address; its object key."""
        wanted: Any = {"file_name": name, "file_size": str(len(content))}
        if object_key is not None:
            wanted["object_key"] = object_key
        made = self.gradient.knowledge_bases.data_sources.create_presigned_urls(files=[wanted])
        (upload,) = made.uploads or []
        httpx.put(str(upload.presigned_url), content=content, trust_env=False, timeout=30).raise_for_status()
        return str(upload.object_key)

    def create(self, name: str, *sources: dict[str, Any], model: str = "tiny") -> tuple[str, str]:
        """A knowledge base and the job that indexes it, by their uuids."""
        made = self.gradient.knowledge_bases.create(
            name=name, embedding_model_uuid=model, datasources=cast("Any", list(sources))
        ).knowledge_base
        assert made is not None
        assert made.last_indexing_job is not None
        return str(made.uuid), str(made.last_indexing_job.uuid)

    def start(self, base: str, *sources: str) -> str:
        """The uuid of a job over these data sources, or all."""
        body = {"knowledge_base_uuid": base, "data_source_uuids": list(sources)}
        return str(self.genai.create_indexing_job(body=body, enforce_https=False)["job"]["uuid"])

    def job(self, job: str) -> dict[str, Any]:
        found: dict[str, Any] = self.genai.get_indexing_job(job, enforce_https=False)["job"]
        return found

    def wait(self, job: str, timeout: float = 60) -> dict[str, Any]:
        """The job when it has ended, however it has; its sums are held against those of its sources and files."""
        ended = {"SUCCEEDED", "FAILED", "ERROR", "CANCELLED"}

        def read() -> dict[str, Any] | None:
            found = self.job(job)
            return found if found["phase"].rpartition("_")[2] in ended else None

        found: dict[str, Any] = wait_until(read, timeout, f"job {job} to end", pause=0.1)
        check_sums(found, self.report(job))
        return found

    def run(self, base: str, *sources: str, timeout: float = 60) -> dict[str, Any]:
        return self.wait(self.start(base, *sources), timeout)

    def report(self, job: str) -> Report:
        """Each file is in it once."""
        url = str(self.gradient.knowledge_bases.indexing_jobs.retrieve_signed_url(job).signed_url)
        answer = httpx.get(url, trust_env=False, timeout=60).raise_for_status()
        assert answer.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        named = {f"{row['data_source_uuid']}/{row['file']}": row for row in rows}
        assert len(named) == len(rows), "a file is in the report more than once"
        return named

    def files(self, job: str) -> dict[str, str]:
        """File -> its status in the report of the job."""
        return {row["file"]: row["status"] for row in self.report(job).values()}

    def nearest(self, base: str, query: str) -> str:
        """The text of the chunk that is nearest to this one."""
        found = self.gradient.retrieve.documents(base, query=query, num_results=1).results
        return found[0].text_content if found else ""

    def chunks(self, base: str, file: str) -> list[str]:
        """The texts of a file's chunks."""
        wanted: Any = {"must": [{"field": "item_name", "operator": "eq", "value": file}]}
        found = self.gradient.retrieve.documents(base, query="any", num_results=100, filters=wanted).results
        return [each.text_content for each in found]

    def documents(self, base: str) -> set[str]:
        """The files of which there are chunks, read by what the search knows of them."""
        found = self.gradient.retrieve.documents(base, query="any", num_results=1000).results
        return {str(each.metadata["item_name"]) for each in found}

    def _check_httpx(self, answer: httpx.Response) -> None:
        answer.read()
        self._check(answer.request.method, answer.request.url.path, answer.status_code, answer.json())

    def _check_azure(self, answer: Any) -> None:
        path = httpx.URL(answer.http_request.url).path
        value = httpx.Response(200, content=answer.http_response.body()).json()
        self._check(answer.http_request.method, path, answer.http_response.status_code, value)

    def _check(self, method: str, path: str, status: int, value: Any) -> None:
        self.checked += 1
        if status != 200:
            vendor.Problem.model_validate(value)
            return
        if re.fullmatch(r"(/v1)?/[^/]+/retrieve", path):
            vendor.Retrieved.model_validate(value)
            return
        name = path.removeprefix("/v2/gen-ai/")
        model = next(model for verb, known, model in _ANSWERS if verb == method and re.fullmatch(known, name))
        model.model_validate(value)


def check_sums(job: dict[str, Any], report: Report) -> None:
    """Nothing is lost and nothing is counted twice: the job, its sources and the rows of its report say the same."""
    runs = job["data_source_jobs"]

    def summed(name: str, of: list[dict[str, Any]] | None = None) -> int:
        return sum(int(run[name]) for run in (runs if of is None else of))

    assert int(job["total_items_indexed"]) == summed("indexed_file_count"), job
    assert int(job["total_items_failed"]) == summed("failed_item_count"), job
    assert int(job["total_items_skipped"]) == summed("skipped_item_count"), job
    assert int(job["total_tokens"]) == job["tokens"] == sum(int(row["tokens"]) for row in report.values()), job
    for run in runs:
        rows = [row for row in report.values() if row["data_source_uuid"] == run["data_source_uuid"]]
        counted = {status: sum(row["status"] == status for row in rows) for status in {row["status"] for row in rows}}
        files = [row for row in rows if row["status"] != "removed"]
        assert counted.get("indexed", 0) == int(run["indexed_file_count"]), run
        assert counted.get("failed", 0) == int(run["failed_item_count"]), run
        assert counted.get("removed", 0) == int(run["removed_item_count"]), run
        skipped = counted.get("unchanged", 0) + counted.get("superseded", 0)
        assert skipped == int(run["skipped_item_count"]), run
        assert len(files) == int(run["total_file_count"]), run
        assert sum(int(row["bytes"]) for row in files) == int(run["total_bytes"]), run
        done = [row for row in rows if row["status"] == "indexed"]
        assert sum(int(row["chunks"]) for row in done) == int(run["indexed_item_count"]), run
        assert sum(int(row["bytes"]) for row in done) == int(run["total_bytes_indexed"]), run
