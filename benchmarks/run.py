"""`make bench`: embedding alone, the limit, the service end to end, skipping, one-item tasks, and listing jobs."""

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

from benchmarks.clients import call, post_all, submit_and_wait
from benchmarks.documents import documents
from benchmarks.limit import embed_alone, embed_and_copy, wordllama_embed
from benchmarks.listing import page_times
from indexmill.ledger.embedded_postgres import embedded_uri
from indexmill.models.static import StaticModel

_MODEL = "wordllama-256"
_PATH = "/internal/upsertion-tasks"


def main() -> int:
    """Print the figures; exit code 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=5000, help="documents a request (default 5000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds whose median counts (default 3)")
    parser.add_argument("--tasks", type=int, default=2000, help="one-item tasks (default 2000)")
    parser.add_argument("--jobs", type=int, default=1_000_000, help="jobs that pages are listed of (default 1,000,000)")
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
    embed_alone(model.embed, 500, 0)
    # Every worker has its model loaded before anything is measured.
    _task(port, documents(count, 0))
    alone = median(embed_alone(model.embed, count, 10 + number) for number in rounds)
    simple = median(embed_and_copy(wordllama_embed(), url, count, 20 + number) for number in rounds)
    limit = median(embed_and_copy(model.embed, url, count, 20 + number) for number in rounds)
    service = median(_task(port, documents(count, 30 + number)) for number in rounds)
    large = _task(port, documents(4 * count, 39))
    unchanged = median(_task(port, documents(count, 30 + number)) for number in rounds)
    tasks = median(_one_item_tasks(port, options.tasks, 40 + number) for number in rounds)
    _say("embedding alone, one process", alone)
    _say("wordllama's own embed + COPY in one script", simple)
    _say("our embed + COPY in one script", limit)
    _say(f"service, one request of {count:,} over HTTP", service, (simple, "x wordllama's script"), (limit, "x ours"))
    _say(f"service, one request of {4 * count:,}", large, (simple, "x wordllama's script"), (limit, "x ours"))
    _say(f"the {count:,} again, unchanged", unchanged, (service, "x the first time"))
    _say("one-item tasks from 8 clients, all done", tasks, unit="tasks/s")
    slowest = _listing(url, options.jobs)
    return _verdict(
        {
            "a page of 1,000 jobs / of many": (slowest, 0.5),
            "service / script": (service / simple, 1.2),
            "unchanged / first": (unchanged / service, 3.0),
            "one-item tasks/s": (tasks, 800),
        }
    )


def _listing(url: str, jobs: int) -> float:
    """The smallest share that a page's time with 1,000 jobs is of its time with many."""
    shares = []
    for name, (few, many) in page_times(url, jobs).items():
        shares.append(few / many)
        print(f"a page by {name:36}{many * 1e3:9.2f} ms of {jobs:,} jobs, {many / few:5.2f} x of 1,000")
    return min(shares)


def _say(what: str, rate: float, *compared: tuple[float, str], unit: str = "documents/s") -> None:
    print(f"{what:46}{rate:9,.0f} {unit:12}", "  ".join(f"{rate / other:5.2f} {name}" for other, name in compared))


def _verdict(targets: dict[str, tuple[float, float]]) -> int:
    """0 where every figure reaches its target."""
    missed = [f"{name} {value:.2f}, target {target:g}" for name, (value, target) in targets.items() if value < target]
    print("targets met" if not missed else f"targets missed: {'; '.join(missed)}")
    return 1 if missed else 0


def _task(port: int, items: list[dict[str, object]]) -> float:
    """Documents a second from the request's first byte until the task is seen done."""
    seconds, task = submit_and_wait(port, _PATH, {"embedding_model_id": _MODEL, "items": items})
    if task["status"] != "done" or task["done_items"] + task["skipped_items"] != len(items):
        raise SystemExit(f"expected every item done, got {task}")
    return len(items) / seconds


def _one_item_tasks(port: int, count: int, seed: int) -> float:
    """Tasks a second from the first request until the last task is seen done."""
    bodies = [{"embedding_model_id": _MODEL, "items": [item]} for item in documents(count, seed)]
    started = time.perf_counter()
    post_all(port, f"{_PATH}/run", bodies, clients=8)
    while any(call(port, "GET", f"{_PATH}/list?status={state}&limit=1") for state in ("pending", "processing")):
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
