"""A FAKE service and engine in memory, with the engine's methods: HTTP is tested against it, never the engine's rules.

Jobs do not run by themselves: a test ends them with `FakeEngine.end`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from indexmill.domain.document import canonical_json
from indexmill.domain.failure import Failure, FailureCode, Stage
from indexmill.domain.identifier import new_job_id, parse_job_id
from indexmill.domain.job import Item, Job, JobEvent, JobFilter, JobKind, JobPage, Submission, Submitted
from indexmill.domain.job_state import OPEN_STATES, JobState, Reason
from indexmill.domain.outcome import Counters
from indexmill.domain.tenant import Allowance, Tenant
from indexmill.errors import (
    CollectionNotFound,
    IndexmillError,
    InvalidRequest,
    JobExists,
    JobNotFound,
    ModelExists,
    ModelNotFound,
)
from indexmill.ledger.api_keys import ApiKeys
from indexmill.ledger.tenants import Tenants
from indexmill.models.embedding_model import Deployment
from indexmill.security.authentication import Authenticator
from indexmill.security.keyring import Keyring
from indexmill.security.limits import Limits
from indexmill.security.tokens import Tokens
from indexmill.settings import DatabaseSettings, ServerSettings, Settings
from indexmill.sources.spool import open_spool
from indexmill.sources.uri import open_sources

_TOKENS = Tokens(Keyring((b"k" * 32,)))
START = datetime(2024, 5, 21, 10, 0, tzinfo=UTC)


@dataclass(frozen=True)
class FakeHit:
    document_id: str
    score: float
    text: str | None
    payload: dict[str, Any] | None


@dataclass(frozen=True)
class FakeCollection:
    name: str
    model: str
    documents: int
    chunks: int
    generation: int
    splitting: str
    index: str = "exact"
    index_progress: float | None = None
    recall: float | None = None


@dataclass
class FakeEngine:
    """Same verbs, dictionaries behind them. `raises` is raised by every verb while it is set."""

    jobs: dict[UUID, Job] = field(default_factory=dict)
    items: dict[UUID, list[Item]] = field(default_factory=dict)
    failures: dict[UUID, list[Failure]] = field(default_factory=dict)
    models: dict[str, Deployment] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    raises: Callable[[], Exception] | None = None
    tenant: int = 1
    total_limit: int = 10_000
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def _enter(self, verb: str) -> None:
        self.calls.append(verb)
        if self.raises is not None:
            raise self.raises()

    def of(self, tenant: int, caller: str | None = None) -> FakeEngine:
        """One tenant is all that this one knows."""
        assert tenant == self.tenant
        return self

    def submit(self, submission: Submission) -> Submitted:
        self._enter("submit")
        items = list(submission.items)
        for item in items:
            canonical_json([item.payload, item.item_info])
        if submission.model not in self.models:
            raise ModelNotFound(submission.model, sorted(self.models))
        with self._lock:
            known = self._external(submission.external_id, submission.kind)
            if known is not None:
                if self.items[known.id] != items or known.model != submission.model:
                    raise JobExists(str(submission.external_id))
                return Submitted(known, created=False)
            return Submitted(self._new(submission, items), created=True)

    def submit_together(self, submissions: list[Submission]) -> list[Submitted | IndexmillError]:
        results: list[Submitted | IndexmillError] = []
        for submission in submissions:
            try:
                results.append(self.submit(submission))
            except IndexmillError as error:
                results.append(error)
        return results

    def over(self, job_ids: Sequence[UUID]) -> list[UUID]:
        self._enter("over")
        return [each for each in job_ids if each not in self.jobs or self.jobs[each].is_terminal]

    def _external(self, external_id: str | None, kind: JobKind | None) -> Job | None:
        if external_id is None:
            return None
        fitting = (job for job in self.jobs.values() if kind is None or job.kind is kind)
        return next((job for job in fitting if job.external_id == external_id), None)

    def _new(self, submission: Submission, items: list[Item]) -> Job:
        now = START + timedelta(seconds=len(self.jobs))
        job = Job(
            id=new_job_id(),
            external_id=submission.external_id,
            tenant=submission.tenant,
            kind=submission.kind,
            state=JobState.QUEUED if items else JobState.SUCCEEDED,
            reason=None if items else Reason.NOTHING_CHANGED,
            detail=None,
            collection=submission.model,
            model=submission.model,
            attempt=1,
            total_items=len(items),
            counters=Counters(),
            created_at=now,
            updated_at=now,
            started_at=None,
            finished_at=None if items else now,
        )
        self.jobs[job.id] = job
        self.items[job.id] = items
        return job

    def end(self, job: Job, state: JobState, reason: Reason | None = None, **changes: Any) -> Job:
        """For tests: put the job into a state."""
        now = job.created_at + timedelta(seconds=2, microseconds=250_000)
        finished = None if state in OPEN_STATES else now
        changes = {"started_at": now, "finished_at": finished, "updated_at": now, **changes}
        self.jobs[job.id] = replace(job, state=state, reason=reason, **changes)
        return self.jobs[job.id]

    def fail_items(self, job: Job, count: int, **changes: Any) -> Job:
        """For tests: the first `count` items failed; `changes` to each failure."""
        template = Failure(0, Stage.EMBED, FailureCode.MODEL_REJECTED, "it did not work", False, "")
        self.failures[job.id] = [
            replace(template, **{"position": n, "object_id": f"doc-{n}", **changes}) for n in range(count)
        ]
        kept = job.total_items - count
        reason = Reason.WITH_FAILURES if kept else Reason.BY_ITEMS
        state = JobState.SUCCEEDED if kept else JobState.FAILED
        return self.end(job, state, reason, counters=Counters(indexed=kept, failed=count))

    def find(self, reference: str, kind: JobKind | None = None) -> Job:
        self._enter("find")
        job = self._external(reference, kind)
        if job is None:
            job_id = parse_job_id(reference)
            job = self.jobs.get(job_id) if job_id is not None else None
        if job is None or (kind is not None and job.kind is not kind):
            raise JobNotFound(reference)
        return job

    def list_jobs(
        self, wanted: JobFilter, *, limit: int, offset: int = 0, after: str | None = None, count: bool = True
    ) -> JobPage:
        self._enter("list_jobs")
        fitting = sorted(self._fitting(wanted), key=lambda job: (job.created_at, job.id), reverse=True)
        total = len(fitting)
        if after is not None:
            last = self.find(after)
            fitting = [job for job in fitting if (job.created_at, job.id) < (last.created_at, last.id)]
        page = fitting[offset : offset + limit]
        more = len(fitting) > offset + limit
        return JobPage(page, min(total, self.total_limit), total <= self.total_limit, more)

    def _fitting(self, wanted: JobFilter) -> list[Job]:
        return [
            job
            for job in self.jobs.values()
            if (not wanted.states or job.state in wanted.states)
            and (not wanted.kinds or job.kind in wanted.kinds)
            and (wanted.collection is None or job.collection == wanted.collection)
            and (wanted.model is None or job.model == wanted.model)
            and (wanted.created_from is None or job.created_at >= wanted.created_from)
            and (wanted.created_before is None or job.created_at < wanted.created_before)
        ]

    def events(self, job: Job) -> list[JobEvent]:
        self._enter("events")
        return [JobEvent(1, job.created_at, JobState.QUEUED, None, None)]

    def failed_items(
        self, job: Job, *, limit: int, after_position: int = -1, max_bytes: int | None = None
    ) -> list[Failure]:
        self._enter("failed_items")
        return [each for each in self.failures.get(job.id, []) if each.position > after_position][:limit]

    def failed_items_of(self, jobs: list[Job], *, limit: int) -> dict[UUID, list[Failure]]:
        self._enter("failed_items_of")
        return {job.id: self.failures[job.id][:limit] for job in jobs if job.id in self.failures}

    def cancel(self, job: Job) -> Job:
        self._enter("cancel")
        if job.is_terminal:
            return job
        return self.end(job, JobState.CANCELLED, Reason.BY_REQUEST)

    def retry(self, job: Job) -> Job:
        self._enter("retry")
        return self._reopened(job) if job.is_terminal and job.reason is not Reason.COMPLETE else job

    def rerun(self, job: Job, *, force: bool = False) -> Job:
        self._enter("rerun forced" if force else "rerun")
        return self._reopened(job) if job.state is JobState.SUCCEEDED else job

    def restart(self, job: Job, *, force: bool = False) -> Job:
        self._enter("restart forced" if force else "restart")
        return self._reopened(job) if job.is_terminal else job

    def _reopened(self, job: Job) -> Job:
        changes = {"attempt": job.attempt + 1, "counters": Counters(), "finished_at": None, "detail": None}
        self.failures.pop(job.id, None)
        return self.end(job, JobState.QUEUED, None, **changes)

    def delete_finished(self, wanted: JobFilter) -> int:
        self._enter("delete_finished")
        doomed = [job.id for job in self._fitting(wanted) if job.is_terminal]
        for job_id in doomed:
            del self.jobs[job_id]
        return len(doomed)

    def deploy(self, model_id: str, provider: str, settings: dict[str, Any]) -> tuple[Deployment, bool]:
        self._enter("deploy")
        if provider not in ("static", "deterministic"):
            raise InvalidRequest(f"provider: expected one of `static`, `deterministic`, got {provider!r}")
        known = self.models.get(model_id)
        if known is None:
            self.models[model_id] = Deployment(model_id, provider, settings, 8, START)
            return self.models[model_id], True
        if (known.provider, known.settings) != (provider, settings):
            raise ModelExists(f"Embedding model `{model_id}` is deployed with another definition")
        return known, False

    def deployments(self) -> list[Deployment]:
        self._enter("deployments")
        return list(self.models.values())

    def withdraw(self, model_id: str) -> None:
        self._enter("withdraw")
        if self.models.pop(model_id, None) is None:
            raise ModelNotFound(model_id, sorted(self.models))

    def collection(self, name: str) -> Any:
        """Only what a deletion asks of it."""
        if name not in self.models:
            raise CollectionNotFound(name, sorted(self.models))
        return SimpleNamespace(deployment=self.models[name])

    def revoke_earlier(self, deletion: Job) -> None:
        self._enter("revoke_earlier")

    def collections(self) -> list[FakeCollection]:
        self._enter("collections")
        return [FakeCollection(name, name, 0, 0, 1, "whole") for name in self.models]

    def rebuild(self, collection_name: str) -> Job:
        self._enter("rebuild")
        if collection_name not in self.models:
            raise CollectionNotFound(collection_name, sorted(self.models))
        return self._new(Submission(JobKind.REBUILD, collection_name, ()), [Item(collection_name)])

    def search(self, collection_name: str, **query: Any) -> list[FakeHit]:
        self._enter("search")
        if collection_name not in self.models:
            raise CollectionNotFound(collection_name, sorted(self.models))
        return [FakeHit("doc-1", 0.5, "neural nets basics", {"text": "neural nets basics", "nothing": None})]


class FakeKeys:
    """No API key was ever made."""

    def has_any(self) -> bool:
        return False


class FakeTenants:
    """One, without limits of its own."""

    def get(self, tenant: int) -> Tenant:
        return Tenant(tenant, "default", 1.0, Allowance(), START)


def open_authenticator() -> Authenticator:
    """One that lets everybody in: there is no key."""
    return Authenticator(cast("ApiKeys", FakeKeys()), cast("Tenants", FakeTenants()), _TOKENS)


class FakeService:
    """What `create_app` takes. Without the parts of front doors 3 and 4, whose tests have fakes of their own."""

    knowledge_bases: Any = None
    corpora: Any = None
    page_keys: Any = None
    url_signer: Any = None
    upload_store: Any = None

    def __init__(self, body_limit_bytes: int = 8 * 1024 * 1024, **settings: Any) -> None:
        self.settings = Settings(
            server=ServerSettings(body_limit_bytes=body_limit_bytes, port=0),
            database=DatabaseSettings(pool_size=4),
            **settings,
        )
        self.spool = open_spool(self.settings)
        self.sources = open_sources(self.settings)
        self.engine = FakeEngine()
        self.engine.deploy("embed-123", "deterministic", {})
        self.authenticator = open_authenticator()
        self.limits = Limits(cast("Tenants", FakeTenants()), self.settings.limits)
        self.parts: dict[str, str | None] = {"database": None, "broker": None}

    def readiness(self) -> dict[str, str | None]:
        return self.parts

    def metrics(self) -> bytes:
        return b"indexmill_jobs_total 1\n"
