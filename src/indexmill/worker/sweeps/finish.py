"""Finish: jobs whose last worker died between its commit and the end of the job."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from uuid import UUID

from indexmill.domain.backoff import backoff_seconds
from indexmill.ledger.ledger import Ledger
from indexmill.worker.sweeps import Sweep

_LONGEST_PAUSE = 300.0
#: More jobs than this that cannot be ended are tried at every turn again; the page still moves on.
_MOST_POSTPONED = 10_000


def sweep(ledger: Ledger, seconds: float) -> Sweep:
    return Sweep("finish", seconds, _Finish(ledger).run)


@dataclass
class _Finish:
    """A page of jobs a turn. What cannot be ended is tried ever more rarely, and never keeps a turn from the others."""

    ledger: Ledger
    _after: UUID | None = None
    #: When each job that did not end is tried again (monotonic), and how often it has been.
    _postponed: dict[UUID, tuple[float, int]] = field(default_factory=dict)

    def run(self) -> None:
        page, self._after = self.ledger.workload.finishable_jobs(self._after)
        now = time.monotonic()
        due = [job for job in page if self._postponed.get(job, (now, 0))[0] <= now]
        if not due:
            return
        ended = set(self.ledger.transitions.finish(due))
        for job in due:
            _, tries = self._postponed.pop(job, (now, 0))
            if job not in ended and len(self._postponed) < _MOST_POSTPONED:
                pause = backoff_seconds(tries + 1, base=2, cap=_LONGEST_PAUSE)
                self._postponed[job] = (now + pause, tries + 1)
