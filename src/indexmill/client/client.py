"""`IndexmillClient`: submitting, watching, cancelling and searching over HTTP, synchronously."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

from indexmill.client.errors import (
    ClientError,
    RequestRefused,
    ServiceFailed,
    ServiceUnreachable,
    WaitTimeout,
    error_of,
)
from indexmill.client.records import Collection, FailedItem, Hit, Job, JobPage, Model

__all__ = ["DEFAULT_URL", "IndexmillClient"]

DEFAULT_URL: Final = "http://127.0.0.1:8080"

#: How long `wait` puts up with a service that does not answer: a restart takes a few seconds.
_PATIENCE_SECONDS: Final = 30.0
_FIRST_POLL_SECONDS: Final = 0.02
_POLL_SECONDS: Final = 0.25


class IndexmillClient:
    """A connection to one service; close it, or use it as a context manager. May be shared by threads.

    Every method raises `ServiceUnreachable` where nothing answers, `ServiceFailed` where the service answers 5xx,
    `RequestRefused` where it does not accept the request, and `NotAllowed` where it wants an API key, or another one.
    `api_key`: as `indexmill keys create` has shown it, or a token.

        with IndexmillClient() as client:
            task = client.submit_upserts("wordllama-256", [{"object_id": "doc-1", "payload": {"text": "neural nets"}}])
            client.wait(task)
            hits = client.search("wordllama-256", "deep learning")
    """

    def __init__(self, url: str = DEFAULT_URL, *, timeout_seconds: float = 30.0, api_key: str | None = None) -> None:
        if not url.startswith(("http://", "https://")):
            raise RequestRefused(f"url: expected an address like {DEFAULT_URL}, got {url!r}")
        self.url = url.rstrip("/")
        timeout = httpx.Timeout(timeout_seconds, connect=min(5.0, timeout_seconds))
        try:
            # The service is local or named by the caller: a proxy from the environment would not know it.
            self._http = httpx.Client(
                base_url=self.url, timeout=timeout, trust_env=False, headers=_credentials(api_key)
            )
        except httpx.InvalidURL as error:
            raise RequestRefused(f"url: expected an address like {DEFAULT_URL}, got {url!r}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def is_alive(self) -> bool:
        """Whether a service answers, ready or not."""
        return self._succeeds("/healthz")

    def is_ready(self) -> bool:
        """Whether a service answers and every part of it works."""
        return self._succeeds("/readyz")

    def _succeeds(self, path: str) -> bool:
        try:
            self._call("GET", path)
        except ClientError:
            return False
        return True

    # Submitting

    def submit_upserts(self, model: str, items: Iterable[Mapping[str, Any]], *, task_id: str | None = None) -> str:
        """Insert or update documents; returns the id to `wait` for. The job is durable when this returns.

        Args:
            model: the deployed model that embeds; the collection has its name.
            items: `{"object_id": ..., "payload": {"text": ..., ...}}`, optionally with `item_info`.
            task_id: your id of the job. Sending the same request again under it returns the same job.

        Raises:
            ResourceNotFound: the model is not deployed.
            RequestConflict: `task_id` exists with other items.
        """
        body = {"embedding_model_id": model, "items": [dict(item) for item in items]}
        return self._submit("/internal/upsertion-tasks/run", body, task_id)

    def submit_deletes(self, model: str, object_ids: Iterable[str], *, task_id: str | None = None) -> str:
        """Delete documents of the model's collection; returns the id to `wait` for. Raises: as `submit_upserts`."""
        body = {"embedding_model_id": model, "object_ids": list(object_ids)}
        return self._submit("/internal/deletion-tasks/run", body, task_id)

    def _submit(self, path: str, body: dict[str, Any], task_id: str | None) -> str:
        if task_id is not None:
            body["task_id"] = task_id
        return str(self._call("POST", path, json=body)["id"])

    # Jobs

    def jobs(
        self,
        *,
        states: Sequence[str] = (),
        kinds: Sequence[str] = (),
        collection: str | None = None,
        model: str | None = None,
        limit: int = 100,
        offset: int = 0,
        after: str | None = None,
    ) -> JobPage:
        """Jobs, newest first. `after`: `next` of the page before; unlike `offset` it stays fast however deep."""
        wanted = {"collection": collection, "model": model, "after": after, "offset": offset or None}
        query: list[tuple[str, Any]] = [("limit", limit)]
        query += [("state", state) for state in states] + [("kind", kind) for kind in kinds]
        query += [(name, value) for name, value in wanted.items() if value is not None]
        return JobPage.of(self._call("GET", "/jobs", params=query))

    def job(self, job_id: str) -> Job:
        """Raises: ResourceNotFound."""
        return Job.of(self._call("GET", f"/jobs/{_quoted(job_id)}"))

    def failed_items(self, job_id: str, *, limit: int = 100, after: int | None = None) -> list[FailedItem]:
        """The job's failed items by position; `after`: the last position of the page before."""
        query: dict[str, int] = {"limit": limit} | ({} if after is None else {"after": after})
        answer = self._call("GET", f"/jobs/{_quoted(job_id)}/failed-items", params=query)
        return [FailedItem.of(each) for each in answer["failed_items"]]

    def cancel(self, job_id: str) -> Job:
        """Cancel it if it is unfinished; when this returns, nothing of it is written any more."""
        return Job.of(self._call("POST", f"/jobs/{_quoted(job_id)}/cancel"))

    def retry(self, job_id: str) -> Job:
        """Run an ended job's failed and unfinished items again. Raises: RequestConflict: they are no longer kept."""
        return Job.of(self._call("POST", f"/jobs/{_quoted(job_id)}/retry"))

    def rerun(self, job_id: str, *, force: bool = False) -> Job:
        """Run all items of a succeeded job again; `force` embeds what has not changed too. Raises: as `retry`."""
        query = {"force": "true"} if force else {}
        return Job.of(self._call("POST", f"/jobs/{_quoted(job_id)}/rerun", params=query))

    def wait(
        self,
        job_id: str,
        *,
        timeout_seconds: float | None = 600.0,
        on_progress: Callable[[Job], None] | None = None,
    ) -> Job:
        """The job, when it has ended; look at its `state`. `on_progress` is called at every look.

        Raises:
            WaitTimeout: it had not ended; it goes on all the same. None waits for ever.
            ResourceNotFound
        """
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        pause = _FIRST_POLL_SECONDS
        while True:
            job = self._job_patiently(job_id)
            if on_progress is not None:
                on_progress(job)
            if job.ended:
                return job
            if deadline is not None and time.monotonic() + pause > deadline:
                raise WaitTimeout(f"Job `{job.name}` had not ended after {timeout_seconds:g} s; it is {job.state}")
            time.sleep(pause)
            pause = min(_POLL_SECONDS, pause * 1.5)

    def _job_patiently(self, job_id: str) -> Job:
        give_up = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return self.job(job_id)
            except (ServiceUnreachable, ServiceFailed):
                if time.monotonic() > give_up:
                    raise
                time.sleep(1.0)

    # Models, collections, search

    def models(self) -> list[Model]:
        return [Model.of(each) for each in self._call("GET", "/models")["models"]]

    def deploy(self, model_id: str, provider: str, settings: Mapping[str, Any] | None = None) -> Model:
        """Deploy a model and open its collection; the same again changes nothing. Raises: RequestConflict."""
        body = {"id": model_id, "provider": provider, "settings": dict(settings or {})}
        return Model.of(self._call("POST", "/models", json=body))

    def remove_model(self, model_id: str) -> None:
        """Take a model out of service; its vectors stay. Raises: ResourceNotFound."""
        self._call("DELETE", f"/models/{_quoted(model_id)}")

    def collections(self) -> list[Collection]:
        return [Collection.of(each) for each in self._call("GET", "/collections")["collections"]]

    def rebuild(self, collection: str) -> Job:
        """Queue a job that lays the collection's vector index down anew; `wait` for it. Raises: ResourceNotFound."""
        return Job.of(self._call("POST", f"/collections/{_quoted(collection)}/rebuild"))

    def search(
        self,
        collection: str,
        text: str,
        *,
        limit: int = 10,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - the wire's word
    ) -> list[Hit]:
        """The documents nearest to the text, best first. `filter`: payload fields that must equal these scalars.

        Raises:
            ResourceNotFound: no such collection.
        """
        body: dict[str, Any] = {"collection": collection, "text": text, "limit": limit}
        if filter:
            body["filter"] = dict(filter)
        return [Hit.of(each) for each in self._call("POST", "/search", json=body)["hits"]]

    def _call(self, method: str, path: str, **request: Any) -> Any:
        try:
            response = self._http.request(method, path, **request)
        except httpx.ConnectError as error:
            raise ServiceUnreachable(
                f"No service answers at {self.url}; start it with `indexmill serve`, or name another address"
            ) from error
        except httpx.TimeoutException as error:
            raise ServiceUnreachable(f"The service at {self.url} did not answer {method} {path} in time") from error
        except httpx.HTTPError as error:
            raise ServiceUnreachable(f"The connection to {self.url} broke during {method} {path}") from error
        except UnicodeEncodeError as error:
            raise RequestRefused("The request holds text that is not valid Unicode (a lone surrogate)") from error
        if not response.is_success:
            raise error_of(response)
        if not response.content:
            return None
        try:
            return response.json()
        except ValueError as error:
            raise ServiceFailed(f"What answers at {self.url} is not Indexmill: {method} {path} gave no JSON") from error


def _credentials(api_key: str | None) -> dict[str, str]:
    if not api_key:
        return {}
    key = api_key.strip()
    if not key.isascii() or not key.isprintable():
        raise RequestRefused("api_key: expected an API key or a token, got something else")
    # A token is no key: it is only taken as a bearer's, and keys are taken so too.
    return {"Authorization": f"Bearer {key}"}


def _quoted(name: str) -> str:
    return quote(name, safe="")
