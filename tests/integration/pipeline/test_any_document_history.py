"""Any history of ingestions and deletions with sources that change and fail, run in any order, ends as it was said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from indexmill.domain.job import Item, Job
from indexmill.engine import Engine
from indexmill.settings import Settings
from tests.documents import COLLECTION, Library, chunks_of, text_item, uri_item
from tests.draining import alter_query, assert_conserved, claim_only, execute, job_of, rows, wake

IDS = ("a", "b", "c")
#: Of one chunk, of several, of many; none is the beginning of another.
TEXTS = ("Fog.", "Cranes fly. " * 6, "Over the bog they call. " * 12)


@dataclass(frozen=True)
class Act:
    """`kind`: text, file, delete, change (the file's bytes), remove (the file), run or rerun."""

    kind: str
    name: str = "a"
    text: int = 0
    extra: int = 0


@dataclass
class World:
    """The last submission of each id; `None`: it was deleted. Items that failed are taken out when they have run."""

    said: dict[str, list[tuple[tuple[int, int], Item | None, Job]]] = field(default_factory=dict)

    def note(self, version: tuple[int, int], name: str, item: Item | None, job: Job) -> None:
        self.said.setdefault(name, []).append((version, item, job))


names = st.sampled_from(IDS)
acts = st.one_of(
    st.builds(Act, st.just("text"), names, st.integers(0, 2), st.integers(0, 1)),
    st.builds(Act, st.just("file"), names, st.just(0), st.integers(0, 1)),
    st.builds(Act, st.just("delete"), names),
    st.builds(Act, st.just("change"), names, st.integers(0, 2)),
    st.builds(Act, st.just("remove"), names),
    st.builds(Act, st.just("run"), names, st.integers(0, 3)),
    st.builds(Act, st.just("rerun"), names, st.integers(0, 9)),
)


def play(library: Library, history: list[Act], choices: Iterator[int]) -> None:
    world = World()
    jobs: list[tuple[Job, str, Item | None]] = []
    for act in history:
        if act.kind in {"text", "file", "delete"}:
            jobs.append(_submit(library, world, act))
        elif act.kind == "change":
            (library.inbox / f"{act.name}.txt").write_text(TEXTS[act.text])
        elif act.kind == "remove":
            (library.inbox / f"{act.name}.txt").unlink(missing_ok=True)
        elif act.kind == "rerun" and jobs:
            job, name, item = jobs[act.text % len(jobs)]
            if _rerun(library, job):
                world.note((_seq(library.engine, job), 0), name, item, job)
        elif act.kind == "run":
            _run_some(library, choices)
        assert_conserved(library.engine)
    while _ready(library.engine):
        _run_some(library, choices)
    assert_conserved(library.engine)
    _compare(library, world)


def _rerun(library: Library, job: Job) -> bool:
    before = _seq(library.engine, job)
    library.engine.rerun(job_of(library.engine, job))
    return _seq(library.engine, job) != before


def _submit(library: Library, world: World, act: Act) -> tuple[Job, str, Item | None]:
    item: Item | None = None
    metadata = {"extra": act.extra}
    if act.kind == "delete":
        job = library.delete(act.name)
    else:
        item = (
            text_item(act.name, TEXTS[act.text], metadata)
            if act.kind == "text"
            else uri_item(act.name, f"{act.name}.txt", metadata)
        )
        job = library.ingest(item)
    world.note((_seq(library.engine, job), 0), act.name, item, job)
    return job, act.name, item


def _compare(library: Library, world: World) -> None:
    """Of each id the last submission that did not fail has won; its chunks are of its text and of nothing else."""
    found = {
        row["id"]: row
        for row in rows(
            library.engine,
            "SELECT d.* FROM document d JOIN collection c ON c.id = d.collection "
            "WHERE c.name = %s AND d.deleted_at IS NULL",
            COLLECTION,
        )
    }
    for name in IDS:
        said = sorted(world.said.get(name, []), key=lambda each: each[0])
        standing = [(version, item) for version, item, job in said if not _failed(library, version, job)]
        wanted = standing[-1][1] if standing else None
        assert (name in found) == (wanted is not None), (name, said)
        if wanted is None:
            continue
        row = found[name]
        assert row["payload"] == wanted.payload
        info = wanted.item_info or {}
        if info["source"] == "text":
            assert row["text"] == info["value"]
        assert row["text"] in TEXTS
        spans = chunks_of(library.engine, COLLECTION, name)
        covered = {index for start, end in spans for index in range(start, end)}
        assert all(index in covered for index, each in enumerate(row["text"]) if not each.isspace())
        assert max(end for _, end in spans) <= len(row["text"])


def _failed(library: Library, version: tuple[int, int], job: Job) -> bool:
    """A version of a job that was run again since is not known any more; then it is not the last either."""
    return _seq(library.engine, job) == version[0] and job_of(library.engine, job).counters.failed == 1


def _seq(engine: Engine, job: Job) -> int:
    return int(rows(engine, "SELECT seq FROM job WHERE id = %s", job.id)[0]["seq"])


def _ready(engine: Engine) -> list[tuple[object, str]]:
    wake(engine)
    found = rows(engine, "SELECT job, lane FROM batch WHERE state = 'ready' ORDER BY job")
    return [(row["job"], row["lane"]) for row in found]


def _run_some(library: Library, choices: Iterator[int]) -> None:
    ready = _ready(library.engine)
    if not ready:
        return
    lane = ready[next(choices) % len(ready)][1]
    mine = [job for job, of_lane in ready if of_lane == lane]
    chosen = [job for job in mine if next(choices) % 2] or [mine[next(choices) % len(mine)]]
    claim = claim_only(library.engine, lane, [(job, 0) for job in chosen])  # type: ignore[misc]
    library.runner().run(claim, lambda: True)


def _endless(choices: list[int]) -> Iterator[int]:
    while True:
        yield from choices


@pytest.fixture
def library(engine: Engine, settings: Settings) -> Iterator[Library]:
    made = Library(engine, settings)
    yield made
    made.close()


def _empty(library: Library) -> None:
    execute(
        library.engine,
        "TRUNCATE job, document, lease, chunk_2_1 CASCADE",
    )
    for path in library.inbox.iterdir():
        path.unlink()


@examples(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(acts, min_size=3, max_size=10), choices=st.lists(st.integers(0, 7), min_size=6, max_size=6))
def test_any_history_of_documents_ends_as_it_was_submitted(
    library: Library, history: list[Act], choices: list[int]
) -> None:
    _empty(library)
    play(library, history, _endless(choices))


def test_chunks_that_were_left_over_would_be_seen(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    alter_query(monkeypatch, "delete_surplus_chunks", "c.ordinal >= d.chunks", "c.ordinal > 1000")
    history = [Act("text", text=2), Act("run"), Act("text", text=0), Act("run")]
    with pytest.raises(AssertionError):
        play(library, history, _endless([0]))
