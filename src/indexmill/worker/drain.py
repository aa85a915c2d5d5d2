"""What a wake does: claims window after window until nothing is ready, its time is up, or the worker stops."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import psycopg

from indexmill.errors import ServiceError
from indexmill.ledger.claims import Claim, ClaimInDoubt
from indexmill.ledger.database import is_statement_timeout
from indexmill.ledger.ledger import Ledger
from indexmill.pipeline.run_window import WindowOutcome, WindowRunner
from indexmill.worker.pulse import Pulse
from indexmill.worker.turns import Turns
from indexmill.worker.watchdog import Watchdog

__all__ = ["Drain"]

_log = logging.getLogger(__name__)
#: One batch of short texts: with a slow model that takes long enough, and other tenants wait for it.
_MIN_WINDOW_BYTES = 8 * 1024
#: Below these it is mostly the fixed cost of a window that is measured: one that took a little too long says nothing.
_STEADY_WINDOW_BYTES = 64 * 1024
_TELLING_BYTES = 16 * 1024
_MAX_WINDOW_BYTES = 4 * 1024 * 1024
_FIRST_WINDOW_BYTES = 64 * 1024
#: A window that takes so many times what it should is no hiccup: the next one is as small as this one was slow.
_FAR_TOO_LONG = 4
#: Comparing with what is stored takes a tenth of the time that embedding takes.
_COMPARED_TIMES = 8
#: Claims in a row that found others faster; then the drain ends, the sweep will wake it.
_MAX_MISSES = 20
#: A stopping worker finishes its window if that takes no longer; else it gives the lease back.
_STOP_PATIENCE = 5.0
#: Between two tries to reach a database that is away.
_OUTAGE_PAUSE = 0.5
_OUTAGE_PATIENCE = 120.0


@dataclass
class Drain:
    """One a worker process; it remembers the lane it was on and how fast each lane goes."""

    ledger: Ledger
    runner: WindowRunner
    pulse: Pulse
    watchdog: Watchdog
    drain_seconds: float
    window_seconds: float
    _lane: str | None = None
    _turns: Turns = field(default_factory=Turns)
    #: Bytes of items that a window of `window_seconds` takes, a lane.
    _budgets: dict[str, int] = field(default_factory=dict)
    #: Lanes whose last window was as stored already, so that the next one may be, too.
    _unchanged: set[str] = field(default_factory=set)

    def run(self, is_stopping: Callable[[], bool]) -> bool:
        """Drain; True where work was left over when the time was up, so that a successor must be woken."""
        until = time.monotonic() + self.drain_seconds
        misses = 0
        while not is_stopping() and misses < _MAX_MISSES:
            try:
                head = self._turns.next(self.ledger.claims.lane_heads(), self._lane)
                if head is None:
                    self._lane = None
                    return False
                self._lane = head.lane
                if time.monotonic() > until:
                    return True
                claim = self._claim(self._lane)
            except ClaimInDoubt as doubt:
                self._let_go(doubt.token, self.ledger.leases.give_back, is_stopping)
                continue
            except (ServiceError, psycopg.OperationalError) as error:
                # Nothing is held; the sweep wakes workers when the database is back.
                _log.warning("drain ended: %s", error)
                return False
            if claim is None:
                misses += 1
                time.sleep(0.002 * misses)
                continue
            misses = 0
            self._turns.took(head)
            self._run_window(claim, is_stopping)
        return False

    def _claim(self, lane: str) -> Claim | None:
        """A window's worth. Where the last one only compared, many times as much: what is not as stored goes back."""
        budget = self._budget(lane)
        if lane not in self._unchanged:
            return self.ledger.claims.claim(lane, self.runner.worker, budget)
        most = min(budget * _COMPARED_TIMES, _MAX_WINDOW_BYTES)
        return self.ledger.claims.claim(lane, self.runner.worker, most, budget)

    def _run_window(self, claim: Claim, is_stopping: Callable[[], bool]) -> None:
        started = time.monotonic()
        self.pulse.hold(claim.token)
        self.watchdog.arm()
        outcome: WindowOutcome | None = None
        is_own_doing = False
        try:
            outcome = self.runner.run(claim, self.pulse.is_held, _Patience(is_stopping, _STOP_PATIENCE))
        except (ServiceError, psycopg.OperationalError) as error:
            _log.warning("window abandoned: %s", error)
            is_own_doing = is_statement_timeout(error)
        finally:
            self.watchdog.disarm()
            self.pulse.hold(None)
        if outcome is None:
            # Given back, a window whose own statement takes too long would come again and again; so it is counted.
            end = self.ledger.leases.lose if is_own_doing else self.ledger.leases.give_back
            self._let_go(claim.token, end, is_stopping)
            return
        seconds = time.monotonic() - started
        if outcome is WindowOutcome.UNCHANGED:
            # It says nothing of what embedding takes.
            self._unchanged.add(claim.lane)
        elif outcome is WindowOutcome.DONE:
            # After a comparison most of it may have gone back: then only what is far too slow is to be seen in it.
            self._learn(claim, seconds, has_compared=claim.lane in self._unchanged)
            self._unchanged.discard(claim.lane)
        claimed_alone = any(batch.losses for batch in claim.batches)
        if claim.size < self._budget(claim.lane) // 4 and not claimed_alone and not is_stopping():
            # A window costs much the same however small it is: let what trickles in gather for the next one.
            time.sleep(max(0.0, self.window_seconds - seconds))

    def _let_go(self, token: UUID, end: Callable[[UUID], object], is_stopping: Callable[[], bool]) -> None:
        """Once the database is back, end the lease. Mostly it is given back: an outage is no loss of a worker.

        Rescue waits one lease after an outage, so this comes first; where it does not, rescue does it.
        """
        until = time.monotonic() + _OUTAGE_PATIENCE
        while True:
            try:
                end(token)
            except (ServiceError, psycopg.OperationalError):
                # One try is due even when the worker stops: the database may be back.
                if is_stopping() or time.monotonic() > until:
                    return
                time.sleep(_OUTAGE_PAUSE)
            else:
                return

    def _budget(self, lane: str) -> int:
        return self._budgets.get(lane, _FIRST_WINDOW_BYTES)

    def _learn(self, claim: Claim, seconds: float, *, has_compared: bool) -> None:
        """Move the lane's budget towards what this window's speed allows: in steps, unless it is far too large."""
        budget = self._budget(claim.lane)
        size = min(claim.size, claim.work_bytes)
        # Of embedding alone: what commits and fetches take does not become less with the window.
        embedding = self.runner.embed_seconds
        is_far_too_long = embedding > _FAR_TOO_LONG * self.window_seconds
        is_telling = not has_compared and size >= min(_TELLING_BYTES, budget // 2)
        if not (is_telling or is_far_too_long) or (size > _MAX_WINDOW_BYTES and len(claim.batches) == 1):
            # So little work says more of the fixed cost of a window than of the speed, and one document that is
            # fetched or large says nothing of the others.
            return
        if is_far_too_long:
            wanted, least = min(int(size / embedding * self.window_seconds), budget), _MIN_WINDOW_BYTES
        else:
            measured = int(size / max(seconds, 0.001) * self.window_seconds)
            moved = min(max(measured, budget // 2), budget * 2)
            wanted, least = (budget + moved) // 2, min(budget, _STEADY_WINDOW_BYTES)
        self._budgets[claim.lane] = min(max(wanted, least), _MAX_WINDOW_BYTES)


class _Patience:
    """Whether the worker has been stopping for so many seconds."""

    def __init__(self, is_stopping: Callable[[], bool], seconds: float) -> None:
        self._is_stopping = is_stopping
        self._seconds = seconds
        self._since: float | None = None

    def __call__(self) -> bool:
        if not self._is_stopping():
            return False
        if self._since is None:
            self._since = time.monotonic()
        return time.monotonic() - self._since > self._seconds
