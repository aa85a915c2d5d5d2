"""The one table of how engine states look at this door, and of which kinds of job it has a name for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from indexmill.domain.job import Job
from indexmill.domain.job_state import JobState

__all__ = ["V1_STATES", "V1_TYPES", "V2_STATES", "JobType", "StateNames", "job_type", "names_of", "states_named"]


@dataclass(frozen=True)
class StateNames:
    """A state as the first version of the API calls it, with its number, and as the second one does."""

    v1: str
    number: int
    v2: str


_UNKNOWN: Final = StateNames("JOB_STATE__UNKNOWN", 0, "unknown")
_QUEUED: Final = StateNames("JOB_STATE__QUEUED", 5, "queued")
_STARTED: Final = StateNames("JOB_STATE__STARTED", 10, "started")
_COMPLETED: Final = StateNames("JOB_STATE__COMPLETED", 15, "completed")
_FAILED: Final = StateNames("JOB_STATE__FAILED", 20, "failed")
_RETRYING: Final = StateNames("JOB_STATE__TRANSIENT_FAILURE_RETRY_IMMINENT", 25, "failed_will_retry")
_ABORTED: Final = StateNames("JOB_STATE__ABORTED", 30, "aborted")

#: Jobs that are still being received are listed nowhere.
_NAMES: Final = {
    JobState.QUEUED: _QUEUED,
    JobState.RUNNING: _STARTED,
    JobState.RETRYING: _RETRYING,
    JobState.SUCCEEDED: _COMPLETED,
    JobState.FAILED: _FAILED,
    JobState.CANCELLED: _ABORTED,
    JobState.REFUSED: _FAILED,
}
_ALL: Final = (_UNKNOWN, _QUEUED, _STARTED, _COMPLETED, _FAILED, _RETRYING, _ABORTED)
#: Name -> number.
V1_STATES: Final = {each.v1: each.number for each in _ALL}
V2_STATES: Final = tuple(each.v2 for each in _ALL)


@dataclass(frozen=True)
class JobType:
    v1: str
    v2: str


_OTHER: Final = JobType("JOB__UNKNOWN", "unknown")
#: By the word of the job's kind. The others are of other doors: `kind` tells them apart.
_TYPES: Final = {
    "rebuild": JobType("JOB__CORPUS_REBUILD_VECTOR_INDEX", "rebuild_vector_index"),
    "replace_filter_attributes": JobType("JOB__CORPUS_REPLACE_FILTER_ATTRS", "replace_filter_attributes"),
    "deletion": JobType(_OTHER.v1, "bulk_delete_documents"),
}
V1_TYPES: Final = {_OTHER.v1: 0, _TYPES["rebuild"].v1: 1, _TYPES["replace_filter_attributes"].v1: 2}


def names_of(job: Job) -> StateNames:
    return _NAMES.get(job.state, _UNKNOWN)


def job_type(job: Job) -> JobType:
    return _TYPES.get(str(job.kind), _OTHER)


def states_named(names: Iterable[str]) -> tuple[JobState, ...]:
    """The engine's states that have one of these names, of either version; none has the name of the unknown one."""
    wanted = set(names)
    return tuple(state for state, each in _NAMES.items() if {each.v1, each.v2} & wanted)
