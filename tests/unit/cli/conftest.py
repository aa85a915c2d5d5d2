"""A service that answers what a test told it to, so that commands run against real HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

JOB: dict[str, Any] = {
    "id": "0198c0de-7a3b-7000-8000-5f0c3c1e9d11",
    "external_id": "upsert-001",
    "kind": "upsertion",
    "state": "succeeded",
    "reason": "complete",
    "detail": None,
    "collection": "embed-123",
    "model": "embed-123",
    "attempt": 1,
    "total_items": 3,
    "counters": {"indexed": 3, "unchanged": 0, "failed": 0, "chunks": 3, "tokens": 9, "embedded": 3},
    "progress": 1.0,
    "created_at": "2024-05-21T10:00:00Z",
    "updated_at": "2024-05-21T10:00:01Z",
    "started_at": "2024-05-21T10:00:00.250Z",
    "finished_at": "2024-05-21T10:00:01Z",
}


@dataclass
class FakeService:
    """`answers`: "METHOD path" -> (status, body) pairs, used up one by one; the last one stays."""

    url: str = ""
    answers: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def answer(self, call: str, body: Any, status: int = 200) -> None:
        self.answers.setdefault(call, []).append((status, body))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeService]:
    fake = FakeService()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            fake.asked.append((f"{self.command} {self.path}", body))
            queue = fake.answers.get(
                f"{self.command} {self.path.partition('?')[0]}", [(404, {"detail": "no such path"})]
            )
            status, answer = queue.pop(0) if len(queue) > 1 else queue[0]
            content = answer if isinstance(answer, bytes) else b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_DELETE = do_GET  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setenv("INDEXMILL_URL", fake.url)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield fake
    server.shutdown()
    thread.join(timeout=60)
    server.server_close()
