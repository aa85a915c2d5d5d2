"""Outcomes: stored and read as they are, counted by status, and the end that follows from them."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.domain.job_state import END_REASONS, JobState, Reason
from indexmill.domain.outcome import (
    OUTCOME_DTYPE,
    Counters,
    ItemStatus,
    OutcomeArray,
    count,
    decode_outcomes,
    encode_outcomes,
    ending,
)

records = st.lists(
    st.tuples(st.sampled_from(ItemStatus), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), max_size=40
)
counters = st.builds(Counters, *(st.integers(0, 3) for _ in range(9)))


def array(of: list[tuple[ItemStatus, int, int]]) -> OutcomeArray:
    return np.array(of, dtype=OUTCOME_DTYPE)


@given(records)
def test_outcomes_come_back_as_they_were_stored(of: list[tuple[ItemStatus, int, int]]) -> None:
    stored = encode_outcomes(array(of))
    assert len(stored) == 9 * len(of)
    assert decode_outcomes(stored, len(of)).tolist() == [tuple(each) for each in of]


def test_read_outcomes_can_be_written_to() -> None:
    read = decode_outcomes(encode_outcomes(array([(ItemStatus.FAILED, 0, 0)])), 1)
    read[0] = (ItemStatus.INDEXED, 1, 2)
    assert read["status"].tolist() == [ItemStatus.INDEXED]


def test_a_batch_that_never_ended_has_open_outcomes() -> None:
    assert decode_outcomes(None, 3)["status"].tolist() == [ItemStatus.OPEN] * 3


@given(records, st.integers(0, 9))
def test_counters_are_the_sums_of_the_outcomes(of: list[tuple[ItemStatus, int, int]], embedded: int) -> None:
    counted = count(array(of), embedded)
    for status in ItemStatus:
        if status is not ItemStatus.OPEN:
            assert getattr(counted, status.name.lower()) == sum(each[0] is status for each in of)
    assert counted.finished == sum(each[0] is not ItemStatus.OPEN for each in of)
    assert (counted.chunks, counted.embedded) == (sum(each[1] for each in of), embedded)
    assert counted.tokens == sum(each[2] for each in of)


@given(counters, counters)
def test_counters_add_up_field_by_field(one: Counters, two: Counters) -> None:
    both = one + two
    assert all(getattr(both, f.name) == getattr(one, f.name) + getattr(two, f.name) for f in fields(Counters))
    assert both.finished == one.finished + two.finished


@pytest.mark.parametrize(
    ("counted", "state", "reason"),
    [
        (Counters(), JobState.SUCCEEDED, Reason.NOTHING_CHANGED),
        (Counters(indexed=1), JobState.SUCCEEDED, Reason.COMPLETE),
        (Counters(payload_updated=1), JobState.SUCCEEDED, Reason.COMPLETE),
        (Counters(removed=1, absent=1), JobState.SUCCEEDED, Reason.COMPLETE),
        (Counters(unchanged=2), JobState.SUCCEEDED, Reason.NOTHING_CHANGED),
        (Counters(absent=2), JobState.SUCCEEDED, Reason.NOTHING_CHANGED),
        (Counters(unchanged=1, superseded=1), JobState.SUCCEEDED, Reason.NOTHING_CHANGED),
        (Counters(indexed=1, failed=1), JobState.SUCCEEDED, Reason.WITH_FAILURES),
        (Counters(unchanged=1, failed=1), JobState.SUCCEEDED, Reason.WITH_FAILURES),
        (Counters(failed=1), JobState.FAILED, Reason.BY_ITEMS),
        (Counters(failed=1, superseded=5), JobState.FAILED, Reason.BY_ITEMS),
        (Counters(cancelled=2), JobState.CANCELLED, Reason.BY_REQUEST),
        (Counters(cancelled=2, unchanged=1), JobState.SUCCEEDED, Reason.NOTHING_CHANGED),
        (Counters(superseded=2), JobState.CANCELLED, Reason.SUPERSEDED),
    ],
)
def test_how_a_job_ends(counted: Counters, state: JobState, reason: Reason) -> None:
    end = ending(counted)
    assert (end.state, end.reason) == (state, reason)


@given(counters)
def test_every_end_is_one_that_the_ledger_allows(counted: Counters) -> None:
    end = ending(counted)
    assert end.reason in END_REASONS[end.state]
    assert (end.state is JobState.SUCCEEDED) == (
        counted.kept > 0 or not (counted.failed or counted.cancelled or counted.superseded)
    )
