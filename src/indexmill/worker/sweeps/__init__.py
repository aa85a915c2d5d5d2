"""The periodic duties. Each is idempotent, does a bounded amount a turn, and says in its module what it repairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from indexmill.domain.callback import Compose
from indexmill.ledger.ledger import Ledger
from indexmill.settings import Settings

__all__ = ["Sweep", "all_sweeps", "callback_sweeps"]


@dataclass(frozen=True)
class Sweep:
    """`run` is called every `seconds` by one process of all."""

    name: str
    seconds: float
    run: Callable[[], object]


def all_sweeps(ledger: Ledger, seconds: float, top_up: Callable[[], object]) -> list[Sweep]:
    """Every duty of the ledger's own; `seconds` is the interval of the quick ones, `top_up` what wakes workers."""
    from indexmill.worker.sweeps import end_withdrawn, finish, give_up_lanes, prune, rescue, wake

    return [
        rescue.sweep(ledger, seconds, top_up),
        wake.sweep(ledger, seconds, top_up),
        finish.sweep(ledger, seconds),
        give_up_lanes.sweep(ledger, 5 * seconds),
        end_withdrawn.sweep(ledger, 5 * seconds),
        prune.sweep(ledger),
    ]


def callback_sweeps(ledger: Ledger, settings: Settings, compose: Compose) -> list[Sweep]:
    """The duty that talks to a broker that is not ours; `compose` makes the messages."""
    from indexmill.worker.sweeps import callbacks

    found = callbacks.sweep(ledger, settings, compose)
    return [found] if found is not None else []
