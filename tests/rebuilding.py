"""Rebuilds under load: writers, readers and workers that die, all at once, in the test's own process."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from indexmill.domain.job import BatchWork, Job
from indexmill.engine import Engine
from indexmill.ledger.claims import STRUCTURAL_LANE, Claim
from indexmill.pipeline.rebuild import Rebuild
from indexmill.pipeline.run_window import WindowRunner
from tests.draining import PLENTY, items_of, job_of, lose, run, runner_of, structural_works, submit

__all__ = ["Load", "claim_other", "claim_rebuild", "rebuilder"]


def rebuilder(engine: Engine, *, page_chunks: int = 2000, slice_seconds: float = 0.0, **search: Any) -> WindowRunner:
    """A worker whose rebuilds do one step a window, or what `slice_seconds` allow."""
    works = structural_works(engine, **search)
    work = works[BatchWork.REBUILD]
    assert isinstance(work, Rebuild)
    work.page_chunks, work.slice_seconds = page_chunks, slice_seconds
    return runner_of(engine, structural=works)


def claim_rebuild(engine: Engine) -> Claim | None:
    return engine.ledger.claims.claim(STRUCTURAL_LANE, "test/rebuild", PLENTY)


def claim_other(engine: Engine) -> Claim | None:
    """What is ready and no rebuild."""
    lanes = [head.lane for head in engine.ledger.claims.lane_heads() if head.lane != STRUCTURAL_LANE]
    return engine.ledger.claims.claim(lanes[0], "test/other", PLENTY) if lanes else None


@dataclass
class Load:
    """What goes on beside a rebuild. `stable`: texts by id that nobody changes; every search must find them.

    A writer changes documents of its own and looks at once for what it wrote.
    """

    engine: Engine
    model: str
    stable: dict[str, str]
    written: dict[str, str] = field(default_factory=dict)
    searches: int = 0
    #: Of these, how many were answered during each phase of a rebuild: one slice of it may go through several.
    searches_during: Counter[str] = field(default_factory=Counter)
    rebuilding: UUID | None = None
    problems: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self, readers: int = 2) -> Iterator[None]:
        works: list[Callable[[], None]] = [self._write, *[self._read] * readers]
        threads = [threading.Thread(target=self._guarded, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in threads:
                thread.join(timeout=60)

    def rebuild(self, runner: WindowRunner, sweep: Callable[[], object], *, losses: float, seed: int = 1) -> Job:
        """A rebuild from its start to its end, whose workers die with this probability a slice."""
        chance, engine = random.Random(seed), self.engine
        job = engine.rebuild(self.model)
        self.rebuilding = job.id
        until = time.monotonic() + 600
        while not job_of(engine, job).is_terminal:
            assert time.monotonic() < until, "the rebuild does not end"
            claim = claim_rebuild(engine)
            if claim is None:
                sweep()
                time.sleep(0.05)
                engine.ledger.workload.wake_waiting()
            elif chance.random() < losses:
                lose(engine, claim)
            else:
                run(engine, claim, runner)
        return job_of(engine, job)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            while not self._ended.is_set():
                work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must hear of it
            self.problems.append(f"{type(error).__name__}: {error}")

    def _read(self) -> None:
        name = random.choice([*self.stable])
        self._expect(name, self.stable[name])

    def _write(self) -> None:
        changed = {f"w{random.randint(0, 20)}": f"written {random.randint(0, 10**9)}" for _ in range(3)}
        submit(self.engine, items_of(changed), model=self.model)
        while (claim := claim_other(self.engine)) is not None:
            run(self.engine, claim)
        self.written |= changed
        for name, text in changed.items():
            self._expect(name, text)

    def _expect(self, name: str, text: str) -> None:
        hits = self.engine.search(self.model, text=text, limit=3)
        self.searches += 1
        if self.rebuilding is not None:
            noted = self.engine.ledger.structural_jobs.progress(self.rebuilding)
            if noted is not None:
                self.searches_during[noted["phase"]] += 1
        if not any(hit.document_id == name and hit.text == text for hit in hits):
            self.missed.append(name)
