"""Any history of submissions, cancels, reruns and retries, in any order: the documents end as the submissions say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexmill.domain import bodies
from indexmill.domain.job import Item, Job, JobKind
from indexmill.domain.job_state import JobState
from indexmill.engine import Engine
from indexmill.ledger.batches import BatchKey
from tests.draining import (
    alter_query,
    always_ask,
    assert_conserved,
    claim_only,
    documents,
    execute,
    job_of,
    rows,
    run,
    submit,
)

IDS = ("a", "b", "c", "d")


@dataclass(frozen=True)
class Act:
    """A step of a history: `kind` is upsert, payload, delete, cancel, rerun or retry; the rest says on what."""

    kind: str
    ids: tuple[str, ...] = ()
    text: int = 0
    job: int = 0
    bad: bool = False


@dataclass
class World:
    """What the submissions say the documents must be, apart from any order of running."""

    jobs: list[tuple[Job, JobKind, list[Item]]] = field(default_factory=list)
    #: Per id: every (version, payload or None where deleted) that was asked for.
    asked: dict[str, dict[tuple[int, int], dict[str, Any] | None]] = field(default_factory=dict)

    def note(self, seq: int, kind: JobKind, items: list[Item]) -> None:
        for position, item in enumerate(items):
            if kind is JobKind.UPSERTION and not (item.payload or {}).get("text", "").strip():
                continue
            of_item = self.asked.setdefault(item.object_id, {})
            of_item[seq, position] = item.payload if kind is JobKind.UPSERTION else None

    def withdraw(self, seq: int) -> None:
        """The job of this number was cancelled before anything of it ran."""
        for of_item in self.asked.values():
            for version in [version for version in of_item if version[0] == seq]:
                del of_item[version]

    def expected(self) -> dict[str, dict[str, Any]]:
        last = {name: of_item[max(of_item)] for name, of_item in self.asked.items() if of_item}
        return {name: payload for name, payload in last.items() if payload is not None}


ids = st.lists(st.sampled_from(IDS), min_size=1, max_size=5).map(tuple)
acts = st.one_of(
    st.builds(Act, kind=st.just("upsert"), ids=ids, text=st.integers(0, 2), bad=st.booleans()),
    st.builds(Act, kind=st.just("payload"), ids=ids, text=st.integers(0, 2)),
    st.builds(Act, kind=st.just("delete"), ids=ids),
    st.builds(Act, kind=st.just("cancel"), job=st.integers(0, 9)),
    st.builds(Act, kind=st.just("rerun"), job=st.integers(0, 9)),
    st.builds(Act, kind=st.just("retry"), job=st.integers(0, 9)),
    st.builds(Act, kind=st.just("run"), job=st.integers(0, 9)),
    st.builds(Act, kind=st.just("run all")),
)
#: Two documents and two texts: most of what is submitted is stored already.
repeated = st.one_of(
    st.builds(
        Act,
        kind=st.just("upsert"),
        ids=st.lists(st.sampled_from(IDS[:2]), min_size=1, max_size=2).map(tuple),
        text=st.integers(0, 1),
    ),
    st.builds(Act, kind=st.sampled_from(["cancel", "retry"]), job=st.integers(0, 3)),
    st.builds(Act, kind=st.sampled_from(["run", "run all"])),
)


def seq_of(engine: Engine, job: Job) -> int:
    return int(rows(engine, "SELECT seq FROM job WHERE id = %s", job.id)[0]["seq"])


def play(engine: Engine, history: list[Act], choose: Iterator[int]) -> None:
    """Submit as the history says, run in the order that `choose` says, and compare."""
    world = World()
    for number, act in enumerate(history):
        _play_one(engine, world, act, number, choose)
        assert_conserved(engine)
    while ready_batches(engine):
        run_some(engine, choose)
    assert_conserved(engine)
    assert {name: row["payload"] for name, row in documents(engine).items()} == world.expected()
    _assert_vectors_fit(engine)
    _assert_jobs_end_by_their_counters(engine, world)


def _play_one(engine: Engine, world: World, act: Act, number: int, choose: Iterator[int]) -> None:
    if act.kind in {"upsert", "payload", "delete"}:
        kind = JobKind.DELETION if act.kind == "delete" else JobKind.UPSERTION
        items = [_item(act, name, number, place) for place, name in enumerate(act.ids)]
        job = submit(engine, items, kind=kind)
        world.jobs.append((job, kind, items))
        world.note(seq_of(engine, job), kind, items)
    elif act.kind in {"rerun", "retry"} and world.jobs:
        job, kind, items = world.jobs[act.job % len(world.jobs)]
        again = getattr(engine, act.kind)(job_of(engine, job))
        if again.counters.cancelled < len(items):
            world.note(seq_of(engine, job), kind, items)
    elif act.kind == "cancel" and world.jobs:
        job, _, items = world.jobs[act.job % len(world.jobs)]
        if job_of(engine, job).state is JobState.QUEUED and engine.cancel(job).counters.cancelled == len(items):
            world.withdraw(seq_of(engine, job))
    elif act.kind == "run":
        run_some(engine, choose)
    elif act.kind == "run all":
        while ready_batches(engine):
            run_some(engine, choose)


def _item(act: Act, name: str, number: int, place: int) -> Item:
    if act.kind == "delete":
        return Item(name)
    if act.bad and place == 0:
        return Item(name, {"text": " "})
    return Item(name, {"text": f"text {act.text}"} | ({"extra": number % 3} if act.kind == "payload" else {}))


def ready_batches(engine: Engine) -> list[tuple[BatchKey, str]]:
    """With their lanes."""
    found = rows(engine, "SELECT job, ordinal, lane FROM batch WHERE state = 'ready' ORDER BY job, ordinal")
    return [((row["job"], row["ordinal"]), row["lane"]) for row in found]


def run_some(engine: Engine, choose: Iterator[int]) -> None:
    """Run one window of one or more ready batches, chosen freely."""
    ready = ready_batches(engine)
    if not ready:
        return
    lane = ready[next(choose) % len(ready)][1]
    mine = [key for key, of_lane in ready if of_lane == lane]
    chosen = [key for key in mine if next(choose) % 2] or [mine[next(choose) % len(mine)]]
    run(engine, claim_only(engine, lane, chosen))


def _assert_vectors_fit(engine: Engine) -> None:
    """A skip may never leave the vectors of another text: equal texts have equal vectors, others have not."""
    vectors: dict[str, set[str]] = {}
    for row in documents(engine).values():
        vectors.setdefault(row["text"], set()).update(row["vectors"])
        assert row["text"] == row["payload"]["text"]
    assert all(len(each) == 1 for each in vectors.values()), vectors
    assert len(set.union(set(), *vectors.values())) == len(vectors)


def _assert_jobs_end_by_their_counters(engine: Engine, world: World) -> None:
    for job, _, items in world.jobs:
        ended = job_of(engine, job)
        assert ended.is_terminal
        assert ended.counters.finished == len(items)
        if ended.counters.cancelled:
            continue
        assert (ended.state is JobState.SUCCEEDED) == bool(ended.counters.kept)


def empty(engine: Engine) -> None:
    """Back to an empty ledger with its models: an example costs no new database."""
    execute(
        engine,
        "TRUNCATE job, document, lease, chunk_1_1 CASCADE",
    )


@pytest.fixture
def batches_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of several batches, with the same document in more than one."""
    always_ask(monkeypatch)
    monkeypatch.setattr(bodies, "MAX_BATCH_ITEMS", 2)


@pytest.fixture
def batches_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    always_ask(monkeypatch)
    monkeypatch.setattr(bodies, "MAX_BATCH_ITEMS", 1)


@pytest.mark.usefixtures("batches_of_two")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(acts, min_size=2, max_size=10), choices=st.lists(st.integers(0, 7), min_size=8, max_size=8))
def test_any_history_run_in_any_order_ends_as_it_was_submitted(
    engine: Engine, history: list[Act], choices: list[int]
) -> None:
    empty(engine)
    play(engine, history, _endless(choices))


@pytest.mark.usefixtures("batches_of_one")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=st.integers(0, 1),
    history=st.lists(repeated, min_size=3, max_size=8),
    choices=st.lists(st.integers(0, 7), min_size=8, max_size=8),
)
def test_what_is_submitted_again_and_again_ends_as_it_was_submitted(
    engine: Engine, first: int, history: list[Act], choices: list[int]
) -> None:
    empty(engine)
    play(engine, [Act("upsert", IDS[:2], text=first), Act("run all"), *history], _endless(choices))


def _endless(choices: list[int]) -> Iterator[int]:
    while True:
        yield from choices


def test_without_versions_some_history_would_be_seen_to_end_otherwise(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both guards are taken away: the look before embedding and the one in the row's lock."""
    alter_query(
        monkeypatch, "write_documents", "WHERE (d.seq, d.position) <= (excluded.seq, excluded.position)", "WHERE true"
    )
    alter_query(monkeypatch, "compare_documents", "AS place, d.seq,", "AS place, 0 AS seq,")
    history = [Act("upsert", ("a",), text=1), Act("upsert", ("a",), text=2)]
    # Only the second job, then what is left.
    with pytest.raises(AssertionError):
        play(engine, history, _endless([0, 0, 1]))
