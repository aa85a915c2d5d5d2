"""Documents through the second front door, by real workers: many at once, replaced while they are searched, deleted."""

from __future__ import annotations

import itertools
import pickle
import random
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from indexmill.settings import Settings
from indexmill.worker.celery_app import DRAIN_TASK, make_celery
from tests import sample_files
from tests.acceptance.fixtures import StartService
from tests.acceptance.ledger_view import LedgerView
from tests.artifact_client import ArtifactClient
from tests.running_service import RunningService, wait_until

pytestmark = pytest.mark.timed

_numbers = itertools.count(1)
_TEXTS = ("txt", "md", "csv", "json", "html")
_ALL = (*_TEXTS, "eml", "rtf", "odt", "epub", "docx", "xlsx", "pptx", "pdf")


@pytest.fixture
def client(shared_service: RunningService) -> ArtifactClient:
    """Of a collection of its own."""
    return ArtifactClient(shared_service, f"documents {next(_numbers)}")


def ingest_mixed(client: ArtifactClient, folder: Path, count: int, kinds: tuple[str, ...]) -> float:
    """Documents of mixed types from eight concurrent clients, every tenth broken; the seconds until all have ended."""
    bodies = []
    for number in range(count):
        (folder / str(number)).mkdir()
        kind = kinds[number % len(kinds)]
        path = sample_files.sample(folder / str(number), kind, f"document {number} about neural nets")
        if number % 10 == 9:
            path = path.rename(path.with_suffix(".pdf"))
            path.write_bytes(b"%PDF-1.7 broken")
        bodies.append(client.file(f"a{number:04}", path))
    started = time.monotonic()
    with ThreadPoolExecutor(8) as clients:
        tasks = list(clients.map(client.ingest, bodies))
    ended = [client.wait(task, timeout=120) for task in tasks]
    seconds = time.monotonic() - started
    for number, status in enumerate(ended):
        expected = "FAILURE" if number % 10 == 9 else "SUCCESS"
        assert status["task_status"] == expected, (number, status)
    assert client.ids() == [f"a{number:04}" for number in range(count) if number % 10 != 9]
    return seconds


def test_documents_of_mixed_types_from_eight_clients_are_all_there(client: ArtifactClient, tmp_path: Path) -> None:
    """The original loses most of twenty documents."""
    ingest_mixed(client, tmp_path, 60, _ALL)
    LedgerView(client.service.database_url).check()


@pytest.mark.chaos
def test_five_hundred_documents_from_eight_clients(
    start_service: StartService, view: LedgerView, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = ingest_mixed(ArtifactClient(start_service()), tmp_path, 500, _ALL)
    view.check()
    with capsys.disabled():
        print(f"\n500 documents in {seconds:.1f} s: {500 / seconds:.0f} documents/s")


def test_five_one_line_documents_take_under_a_second(client: ArtifactClient) -> None:
    client.done(client.text("first", "the model is loaded by the first one"))
    seconds = []
    for turn in range(5):
        started = time.monotonic()
        tasks = [client.ingest(client.text(f"{turn}-{number}", f"one line, number {number}")) for number in range(5)]
        for task in tasks:
            assert client.wait(task)["task_status"] == "SUCCESS"
        seconds.append(time.monotonic() - started)
    # Any of them may meet a busy machine.
    assert min(seconds) < 1, seconds


def test_no_search_misses_a_document_that_is_being_replaced_or_sees_it_twice(client: ArtifactClient) -> None:
    """Every version has another number of chunks, and says in each which version it is."""
    client.done(client.text("a", version(0)))
    client.done(client.text("b", "gardening with roses and tulips"))
    ending = threading.Event()
    wrong: list[object] = []
    seen: set[str] = set()

    def search() -> None:
        while not ending.is_set():
            hits = client.search("neural nets", context_filter={"artifacts": ["a"]}, limit=100)
            versions = {found for hit in hits for found in re.findall(r"v[0-9]+", hit["text"])}
            seen.update(versions)
            if len(versions) != 1:
                wrong.append(versions)

    searchers = [threading.Thread(target=search) for _ in range(4)]
    for each in searchers:
        each.start()
    tasks = [client.ingest(client.text("a", version(number))) for number in range(1, 101)]
    ended = [client.wait(task, timeout=60) for task in tasks]
    ending.set()
    for each in searchers:
        each.join()
    assert {each["task_status"] for each in ended} <= {"SUCCESS", "REVOKED"}
    assert ended[-1]["task_status"] == "SUCCESS"
    assert wrong == []
    assert len(seen) > 1, "the searches saw no replacement"
    assert client.content("a") == version(100)


def version(number: int) -> str:
    """One to four chunks."""
    paragraph = f"neural nets v{number} and so on. " * 30
    return "\n\n".join([paragraph.strip()] * (1 + number % 4))


def race(client: ArtifactClient, rounds: int, seed: int) -> None:
    """Deletes and ingests of a few artifacts, submitted one after the other and run by whoever is first."""
    chance = random.Random(seed)
    last: dict[str, str | None] = {}
    tasks = []
    for number in range(rounds):
        artifact = f"r{chance.randrange(12)}"
        if chance.random() < 0.45:
            tasks.append(("delete", client.delete(artifact)))
            last[artifact] = None
        else:
            text = f"round {number}. " + "filler " * chance.choice([1, 50, 2000])
            tasks.append(("ingest", client.ingest(client.text(artifact, text))))
            last[artifact] = text
    for kind, task in tasks:
        status = client.wait(task, timeout=120, kind=kind)
        assert status["task_status"] in ({"SUCCESS"} if kind == "delete" else {"SUCCESS", "REVOKED"}), status
    assert {name: client.content(name) for name in last} == last
    assert client.ids() == sorted(name for name, text in last.items() if text is not None)


def test_the_last_submitted_wins_in_fifty_races(client: ArtifactClient) -> None:
    race(client, 50, seed=1)
    LedgerView(client.service.database_url).check()


@pytest.mark.chaos
def test_the_last_submitted_wins_in_a_thousand_races(start_service: StartService, view: LedgerView) -> None:
    service = start_service()
    for seed in range(10):
        race(ArtifactClient(service, f"races {seed}"), 100, seed)
    view.check()


def test_one_long_document_does_not_block_the_next(client: ArtifactClient) -> None:
    client.done(client.text("warm", "the models are loaded"))
    long = client.ingest(client.text("long", "a very long document. " * 400_000))
    wait_until(lambda: client.status(long)["task_status"] == "STARTED", 30, "the long document to be started")
    client.done(client.text("short", "a short one"))
    assert client.status(long)["task_status"] == "STARTED", "the short one waited for the long one's end"
    assert client.wait(long, timeout=120)["task_status"] == "SUCCESS"


class Pickled:
    """Touches a file where somebody unpickles it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


def test_no_pickle_on_the_broker_is_opened_and_the_worker_goes_on(client: ArtifactClient, tmp_path: Path) -> None:
    """Who can write to the broker of the original can run whatever they like in its workers."""
    pickle.loads(pickle.dumps(Pickled(tmp_path / "how it would look")))  # noqa: S301 - what the test is about
    assert (tmp_path / "how it would look").exists()
    service = client.service
    app = make_celery(Settings(data_folder=service.data_folder))
    for each in ({"args": [Pickled(tmp_path / "opened")]}, {"kwargs": {"x": Pickled(tmp_path / "opened")}}):
        app.send_task(DRAIN_TASK, serializer="pickle", retry=False, **each)
    app.close()
    broker = service.data_folder / "broker"
    wait_until(lambda: list(broker.rglob("*.msg")) == [], 60, "the messages to be taken")
    client.done(client.text("after", "the worker is there"))
    assert "ContentDisallowed" in service.log.read_text()
    assert not (tmp_path / "opened").exists()
