"""Documents whose sources change, fail and come back; what shares a window; losses, deadlines, retries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from indexmill.domain.bodies import decode_body
from indexmill.domain.failure import FailureCode, Stage
from indexmill.domain.job import Item
from indexmill.domain.job_state import JobState
from indexmill.domain.splitting import Splitting
from indexmill.engine import Engine
from indexmill.pipeline.run_window import WindowOutcome
from indexmill.settings import Settings
from tests import sample_files
from tests.documents import (
    COLLECTION,
    LONG,
    Library,
    chunks_of,
    done,
    finished,
    item_of,
    stored,
    text_item,
    uri_item,
)
from tests.draining import (
    Deploy,
    assert_conserved,
    claim_next,
    claimed,
    drain,
    embedded_texts,
    failures,
    job_of,
    lose,
    rows,
    wake,
)
from tests.web_server import WebServer, answer

# Sources that change, fail and come back


def test_what_a_uri_gives_is_compared_every_time(library: Library, tmp_path: Path) -> None:
    with WebServer() as web:
        item = uri_item("a", web.url + "/a.txt")
        seen = []
        for body in (b"One.", b"One.", b"Two.", b"One."):
            web.answers["/a.txt"] = answer(body=body)
            counters = done(library, item)
            seen.append((counters.indexed, counters.unchanged, stored(library)["a"]["text"]))
        job = finished(library, library.ingest(item))
        web.answers["/a.txt"] = answer(body=b"Three.")
        library.engine.rerun(job)
        finished(library, job)
    assert seen == [(1, 0, "One."), (0, 1, "One."), (1, 0, "Two."), (1, 0, "One.")]
    assert stored(library)["a"]["text"] == "Three."
    assert len(embedded_texts(tmp_path)) == 4


def test_forced_everything_is_read_and_embedded_again(library: Library, tmp_path: Path) -> None:
    with WebServer({"/a.txt": answer(body=b"One.")}) as web:
        path = sample_files.plain_text(tmp_path / "a.txt", "Two.")
        items = [uri_item("uri", web.url + "/a.txt"), library.upload("upload", path), text_item("text", "Three.")]
        job = finished(library, library.ingest(*items))
        library.engine.rerun(job, force=True)
        assert finished(library, job).counters.indexed == 3
    assert len(embedded_texts(tmp_path)) == 6


def test_a_source_that_is_away_waits_and_its_neighbours_do_not(library: Library) -> None:
    with WebServer({"/a.txt": answer("503 Service Unavailable")}) as web:
        job = library.upsert(
            Item("before", {"text": "One."}), uri_item("away", web.url + "/a.txt"), Item("after", {"text": "Two."})
        )
        other = library.upsert(Item("other", {"text": "Three."}))
        outcomes = drain(library.engine, library.runner())
        assert outcomes.count(WindowOutcome.DEFERRED) == 1
        assert_conserved(library.engine)
        assert set(stored(library)) == {"before", "after", "other"}
        assert job_of(library.engine, other).state is JobState.SUCCEEDED
        waiting = job_of(library.engine, job)
        assert waiting.state is JobState.RETRYING
        assert "503" in str(waiting.detail)
        web.answers["/a.txt"] = answer(body=b"It is back.")
        wake(library.engine)
        assert finished(library, job).counters.indexed == 3
    assert stored(library)["away"]["text"] == "It is back."


def test_a_source_that_stays_away_fails_its_item_after_the_last_try_and_a_retry_begins_anew(library: Library) -> None:
    with WebServer({"/a.txt": answer("503 Service Unavailable")}) as web:
        job = library.ingest(uri_item("away", web.url + "/a.txt"), text_item("good", "One."))
        tries = []
        while not job_of(library.engine, job).is_terminal:
            drain(library.engine, library.runner(max_tries=3))
            tries.append(len(web.heads))
            wake(library.engine)
        failure = failures(library.engine, job_of(library.engine, job))["away"]
        assert (failure.stage, failure.code, failure.retryable) == (Stage.LOAD, FailureCode.TRIES_EXHAUSTED, True)
        assert "Given up after 3 tries" in failure.sentence
        assert tries == [1, 2, 3]
        web.answers["/a.txt"] = answer(body=b"It is back.")
        library.engine.retry(job_of(library.engine, job))
        assert finished(library, job).counters.indexed == 2
    assert len(web.heads) == 4


def test_in_a_batch_that_waits_for_an_upload_s_disk_every_item_waits_and_none_is_lost(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Uploads share batches and windows: one batch waits, the window's others are committed."""
    first = library.upload("first", sample_files.plain_text(tmp_path / "1.txt", "One."))
    second = library.upload("second", sample_files.plain_text(tmp_path / "2.txt", "Two."))
    waiting = library.ingest(text_item("with", "Three."), first)
    other = library.ingest(second)
    runner = library.runner(max_tries=2)
    fetch = runner.documents.spool.fetch
    flaky = _Flaky(fetch, (first.item_info or {})["value"])
    monkeypatch.setattr(type(runner.documents.spool), "fetch", lambda _, reference, check: flaky(reference))
    claim = claimed(library.engine)
    assert len(claim.batches) == 2
    assert runner.run(claim, lambda: True) is WindowOutcome.DEFERRED
    assert_conserved(library.engine)
    assert set(stored(library)) == {"second"}
    assert job_of(library.engine, other).state is JobState.SUCCEEDED
    assert job_of(library.engine, waiting).state is JobState.RETRYING
    wake(library.engine)
    assert drain(library.engine, runner) == [WindowOutcome.DONE]
    assert set(stored(library)) == {"second", "with"}
    failure = failures(library.engine, job_of(library.engine, waiting))["first"]
    assert failure.code is FailureCode.TRIES_EXHAUSTED
    assert "EMFILE" in failure.sentence
    assert_conserved(library.engine)


def test_a_model_that_is_away_in_a_window_with_a_batch_that_waits_already(
    engine: Engine, deploy: Deploy, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = tmp_path / "down"
    library = Library(engine, settings, deploy(transient_on=["Two"], only_while=str(flag)))
    flag.touch()
    first = library.upload("first", sample_files.plain_text(tmp_path / "1.txt", "One."))
    jobs = [library.ingest(first), library.ingest(text_item("second", "Two."))]
    runner = library.runner(max_tries=3)
    flaky = _Flaky(runner.documents.spool.fetch, (first.item_info or {})["value"])
    with monkeypatch.context() as patch:
        patch.setattr(type(runner.documents.spool), "fetch", lambda _, reference, check: flaky(reference))
        assert drain(engine, runner) == [WindowOutcome.DEFERRED]
        assert rows(engine, "SELECT state, tries FROM batch") == [{"state": "waiting", "tries": 1}] * 2
        assert_conserved(engine)
    flag.unlink()
    wake(engine)
    drain(engine, runner)
    assert [job_of(engine, job).state for job in jobs] == [JobState.SUCCEEDED] * 2
    assert_conserved(engine)


class _Flaky:
    """Fetches, but of one reference says that there are no more file descriptors."""

    def __init__(self, fetch: Callable[[str], Any], away: str) -> None:
        self._fetch, self._away = fetch, away

    def __call__(self, reference: str) -> Any:
        if reference == self._away:
            raise OSError(24, "Too many open files")
        return self._fetch(reference)


# The order of windows, the same document in one, retries


def test_what_is_fetched_and_what_is_large_is_claimed_alone(library: Library) -> None:
    """A small document never waits for the fetch, or the embedding, of another one."""
    small = [text_item(f"s{n}", "One.") for n in range(3)]
    large = Item("large", None, {"source": "spool", "value": "spool:" + "0" * 64}, weight=50_000_000)
    for item in (small[0], large, small[1], uri_item("u", "https://example.org/a"), small[2]):
        library.ingest(item)
    library.ingest(*(uri_item(f"v{n}", "https://example.org/a") for n in range(3)))
    claims = []
    while (claim := claim_next(library.engine, 4 * 1024 * 1024)) is not None:
        claims.append([item.object_id for batch in claim.batches for item in decode_body(batch.body)])
    assert all([name] in claims for name in ("large", "u", "v0", "v1", "v2"))
    assert sorted(name for names in claims for name in names if name.startswith("s")) == ["s0", "s1", "s2"]


@pytest.mark.parametrize("first_is_stored", [True, False])
def test_the_same_document_several_times_in_one_window_ends_as_the_last_one_says(
    library: Library, first_is_stored: bool
) -> None:
    done(library, text_item("a", "Stored."))
    texts = ["Stored.", "Other."] if first_is_stored else ["Other.", "Stored."]
    for text in texts:
        library.ingest(text_item("a", text), text_item("a", text, {"again": True}))
    assert drain(library.engine, library.runner()) == [WindowOutcome.DONE]
    assert stored(library)["a"]["text"] == texts[-1]
    assert stored(library)["a"]["payload"] == {"again": True}
    assert_conserved(library.engine)


def test_a_retry_runs_only_what_has_failed(library: Library, tmp_path: Path) -> None:
    job = library.ingest(text_item("good", "One."), Item("bad", None, {"source": "file", "path": "late.txt"}))
    assert finished(library, job).counters.failed == 1
    (library.inbox / "late.txt").write_text("Two.")
    library.engine.retry(job_of(library.engine, job))
    ended = finished(library, job)
    assert (ended.counters.indexed, ended.counters.failed) == (2, 0)
    assert len(embedded_texts(tmp_path)) == 2


@pytest.mark.parametrize("meanwhile", ["deleted", "replaced"])
@pytest.mark.parametrize("way", ["text", "upload", "uri"])
def test_a_skip_whose_ground_has_gone_is_read_and_embedded_after_all(
    library: Library, tmp_path: Path, way: str, meanwhile: str
) -> None:
    """The document is as the item says when the window looks, and not any more when it commits."""
    done(library, item_of(library, tmp_path, way, LONG, {"by": "Ada"}))
    other = library.delete("a") if meanwhile == "deleted" else library.ingest(text_item("a", "Another one."))
    rank = "UPDATE batch SET state = 'waiting', available_at = 'infinity' WHERE job = %s"
    _execute(library, rank, other.id)
    job = library.ingest(item_of(library, tmp_path, way, LONG, {"by": "Eve"}))
    claim = claimed(library.engine)
    seen: list[bool] = []

    def interfere() -> bool:
        if len(seen) == 0:
            _execute(library, "UPDATE batch SET state = 'ready', available_at = now() WHERE job = %s", other.id)
            drain(library.engine, library.runner())
        seen.append(True)
        return True

    library.runner().run(claim, interfere)
    assert_conserved(library.engine)
    assert job_of(library.engine, job).counters.finished == 1
    assert stored(library)["a"]["text"] == LONG
    assert stored(library)["a"]["payload"] == {"by": "Eve"}
    assert len(chunks_of(library.engine, COLLECTION, "a")) > 5


# Losses and deadlines


def test_the_document_that_takes_its_worker_with_it_is_set_aside_after_three_losses(library: Library) -> None:
    texts = ["One.", "Two.", "Three."]
    job = library.ingest(*(text_item(f"d{n}", text) for n, text in enumerate(texts)))
    for _ in range(3):
        claim = claimed(library.engine)
        runner = library.runner()
        runner.documents = replace(runner.documents)
        read = runner.documents.read
        reached: list[str] = []

        def die(item: Any, *arguments: Any, read: Any = read, reached: list[str] = reached) -> None:
            reached.append(item.object_id)
            if item.object_id == "d1":
                raise _Died
            read(item, *arguments)

        object.__setattr__(runner.documents, "read", die)
        with pytest.raises(_Died):
            runner.run(claim, lambda: True)
        assert reached == ["d0", "d1"]
        # What the process that dies has written down is all that is known.
        noted = rows(library.engine, "SELECT position FROM lease")[0]["position"]
        assert noted == (1 if claim.runs_item_by_item else None)
        lose(library.engine, claim, **({"position": noted} if noted is not None else {}))
    ended = finished(library, job)
    assert (ended.counters.indexed, ended.counters.failed) == (2, 1)
    failure = failures(library.engine, ended)["d1"]
    assert (failure.code, failure.item_info) == (FailureCode.WORKER_LOST, {"source": "text"})


class _Died(BaseException):
    pass


def test_a_long_document_of_a_slow_model_is_not_lost_and_moves_the_deadline_everywhere(
    engine: Engine, deploy: Deploy, settings: Settings
) -> None:
    library = Library(engine, settings, deploy(delay_ms_per_text=4))
    library.open("fine", Splitting(4, 0))
    job = library.ingest(text_item("a", " ".join(f"word{n}" for n in range(2000))), collection="fine")
    moved: list[Any] = []

    def note() -> None:
        moved.extend(rows(engine, "SELECT deadline_at - now() AS left FROM lease"))

    runner = library.runner(deadline_seconds=1.0, restart_deadline=note)
    assert drain(engine, runner) == [WindowOutcome.DONE]
    # Two seconds in all; often enough, but not for every call.
    assert 2 <= len(moved) <= 9
    assert job_of(engine, job).counters.chunks > 400


def test_a_window_of_uploads_asks_the_database_no_question_for_each(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(20):
        library.ingest(text_item(f"d{n}", f"Document {n}."))
    claim = claimed(library.engine)
    runner = library.runner()
    asked: list[Any] = []
    monkeypatch.setattr(type(runner.ledger.leases), "note_position", lambda *arguments: asked.append(arguments))
    assert runner.run(claim, lambda: True) is WindowOutcome.DONE
    assert asked == []
    assert len(stored(library)) == 20


def test_a_cancelled_job_stops_its_fetch(library: Library) -> None:
    """Its server goes on for ever; the fetch would for all of `sources.timeout_seconds`."""
    with WebServer() as server:
        server.answers["/"] = server.drip(b"HTTP/1.1 200 OK\r\n\r\n")
        job = library.ingest(uri_item("a", server.url))
        claim = claimed(library.engine)

        def is_held() -> bool:
            if server.connections and job_of(library.engine, job).state is not JobState.CANCELLED:
                library.engine.cancel(job_of(library.engine, job))
            return not server.connections

        assert library.runner().run(claim, is_held) is WindowOutcome.LOST
    assert library.leftovers() == []
    assert_conserved(library.engine)


def _execute(library: Library, statement: str, *values: object) -> None:
    with library.engine.ledger.database.connection() as connection:
        connection.execute(statement, values)
