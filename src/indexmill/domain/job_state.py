"""The job's states, its named transitions and the reasons for ending: `docs/job_lifecycle.md` draws them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "END_REASONS",
    "OPEN_STATES",
    "TERMINAL_STATES",
    "TRANSITIONS",
    "BatchState",
    "JobState",
    "Reason",
    "Transition",
]


class JobState(StrEnum):
    #: Items are still arriving; nobody sees the job and no worker claims it.
    RECEIVING = "receiving"
    #: Durable and waiting for a worker.
    QUEUED = "queued"
    #: At least one batch was claimed.
    RUNNING = "running"
    #: Every open batch waits for another try.
    RETRYING = "retrying"
    #: Ended: no items, or at least one item is as the request wants it.
    SUCCEEDED = "succeeded"
    #: Ended: no item is as the request wants it, or the system gave up.
    FAILED = "failed"
    #: Ended: by request, or because later jobs superseded every item.
    CANCELLED = "cancelled"
    #: Ended before it began: the system would not take it to work.
    REFUSED = "refused"


class BatchState(StrEnum):
    #: Claimable.
    READY = "ready"
    #: Claimable again when `available_at` has passed.
    WAITING = "waiting"
    #: Held by the lease whose token it carries.
    RUNNING = "running"
    #: Its outcomes are final for this attempt.
    DONE = "done"
    #: Closed without having run to its end.
    CANCELLED = "cancelled"


class Reason(StrEnum):
    #: succeeded: at least one vector or payload was written or removed, none failed.
    COMPLETE = "complete"
    #: succeeded: every item was unchanged, absent or superseded, or there were none.
    NOTHING_CHANGED = "nothing_changed"
    #: succeeded, though some items failed.
    WITH_FAILURES = "with_failures"
    #: failed: its items failed.
    BY_ITEMS = "by_items"
    #: failed: the model, the lane or a limit, not the items.
    SYSTEM = "system"
    #: cancelled: somebody asked.
    BY_REQUEST = "by_request"
    #: cancelled: every item was superseded by later jobs.
    SUPERSEDED = "superseded"
    #: refused: the model was withdrawn before the job began.
    WITHDRAWN = "withdrawn"


TERMINAL_STATES = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.REFUSED})
_OPEN = (JobState.QUEUED, JobState.RUNNING, JobState.RETRYING)
OPEN_STATES = frozenset(_OPEN)


@dataclass(frozen=True)
class Transition:
    """One allowed step: `name` is the ledger's method, `origins` the states its SQL guards."""

    name: str
    origins: tuple[JobState, ...]
    target: JobState


TRANSITIONS: tuple[Transition, ...] = (
    Transition("queue", (JobState.RECEIVING,), JobState.QUEUED),
    Transition("start", (JobState.QUEUED,), JobState.RUNNING),
    Transition("wait", (JobState.RUNNING,), JobState.RETRYING),
    Transition("resume", (JobState.RETRYING,), JobState.RUNNING),
    Transition("succeed", _OPEN, JobState.SUCCEEDED),
    Transition("fail", _OPEN, JobState.FAILED),
    Transition("cancel", _OPEN, JobState.CANCELLED),
    Transition("refuse", (JobState.QUEUED,), JobState.REFUSED),
    Transition(
        "retry",
        (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.REFUSED),
        JobState.QUEUED,
    ),
    Transition("rerun", (JobState.SUCCEEDED,), JobState.QUEUED),
)

#: Which reasons an ended job may carry; the SQL CHECK holds the same pairs.
END_REASONS: dict[JobState, frozenset[Reason]] = {
    JobState.SUCCEEDED: frozenset({Reason.COMPLETE, Reason.NOTHING_CHANGED, Reason.WITH_FAILURES}),
    JobState.FAILED: frozenset({Reason.BY_ITEMS, Reason.SYSTEM}),
    JobState.CANCELLED: frozenset({Reason.BY_REQUEST, Reason.SUPERSEDED}),
    JobState.REFUSED: frozenset({Reason.WITHDRAWN}),
}
