"""Job ids are UUIDs of version 7 that only grow; every front door's dress of them is understood."""

from __future__ import annotations

import threading
import time
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexmill.domain.identifier import new_job_id, new_token, parse_job_id


def test_ids_are_version_7_with_the_time_in_front() -> None:
    before = time.time_ns() // 1_000_000
    made = new_job_id()
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000 + 1


def test_ids_grow_also_within_one_tick_and_when_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    last = new_job_id()
    for ns in (time.time_ns(), time.time_ns(), time.time_ns() - 10**12):
        monkeypatch.setattr(time, "time_ns", lambda ns=ns: ns)
        for _ in range(5000):
            made = new_job_id()
            assert made > last
            last = made


def test_ids_of_many_threads_are_all_different() -> None:
    made: list[UUID] = []
    threads = [threading.Thread(target=lambda: made.extend(new_job_id() for _ in range(500))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(set(made)) == 4000


def test_tokens_are_random() -> None:
    assert len({new_token() for _ in range(1000)}) == 1000
    assert new_token().version == 4


@given(st.uuids(), st.sampled_from(["", "task_", "job_"]))
def test_an_id_is_understood_in_every_dress(job_id: UUID, dress: str) -> None:
    assert parse_job_id(f"{dress}{job_id}") == job_id


@pytest.mark.parametrize("reference", ["", "upsert-001", "task_", "task_x", "job_1", "6f1c", "x" * 36, "ü" * 32])
def test_what_is_no_id_is_none(reference: str) -> None:
    assert parse_job_id(reference) is None
