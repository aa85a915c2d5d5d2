"""Whose turn it is: tenants by weighted round robin, the lanes of one by rank."""

from __future__ import annotations

from dataclasses import dataclass, field

from indexmill.ledger.claims import LaneHead

__all__ = ["Turns", "next_lane"]

#: The loaded model's lane is kept while no other of its tenant has waited longer.
_OTHER_LANE_PATIENCE = 0.2


@dataclass
class Turns:
    """What one worker process has given to each tenant that waits: a window costs a tenant 1 / weight.

    A window, not its time or bytes: whoever had a long one is not made to wait for many short ones. Each process counts
    for itself, so nothing is written; together they are as fair as each is.
    """

    _given: dict[int, float] = field(default_factory=dict)
    _last: int | None = None

    def next(self, heads: list[LaneHead], current: str | None) -> LaneHead | None:
        """The head of the lane to claim from; `current`: the lane of the last claim."""
        if not heads:
            return None
        waiting = {head.tenant for head in heads}
        known = [given for tenant, given in self._given.items() if tenant in waiting]
        floor = min(known, default=0.0)
        # Who comes, or comes back, has nothing saved up from when it had no work.
        self._given = {tenant: self._given.get(tenant, floor) for tenant in waiting}
        first = {tenant: min(head.rank for head in heads if head.tenant == tenant) for tenant in waiting}
        chosen = min(waiting, key=lambda tenant: (self._given[tenant], tenant == self._last, first[tenant], tenant))
        own = [head for head in heads if head.tenant == chosen]
        lane = next_lane(own, current)
        return next(head for head in own if head.lane == lane)

    def took(self, head: LaneHead) -> None:
        """A window of this lane was claimed."""
        self._given[head.tenant] = self._given.get(head.tenant, 0.0) + 1 / head.weight
        self._last = head.tenant


def next_lane(heads: list[LaneHead], current: str | None) -> str | None:
    """One tenant's: the current one while no other has waited, else the one whose rank comes first."""
    if not heads:
        return None
    others_wait = any(head.waited > _OTHER_LANE_PATIENCE for head in heads if head.lane != current)
    if any(head.lane == current for head in heads) and not others_wait:
        return current
    return min(heads, key=lambda head: head.rank).lane
