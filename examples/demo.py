"""Indexes the documentation of this interpreter's standard library, asks it three questions, and does it again.

Run it with `make demo`. It starts the service where none answers at INDEXMILL_URL, and stops what it started. It ends
with an error where an answer is wrong, or where the second run embeds anything.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from indexmill.client import DEFAULT_URL, IndexmillClient, Job

MODEL: Final = "wordllama-256"
ITEMS_PER_TASK: Final = 1000
#: The first start of the service makes a database.
START_SECONDS: Final = 300.0
TASK_SECONDS: Final = 300.0
#: Characters of the service's log that are shown when something goes wrong.
LOG_SHOWN: Final = 4000

# fmt: off
#: Tests, programs and bundled copies of other projects: not what a reader looks up.
SKIPPED: Final = frozenset((
    "antigravity", "config", "dist-packages", "ensurepip", "idlelib", "lib-dynload", "lib2to3", "pydoc_data",
    "site-packages", "test", "tests", "this", "tkinter", "turtle", "turtledemo",
))
#: Modules written in C that are safe to import: they have no source to parse.
COMPILED: Final = (
    "array", "atexit", "binascii", "builtins", "cmath", "datetime", "errno", "faulthandler", "fcntl", "gc", "grp",
    "itertools", "marshal", "math", "mmap", "posix", "pwd", "pyexpat", "resource", "select", "sys", "syslog", "termios",
    "time", "unicodedata", "zlib",
)
# fmt: on


@dataclass(frozen=True)
class Question:
    """`expected`: the ids of which one has to be the first hit."""

    text: str
    expected: frozenset[str]
    filter: dict[str, Any]


QUESTIONS: Final = (
    Question("How do I shuffle a list in place?", frozenset({"random.Random.shuffle"}), {}),
    Question(
        "wrap a paragraph of text to a given width", frozenset({"textwrap.fill", "textwrap.TextWrapper.fill"}), {}
    ),
    Question("current time in seconds since the epoch", frozenset({"time.time"}), {"module": "time"}),
)


def documentation() -> list[dict[str, Any]]:
    """An item for each public function, class and method of the standard library that has a docstring."""
    items: dict[str, dict[str, Any]] = {}
    for module, path in _sources():
        for name, kind, text in _parsed(path):
            items.setdefault(f"{module}.{name}", _item(module, name, kind, text))
    for module in COMPILED:
        for name, kind, text in _inspected(module):
            items.setdefault(f"{module}.{name}", _item(module, name, kind, text))
    return list(items.values())


def _item(module: str, name: str, kind: str, text: str) -> dict[str, Any]:
    return {
        "object_id": f"{module}.{name}",
        "payload": {"text": f"{module}.{name}: {text}", "module": module, "kind": kind},
    }


def _sources() -> Iterator[tuple[str, Path]]:
    """Each public module and its file. Sources are parsed and never imported: importing some has effects."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        if parts and not any(part.startswith("_") or part in SKIPPED for part in parts):
            yield ".".join(parts), path


def _parsed(path: Path) -> Iterator[tuple[str, str, str]]:
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:
        return
    yield from _documented(tree.body, "")


def _documented(body: list[ast.stmt], owner: str) -> Iterator[tuple[str, str, str]]:
    """(qualified name, kind, docstring) of what a module or class body defines."""
    for node in body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith("_"):
            continue
        name = owner + node.name
        text = ast.get_docstring(node)
        if isinstance(node, ast.ClassDef):
            if text:
                yield name, "class", text
            yield from _documented(node.body, f"{name}.")
        elif text:
            yield name, "method" if owner else "function", text


def _inspected(module: str) -> Iterator[tuple[str, str, str]]:
    try:
        members = vars(importlib.import_module(module))
    except ImportError:
        return
    for name, member in sorted(members.items()):
        if name.startswith("_") or not (inspect.isclass(member) or inspect.isbuiltin(member)):
            continue
        text = inspect.getdoc(member)
        if text:
            yield name, "class" if inspect.isclass(member) else "function", text


@contextmanager
def service(console: Console) -> Iterator[IndexmillClient]:
    """A client of the service that runs, or of one that runs until the end of the block."""
    url = os.environ.get("INDEXMILL_URL", DEFAULT_URL)
    with IndexmillClient(url) as client:
        if client.is_alive():
            console.print(f"Using the service at {url}.")
            _await_ready(client, None)
            yield client
            return
        console.print(f"No service answers at {url}: starting one (the first start makes a database).")
        with tempfile.TemporaryFile() as log:
            child = _start(url, log)
            try:
                _await_ready(client, child)
                yield client
            except BaseException:
                log.seek(0)
                sys.stderr.write(log.read().decode(errors="replace")[-LOG_SHOWN:])
                raise
            finally:
                console.print("Stopping the service.")
                _stop(child)


def _start(url: str, log: IO[bytes]) -> subprocess.Popen[bytes]:
    address = urlsplit(url)
    program = Path(sys.executable).with_name("indexmill")
    command = [str(program), "serve", "--host", address.hostname or "", "--port", str(address.port or 80)]
    return subprocess.Popen(command, stdout=log, stderr=log)


def _await_ready(client: IndexmillClient, child: subprocess.Popen[bytes] | None) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not client.is_ready():
        if child is not None and child.poll() is not None:
            sys.exit(f"The service did not start: `indexmill serve` ended with code {child.returncode}.")
        if time.monotonic() > deadline:
            sys.exit(f"The service was not ready after {START_SECONDS:.0f} s; GET {client.url}/readyz says why.")
        time.sleep(0.2)


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(timeout=60)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait(timeout=10)


def index(client: IndexmillClient, console: Console, items: list[dict[str, Any]]) -> list[Job]:
    """Submit the items as tasks, show how far they are, and return the ended jobs."""
    started = time.monotonic()
    parts = [items[start : start + ITEMS_PER_TASK] for start in range(0, len(items), ITEMS_PER_TASK)]
    tasks = [client.submit_upserts(MODEL, part) for part in parts]
    console.print(f"Submitted {len(items):,} items in {len(tasks)} tasks.")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    jobs: dict[str, Job] = {}
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        bar = progress.add_task("Indexing", total=len(items), rate="")

        def look(job: Job) -> None:
            jobs[job.id] = job
            done = sum(each.finished_items for each in jobs.values())
            rate = f"{done / (time.monotonic() - started):,.0f} items/s"
            progress.update(bar, completed=done, rate=rate)

        ended = [client.wait(task, timeout_seconds=TASK_SECONDS, on_progress=look) for task in tasks]
    seconds = time.monotonic() - started
    totals = {name: sum(job.counters.get(name, 0) for job in ended) for name in ended[0].counters}
    counted = ", ".join(f"{name} {number:,}" for name, number in totals.items() if number)
    console.print(f"Done in {seconds:.2f} s ({len(items) / seconds:,.0f} items/s): {counted}.")
    for job in ended:
        if not job.succeeded or job.counters.get("failed"):
            sys.exit(f"Job {job.name} ended {job.state} with {job.counters.get('failed', 0)} failed items.")
    return ended


def ask(client: IndexmillClient, console: Console, question: Question) -> bool:
    """Whether the first hit is one of those expected."""
    hits = client.search(MODEL, question.text, limit=3, filter=question.filter)
    only = "".join(f", only {key} = {value}" for key, value in question.filter.items())
    console.print(f"\n[bold]{question.text}[/]{only}")
    for hit in hits:
        console.print(f"  {hit.score:.3f}  {hit.document_id}", highlight=False)
    if hits and hits[0].document_id in question.expected:
        return True
    console.print(f"  [red]expected first: {' or '.join(sorted(question.expected))}[/]")
    return False


def main() -> None:
    """Index, ask, index again; the exit code says whether all of it was right."""
    console = Console()
    # So that the service is stopped with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    items = documentation()
    console.print(f"Python {sys.version.split()[0]}: {len(items):,} documented functions, classes and methods.")
    with service(console) as client:
        index(client, console, items)
        answers = [ask(client, console, question) for question in QUESTIONS]
        console.print("\nThe same again:")
        again = index(client, console, items)
        embedded = sum(job.counters.get("embedded", 0) for job in again)
        unchanged = sum(job.counters.get("unchanged", 0) for job in again)
        console.print(f"The second run embedded {embedded} of {len(items):,} items; {unchanged:,} were unchanged.")
    if not all(answers):
        sys.exit("An answer was wrong.")
    if embedded or unchanged != len(items):
        sys.exit("The second run should have embedded nothing and found every item unchanged.")
    console.print("[green]Everything as expected.[/]")


if __name__ == "__main__":
    main()
