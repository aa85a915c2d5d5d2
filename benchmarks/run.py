"""`make bench`: embedding alone, the limit, the service end to end over HTTP, skipping, and one-item tasks."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.clients import call, post_all
from benchmarks.documents import documents
from benchmarks.limit import embed_alone, embed_and_copy
from indexmill.ledger.embedded_postgres import embedded_uri
from indexmill.models.static import StaticModel

_MODEL = "wordllama-256"
_RUN = "/internal/upsertion-tasks/run"
#: What the service must reach: end to end over the limit, one-item tasks a second, unchanged over first run.
_TARGET_RATIO = 1.2
_TARGET_TASKS = 800
_TARGET_SKIP = 3.0


def main() -> int:
    """Print the figures; exit code 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=5000, help="documents a request (default 5000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds whose median counts (default 3)")
    parser.add_argument("--tasks", type=int, default=2000, help="one-item tasks (default 2000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="indexmill-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        port = _free_port()
        process = _start(Path(folder) / "data", port)
        try:
            return _measure(options, Path(folder) / "data", port)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def _measure(options: argparse.Namespace, data_folder: Path, port: int) -> int:
    count, rounds = options.documents, range(1, options.rounds + 1)
    url = embedded_uri(data_folder)
    assert url is not None
    model = StaticModel()
    embed_alone(model, 500, 0)
    _task(port, documents(500, 0))
    alone = median(embed_alone(model, count, 10 + number) for number in rounds)
    limit = median(embed_and_copy(model, url, count, 20 + number) for number in rounds)
    service = median(_task(port, documents(count, 30 + number)) for number in rounds)
    unchanged = median(_task(port, documents(count, 30 + number)) for number in rounds)
    tasks = median(_one_item_tasks(port, options.tasks, 40 + number) for number in rounds)
    print(f"embedding alone, one process             {alone:10,.0f} documents/s")
    print(f"embedding + COPY in one script (limit)   {limit:10,.0f} documents/s")
    print(f"service, one request of {count:,} over HTTP   {service:10,.0f} documents/s  {service / limit:6.2f} x the limit")
    print(f"the same request again, unchanged        {unchanged:10,.0f} documents/s  {unchanged / service:6.2f} x the first")
    print(f"one-item tasks from 8 clients, all done  {tasks:10,.0f} tasks/s")
    missed = [
        name
        for name, value, target in (
            ("service / limit", service / limit, _TARGET_RATIO),
            ("unchanged / first", unchanged / service, _TARGET_SKIP),
            ("one-item tasks/s", tasks, _TARGET_TASKS),
        )
        if value < target
    ]
    print(f"targets ({_TARGET_RATIO} x, {_TARGET_SKIP} x, {_TARGET_TASKS} tasks/s): {'missed: ' + ', '.join(missed) if missed else 'met'}")
    return 1 if missed else 0


def _task(port: int, items: list[dict[str, object]]) -> float:
    """Documents a second from the request's first byte until the task is seen done."""
    started = time.perf_counter()
    task = call(port, "POST", _RUN, {"embedding_model_id": _MODEL, "items": items})
    while True:
        info = call(port, "GET", f"/internal/upsertion-tasks/info?task_id={task['id']}")
        if info["status"] not in ("pending", "processing"):
            break
        time.sleep(0.01)
    assert info["status"] == "done" and info["done_items"] + info["skipped_items"] == len(items), info
    return len(items) / (time.perf_counter() - started)


def _one_item_tasks(port: int, count: int, seed: int) -> float:
    """Tasks a second from the first request until the last task is seen done."""
    bodies = [{"embedding_model_id": _MODEL, "items": [item]} for item in documents(count, seed)]
    started = time.perf_counter()
    post_all(port, _RUN, bodies, clients=8)
    while any(call(port, "GET", f"/internal/upsertion-tasks/list?status={state}&limit=1") for state in ("pending", "processing")):
        time.sleep(0.01)
    return count / (time.perf_counter() - started)


def _start(data_folder: Path, port: int) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INDEXMILL_")}
    environment |= {"INDEXMILL_DATA_FOLDER": str(data_folder), "INDEXMILL_SERVER__PORT": str(port)}
    environment["INDEXMILL_LOG_LEVEL"] = "warning"
    process = subprocess.Popen([sys.executable, "-m", "indexmill", "serve"], env=environment)
    until = time.monotonic() + 60
    while True:
        try:
            if call(port, "GET", "/readyz")["ready"]:
                return process
        except (OSError, RuntimeError):
            pass
        if time.monotonic() > until or process.poll() is not None:
            process.kill()
            raise SystemExit("the service did not become ready within 60 s")
        time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
