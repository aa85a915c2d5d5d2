"""What tests ask of front door 2: ingest, delete, wait, list, search, over a service that runs."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.running_service import RunningService, wait_until

__all__ = ["ArtifactClient"]

ENDED = {"SUCCESS", "FAILURE", "REVOKED"}


@dataclass
class ArtifactClient:
    """`collection` is what its calls name."""

    service: RunningService
    collection: str = "c1"

    @property
    def http(self) -> httpx.Client:
        return self.service.http

    # Bodies

    def text(self, artifact: str, text: str, **fields: Any) -> dict[str, Any]:
        return {
            "artifact": artifact,
            "collection": self.collection,
            "input": {"type": "text", "value": text},
            **fields,
        }

    def file(self, artifact: str, path: Path, **fields: Any) -> dict[str, Any]:
        value = base64.b64encode(path.read_bytes()).decode()
        return {
            "artifact": artifact,
            "collection": self.collection,
            "input": {"type": "file", "value": value},
            "metadata": {"file_name": path.name},
            **fields,
        }

    def uri(self, artifact: str, uri: str, **fields: Any) -> dict[str, Any]:
        return {"artifact": artifact, "collection": self.collection, "input": {"type": "uri", "value": uri}, **fields}

    # Calls

    def post_async(self, body: dict[str, Any], **fields: Any) -> httpx.Response:
        return self.http.post("/v1/artifacts/ingest/async", json={"ingest_body": body, **fields})

    def ingest(self, body: dict[str, Any], **fields: Any) -> str:
        """Submit; the task's id."""
        return task_of(self.post_async(body, **fields))

    def delete(self, artifact: str, **fields: Any) -> str:
        body = {"collection": self.collection, "artifact": artifact}
        return task_of(self.http.post("/v1/artifacts/delete/async", json={"delete_body": body, **fields}))

    def status(self, task_id: str, kind: str = "ingest") -> dict[str, Any]:
        answer = self.http.get(f"/v1/artifacts/{kind}/async/{task_id}")
        assert answer.status_code == 200, answer.text
        status: dict[str, Any] = answer.json()
        assert set(status) == {"task_id", "task_status", "task_result"}
        return status

    def wait(self, task_id: str, timeout: float = 60, kind: str = "ingest") -> dict[str, Any]:
        """The status when the task has ended."""

        def ended() -> dict[str, Any] | None:
            status = self.status(task_id, kind)
            return status if status["task_status"] in ENDED else None

        found: dict[str, Any] = wait_until(ended, timeout, f"task {task_id} to end")
        return found

    def done(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        """Ingest and wait for the success; the documents that it indexed."""
        status = self.wait(self.ingest(body))
        assert status["task_status"] == "SUCCESS", status
        data: list[dict[str, Any]] = status["task_result"]["data"]
        return data

    def failed(self, body: dict[str, Any]) -> str:
        """Ingest and wait for the failure; its sentence."""
        status = self.wait(self.ingest(body))
        assert status["task_status"] == "FAILURE", status
        sentence: str = status["task_result"]
        return sentence

    def deleted(self, artifact: str) -> None:
        status = self.wait(self.delete(artifact), kind="delete")
        assert status == {**status, "task_status": "SUCCESS", "task_result": None}

    def documents(self, **query: Any) -> list[dict[str, Any]]:
        answer = self.http.get("/v1/artifacts/list", params={"collection": self.collection, **query})
        assert answer.status_code == 200, answer.text
        data: list[dict[str, Any]] = answer.json()["data"]
        return data

    def ids(self) -> list[str]:
        return [each["artifact"] for each in self.documents()]

    def search(self, text: str, **fields: Any) -> list[dict[str, Any]]:
        chosen = {"collection": self.collection, **fields.pop("context_filter", {})}
        answer = self.http.post("/v1/primitives/search", json={"text": text, "context_filter": chosen, **fields})
        assert answer.status_code == 200, answer.text
        data: list[dict[str, Any]] = answer.json()["data"]
        return data

    def content(self, artifact: str, **fields: Any) -> Any:
        chosen = {"collection": self.collection, "artifacts": [artifact]}
        answer = self.http.post("/v1/artifacts/content", json={"context_filter": chosen, **fields})
        assert answer.status_code == 200, answer.text
        data = answer.json()["data"]
        return data[0]["content"] if data else None


def task_of(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    task_id: str = answer.json()["task_id"]
    assert task_id.startswith("task_")
    return task_id
