"""What a drain does between claims: whose lane it is, how large the next window may be, when it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from indexmill.domain.job import JobKind
from indexmill.errors import ServiceError
from indexmill.ledger.claims import Claim, ClaimedBatch, LaneHead
from indexmill.pipeline.run_window import WindowOutcome
from indexmill.worker import drain as drain_module
from indexmill.worker.drain import Drain
from indexmill.worker.turns import next_lane

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def head(lane: str, seconds: float, waited: float = 0.0) -> LaneHead:
    return LaneHead(lane, NOW + timedelta(seconds=seconds), waited)


def claim(size: int, losses: int = 0) -> Claim:
    batch = ClaimedBatch(
        job=uuid4(), ordinal=0, kind=JobKind.UPSERTION, seq=1, force=False, tenant=1, model="m", collection=1,
        first_position=0, items=1, size=size, tries=0, losses=losses, set_aside=(), outcomes=None, body=b"[]",
    )  # fmt: skip
    return Claim(uuid4(), "lane", [batch])


class FakeParts:
    """The parts a drain calls, in memory: it hands out the given claims, one a call."""

    def __init__(self, claims: list[Claim], outcome: WindowOutcome | Exception = WindowOutcome.DONE) -> None:
        self.claims = list(claims)
        self.outcome = outcome
        self.given_back: list[UUID] = []
        self.lost: list[UUID] = []
        self.fails_to_give_back = 0
        self.asked_bytes: list[int] = []
        self.kept_bytes: list[int | None] = []
        self.worker = "test"
        self.embed_seconds = 0.0

    def lane_heads(self) -> list[LaneHead]:
        return [head("lane", 0)] if self.claims else []

    def claim(self, lane: str, worker: str, max_bytes: int, work_bytes: int | None = None) -> Claim | None:
        self.asked_bytes.append(max_bytes)
        self.kept_bytes.append(work_bytes)
        return self.claims.pop(0)

    def run(self, *_: Any) -> WindowOutcome:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def lose(self, token: UUID) -> None:
        self.lost.append(token)

    def give_back(self, token: UUID) -> None:
        self.given_back.append(token)
        if len(self.given_back) <= self.fails_to_give_back:
            raise ServiceError("database: away")

    def hold(self, token: Any) -> None: ...
    def is_held(self) -> bool:
        return True

    def arm(self) -> None: ...
    def disarm(self) -> None: ...


def drain_of(parts: FakeParts, window_seconds: float = 0.1) -> Drain:
    any_parts: Any = parts
    ledger: Any = SimpleNamespace(claims=parts, leases=parts)
    return Drain(ledger, any_parts, any_parts, any_parts, drain_seconds=5, window_seconds=window_seconds)


def test_the_current_lane_is_kept_while_no_other_has_waited() -> None:
    assert next_lane([head("other", 0, waited=0.1), head("mine", 5)], "mine") == "mine"


def test_a_lane_that_has_waited_gets_its_turn_by_rank() -> None:
    assert next_lane([head("other", 0, waited=0.3), head("mine", 5)], "mine") == "other"
    assert next_lane([head("other", 9, waited=0.3), head("mine", 5)], "mine") == "mine"


def test_without_ready_work_there_is_no_lane() -> None:
    assert next_lane([], "mine") is None


def test_a_drain_ends_when_nothing_is_ready_and_asks_for_no_successor() -> None:
    parts = FakeParts([claim(300_000), claim(300_000)])
    assert drain_of(parts).run(lambda: False) is False
    assert parts.claims == []


def test_a_drain_whose_time_is_up_asks_for_a_successor() -> None:
    parts = FakeParts([claim(300_000)])
    drain = drain_of(parts)
    drain.drain_seconds = -1
    assert drain.run(lambda: False) is True
    assert len(parts.claims) == 1


def test_a_stopping_worker_claims_nothing() -> None:
    parts = FakeParts([claim(300_000)])
    assert drain_of(parts).run(lambda: True) is False
    assert len(parts.claims) == 1


def test_windows_grow_while_they_are_quicker_than_wanted_at_most_by_half_each_time() -> None:
    parts = FakeParts([claim(300_000) for _ in range(4)])
    drain_of(parts).run(lambda: False)
    first, *later = parts.asked_bytes
    assert later == sorted(later)
    assert all(after <= 1.5 * before for before, after in zip(parts.asked_bytes, later, strict=False))
    assert later[-1] > first


def test_a_window_that_takes_far_too_long_is_the_last_of_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tenants wait for a window: with a slow model thousands of short texts would be half a minute."""
    now = [0.0]
    monkeypatch.setattr(drain_module, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=lambda _: None))

    class SlowParts(FakeParts):
        def claim(self, lane: str, worker: str, max_bytes: int, work_bytes: int | None = None) -> Claim | None:
            super().claim(lane, worker, max_bytes, work_bytes)
            # At least one batch, of 14,000 bytes.
            return claim(max(14_000, max_bytes))

        def run(self, given: Claim, *_: Any) -> WindowOutcome:
            # 50 bytes a text, and five milliseconds each.
            self.embed_seconds = given.size / 50 * 0.005
            now[0] += self.embed_seconds
            return WindowOutcome.DONE

    parts = SlowParts([claim(1) for _ in range(4)])
    drain = drain_of(parts)
    drain.drain_seconds = 1000
    drain.run(lambda: False)
    assert parts.asked_bytes[0] <= 64 * 1024
    assert parts.asked_bytes[1:] == [drain_module._MIN_WINDOW_BYTES] * 3
    assert drain_module._MIN_WINDOW_BYTES < 14_000


def test_what_commits_and_fetches_take_makes_no_window_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small a window is, they take as long: smaller ones would only be more of them."""
    now = [0.0]
    monkeypatch.setattr(drain_module, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=lambda _: None))

    class SlowCommits(FakeParts):
        def run(self, given: Claim, *_: Any) -> WindowOutcome:
            self.embed_seconds = 0.01
            now[0] += 2.0
            return WindowOutcome.DONE

    parts = SlowCommits([claim(60_000) for _ in range(6)])
    drain = drain_of(parts)
    drain.drain_seconds = 1000
    drain.run(lambda: False)
    assert parts.asked_bytes == [64 * 1024] * 6


def test_a_slow_model_is_noticed_after_a_comparison_too() -> None:
    parts = FakeParts([claim(60_000) for _ in range(3)], WindowOutcome.UNCHANGED)
    drain = drain_of(parts)

    def run(*_: Any) -> WindowOutcome:
        parts.embed_seconds = 0.0 if len(parts.claims) == 2 else 5.0
        return WindowOutcome.UNCHANGED if len(parts.claims) == 2 else WindowOutcome.DONE

    parts.run = run  # type: ignore[method-assign]  # of this one window after the other says something else
    drain.run(lambda: False)
    first, compared, after = parts.asked_bytes
    assert compared > first
    assert after == drain_module._MIN_WINDOW_BYTES


def test_small_windows_that_take_a_little_too_long_do_not_become_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they take is mostly the fixed cost of a window: smaller ones would only be more of them."""
    now = [0.0]
    monkeypatch.setattr(drain_module, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=lambda _: None))

    class SmallParts(FakeParts):
        def run(self, given: Claim, *_: Any) -> WindowOutcome:
            now[0] += 0.15
            return WindowOutcome.DONE

    parts = SmallParts([claim(size) for size in (5_000, 15_000, 20_000, 60_000, 5_000)])
    drain = drain_of(parts)
    drain.drain_seconds = 1000
    drain.run(lambda: False)
    assert parts.asked_bytes == [64 * 1024] * 5


@pytest.mark.parametrize("outcome", [WindowOutcome.DEFERRED, WindowOutcome.LOST, WindowOutcome.STOPPED])
def test_a_window_that_did_not_commit_teaches_nothing(outcome: WindowOutcome) -> None:
    parts = FakeParts([claim(300_000) for _ in range(3)], outcome)
    drain_of(parts).run(lambda: False)
    assert len(set(parts.asked_bytes)) == 1


def test_where_nothing_had_changed_the_next_window_compares_more_and_keeps_what_it_can_embed() -> None:
    parts = FakeParts([claim(300_000) for _ in range(4)], WindowOutcome.UNCHANGED)
    drain = drain_of(parts)
    drain.run(lambda: False)
    first, *later = parts.asked_bytes
    assert parts.kept_bytes == [None, first, first, first], "comparing teaches nothing of embedding"
    assert all(each == 8 * first for each in later)
    parts.claims, parts.outcome = [claim(300_000) for _ in range(2)], WindowOutcome.DONE
    drain.run(lambda: False)
    assert parts.asked_bytes[4:] == [8 * first, first]


# The database goes away


def abandoned(error: Exception) -> ServiceError:
    """What a window ends with whose commit was repeated until its deadline."""
    outer = ServiceError("database: expected the window to commit before its deadline, it did not")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    "error",
    [
        psycopg.OperationalError("the connection is lost"),
        abandoned(psycopg.errors.AdminShutdown("terminated")),
        abandoned(abandoned(psycopg.OperationalError("no connection"))),
        abandoned(psycopg.errors.LockNotAvailable("somebody else's lock")),
    ],
)
def test_a_window_that_an_outage_interrupted_is_given_back(error: Exception) -> None:
    mine = claim(300_000)
    parts = FakeParts([mine], error)
    drain_of(parts).run(lambda: False)
    assert parts.given_back == [mine.token]


def test_a_window_whose_own_statement_takes_too_long_is_counted_as_lost() -> None:
    """Given back uncounted it would come again and again, for ever."""
    mine = claim(300_000)
    parts = FakeParts([mine], abandoned(psycopg.errors.QueryCanceled("statement timeout")))
    drain_of(parts).run(lambda: False)
    assert (parts.lost, parts.given_back) == ([mine.token], [])


def test_giving_back_is_repeated_until_the_database_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain_module, "_OUTAGE_PAUSE", 0.001)
    parts = FakeParts([claim(300_000)], ServiceError("away"))
    parts.fails_to_give_back = 5
    drain_of(parts).run(lambda: False)
    assert len(parts.given_back) == 6


@pytest.mark.parametrize("is_back", [True, False])
def test_a_worker_that_stops_in_an_outage_still_gives_back_once(is_back: bool) -> None:
    parts = FakeParts([claim(300_000)], ServiceError("away"))
    parts.fails_to_give_back = 0 if is_back else 100
    stopping: list[bool] = []

    def is_stopping() -> bool:
        stopping.append(True)
        # SIGTERM comes while the window runs.
        return len(stopping) > 1

    drain_of(parts).run(is_stopping)
    assert len(parts.given_back) == 1


def test_a_drain_ends_quietly_while_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = FakeParts([claim(300_000)])

    def fail() -> list[LaneHead]:
        raise ServiceError("database: away")

    monkeypatch.setattr(parts, "lane_heads", fail)
    assert drain_of(parts).run(lambda: False) is False
