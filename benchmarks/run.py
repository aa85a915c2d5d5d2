"""`make bench`: embedding alone, the limit, the service over HTTP, skipping, small tasks, data sources, listing."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.clients import call, post_all, submit_and_wait
from benchmarks.cpu_time import CpuTime, cpu_time
from benchmarks.data_sources import index_bucket, page_rates, settings_of
from benchmarks.documents import docstrings, documents
from benchmarks.limit import embed_alone, embed_and_copy, wordllama_embed
from benchmarks.listing import measure_pages
from indexmill.ledger.embedded_postgres import embedded_uri
from indexmill.models.static import StaticModel
from tests.s3_server import S3Server

_MODEL = "wordllama-256"
#: Collections of their own: none grows past the size from which a vector index is built beside what is measured.
_SHORT, _DOCSTRINGS, _SMALL = "short", "docstrings", "small"
_PATH = "/internal/upsertion-tasks"


def main() -> int:
    """Print the figures; exit code 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=5000, help="documents a request (default 5000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds whose median counts (default 3)")
    parser.add_argument("--files", type=int, default=2000, help="files of a bucket (default 2000)")
    parser.add_argument("--jobs", type=int, default=100_000, help="indexing jobs to list (default 100000)")
    parser.add_argument("--only", choices=["documents", "data-sources", "listing"], help="measure only these")
    parser.add_argument("--tasks", type=int, default=2000, help="one-item tasks (default 2000)")
    parser.add_argument("--ledger", type=int, default=1_000_000, help="jobs of all kinds to list (default 1000000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="indexmill-bench-", ignore_cleanup_errors=True) as folder, S3Server() as s3:
        Path(folder).chmod(0o711)
        port = _free_port()
        process = _start(Path(folder) / "data", port, settings_of(s3))
        try:
            targets: dict[str, tuple[float, float]] = {}
            if options.only in {None, "documents"}:
                targets |= _measure(options, Path(folder) / "data", port, process.pid)
            if options.only in {None, "data-sources"}:
                targets |= _measure_data_sources(options, Path(folder) / "data", port, s3)
            if options.only in {None, "listing"}:
                url = embedded_uri(Path(folder) / "data")
                assert url is not None
                targets |= _listing(url, options.ledger)
            return _verdict(targets)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def _measure(options: argparse.Namespace, data_folder: Path, port: int, serve: int) -> dict[str, tuple[float, float]]:
    count, rounds = options.documents, range(1, options.rounds + 1)
    url = embedded_uri(data_folder)
    assert url is not None

    def clock() -> CpuTime | None:
        return cpu_time(serve, data_folder)

    for name in (_SHORT, _DOCSTRINGS, _SMALL):
        call(port, "POST", "/models", {"id": name, "provider": "static"})
    model = StaticModel()
    embed_alone(model.embed, 500, 0)
    # Every worker has its model loaded before anything is measured.
    _task(port, documents(count, 0))
    alone = median(embed_alone(model.embed, count, 10 + number) for number in rounds)
    simple = median(embed_and_copy(wordllama_embed(), url, count, 20 + number) for number in rounds)
    limit = median(embed_and_copy(model.embed, url, count, 20 + number) for number in rounds)
    large = _task(port, documents(4 * count, 39))
    short = [documents(count, 30 + number) for number in rounds]
    real = [docstrings(50 + number) for number in rounds]
    _task(port, documents(count, 49), _SHORT)
    service, real_service = _rounds(port, short, clock, _SHORT), _rounds(port, real, clock, _DOCSTRINGS)
    unchanged, real_unchanged = _rounds(port, short, clock, _SHORT), _rounds(port, real, clock, _DOCSTRINGS)
    tasks = median(_one_item_tasks(port, options.tasks, 40 + number) for number in rounds)
    _say("embedding alone, one process", alone)
    _say("wordllama's own embed + COPY in one script", simple)
    _say("our embed + COPY in one script", limit)
    compared = (simple, "x wordllama's script"), (limit, "x ours")
    targets = {"service / script": (service.rate / simple, 1.2), "one-item tasks/s": (tasks, 800.0)}
    _say(f"service, one request of {count:,} over HTTP", service.rate, *compared)
    _say(f"service, one request of {4 * count:,}", large, *compared)
    _say_again(f"the {count:,} again, unchanged", service, unchanged, targets)
    _say(f"service, {len(real[0]):,} docstrings of the library", real_service.rate)
    _say_again("the docstrings again, unchanged", real_service, real_unchanged, targets)
    _say("one-item tasks from 8 clients, all done", tasks, unit="tasks/s")
    return targets


@dataclass(frozen=True)
class _Rounds:
    """Documents a second, and the CPU time of a round where it can be known: medians."""

    rate: float
    workers: float | None
    postgres: float | None


def _rounds(port: int, tasks: list[list[dict[str, Any]]], clock: Callable[[], CpuTime | None], model: str) -> _Rounds:
    rates, used = [], []
    for items in tasks:
        before = clock()
        rates.append(_task(port, items, model))
        after = clock()
        if before is not None and after is not None:
            used.append(after - before)
    if not used:
        return _Rounds(median(rates), None, None)
    return _Rounds(median(rates), median(each.workers for each in used), median(each.postgres for each in used))


def _say_again(what: str, first: _Rounds, again: _Rounds, targets: dict[str, tuple[float, float]]) -> None:
    _say(what, again.rate, (first.rate, "x the first time"))
    targets[f"{what} / first"] = (again.rate / first.rate, 3.0)
    if first.workers and again.workers and first.postgres and again.postgres:
        less = first.workers / again.workers
        print(
            f"    CPU time of the workers {first.workers:.3f} s, then {again.workers:.3f} s (1/{less:.1f}); "
            f"of PostgreSQL {first.postgres:.3f} s, then {again.postgres:.3f} s"
        )
        targets[f"{what}, workers' CPU time"] = (less, 10.0)


def _measure_data_sources(
    options: argparse.Namespace, data_folder: Path, port: int, s3: S3Server
) -> dict[str, tuple[float, float]]:
    url = embedded_uri(data_folder)
    assert url is not None
    # Every worker has its model loaded before anything is measured.
    _task(port, documents(1000, 50))
    first, again, base = index_bucket(port, s3, _MODEL, options.files)
    pages = page_rates(port, url, base, options.jobs)
    _say(f"a bucket of {options.files:,} files, the first job", first, unit="files/s")
    _say("the next job, unchanged", again, (first, "x the first time"), unit="files/s")
    for name, rate in pages.items():
        _say(f"page of {options.jobs:,} indexing jobs: {name}", rate, (pages["first"], "x page 1"), unit="pages/s")
    return {
        "files unchanged / first": (again / first, 10.0),
        "last page / page 1": (pages["last"] / pages["first"], 1 / 3),
        "the same of one base": (pages["last of one base"] / pages["first of one base"], 1 / 3),
    }


def _listing(url: str, jobs: int) -> dict[str, tuple[float, float]]:
    """The smallest share that a page's time with 1,000 jobs is of its time with many, and what plans read for it."""
    pages = measure_pages(url, jobs, _free_port)
    for name, page in pages.items():
        took = f"{page.many * 1e3:9.2f} ms of {jobs:,} jobs, {page.many / page.few:5.2f} x of 1,000"
        print(
            f"a page of list-jobs, {name:25}{took}; {page.plan.problem or f'reads {page.plan.read} jobs and entries'}"
        )
    bad = sum(page.plan.problem is not None for page in pages.values())
    return {
        "a page of 1,000 jobs / of many": (min(page.few / page.many for page in pages.values()), 0.5),
        "filters of list-jobs that read little more than their page": (len(pages) - bad, len(pages)),
    }


def _say(what: str, rate: float, *compared: tuple[float, str], unit: str = "documents/s") -> None:
    print(f"{what:46}{rate:9,.0f} {unit:12}", "  ".join(f"{rate / other:5.2f} {name}" for other, name in compared))


def _verdict(targets: dict[str, tuple[float, float]]) -> int:
    """0 where every figure reaches its target."""
    missed = [f"{name} {value:.2f}, target {target:g}" for name, (value, target) in targets.items() if value < target]
    print("targets met" if not missed else f"targets missed: {'; '.join(missed)}")
    return 1 if missed else 0


def _task(port: int, items: list[dict[str, object]], model: str = _MODEL) -> float:
    """Documents a second from the request's first byte until the task is seen done."""
    seconds, task = submit_and_wait(port, _PATH, {"embedding_model_id": model, "items": items})
    if task["status"] != "done" or task["done_items"] + task["skipped_items"] != len(items):
        raise SystemExit(f"expected every item done, got {task}")
    return len(items) / seconds


def _one_item_tasks(port: int, count: int, seed: int) -> float:
    """Tasks a second from the first request until the last task is seen done."""
    bodies = [{"embedding_model_id": _SMALL, "items": [item]} for item in documents(count, seed)]
    started = time.perf_counter()
    post_all(port, f"{_PATH}/run", bodies, clients=8)
    while any(call(port, "GET", f"{_PATH}/list?status={state}&limit=1") for state in ("pending", "processing")):
        time.sleep(0.01)
    return count / (time.perf_counter() - started)


def _start(data_folder: Path, port: int, settings: dict[str, str]) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INDEXMILL_")}
    environment |= {"INDEXMILL_DATA_FOLDER": str(data_folder), "INDEXMILL_SERVER__PORT": str(port)}
    environment |= {"INDEXMILL_LOG_LEVEL": "warning", **settings}
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
