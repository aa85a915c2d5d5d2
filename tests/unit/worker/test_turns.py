"""Whose turn it is between tenants, and how long anybody waits."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from indexmill.ledger.claims import LaneHead, is_claimed_alone
from indexmill.worker.turns import Turns

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def head(tenant: int, seconds: float = 0, *, weight: float = 1.0, lane: str = "whole", waited: float = 0) -> LaneHead:
    return LaneHead(f"{tenant}/m/{lane}", NOW + timedelta(seconds=seconds), waited, tenant, weight)


def served(turns: Turns, heads: list[LaneHead], windows: int) -> list[int]:
    found, current = [], None
    for _ in range(windows):
        chosen = turns.next(heads, current)
        assert chosen is not None
        turns.took(chosen)
        current = chosen.lane
        found.append(chosen.tenant)
    return found


def test_without_work_it_is_nobodys_turn() -> None:
    assert Turns().next([], "1/m/whole") is None


def test_two_tenants_take_turns_whatever_their_ranks() -> None:
    assert served(Turns(), [head(1, 0), head(2, 9_999)], 6) == [1, 2, 1, 2, 1, 2]


def test_who_comes_is_next_however_long_the_other_has_been_served() -> None:
    turns = Turns()
    served(turns, [head(1)], 500)
    assert served(turns, [head(1), head(2, 9_999)], 2) == [2, 1]


def test_who_had_nothing_to_do_has_saved_nothing_up() -> None:
    turns = Turns()
    served(turns, [head(1), head(2)], 2)
    served(turns, [head(1)], 500)
    assert Counter(served(turns, [head(1), head(2)], 10)) == {1: 5, 2: 5}


def test_weights_share_the_windows() -> None:
    turns = Turns()
    shares = Counter(served(turns, [head(1, weight=3), head(2, weight=1), head(3, weight=0.5)], 90))
    assert shares[1] == 60
    assert shares[2] == 20
    assert shares[3] == 10


def test_the_lanes_of_a_tenant_go_by_rank() -> None:
    heads = [head(2, 5, lane="b", waited=1), head(2, 1, lane="a", waited=1)]
    chosen = Turns().next(heads, None)
    assert chosen is not None
    assert chosen.lane == "2/m/a"


def test_a_long_list_of_tenants_is_served_round_and_round() -> None:
    heads = [head(tenant, tenant) for tenant in range(1, 51)]
    turns = Turns()
    assert sorted(served(turns, heads, 50)) == list(range(1, 51))
    assert sorted(served(turns, heads, 50)) == list(range(1, 51))


def test_lanes_whose_batches_are_claimed_alone_are_known_by_their_form() -> None:
    alone = ("scan", "7/scan", "structural", "7/structural")
    assert all(is_claimed_alone(each) for each in alone)
    assert not any(
        is_claimed_alone(each) for each in ("delete", "7/delete", "1/7/scan", "1/scan/whole", "x/structural")
    )
