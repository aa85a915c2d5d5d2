"""What of a library's records reaches the log."""

from __future__ import annotations

import logging

import pytest

from indexmill.telemetry import OneInAWhile, set_up_logging


def record(text: str, *values: object) -> logging.LogRecord:
    return logging.LogRecord("psycopg.pool", logging.WARNING, "", 0, text, values, None)


def test_one_record_of_a_kind_passes_in_a_while_and_tells_of_those_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("indexmill.telemetry.time.monotonic", lambda: now)
    pools = OneInAWhile(30)
    assert pools.filter(record("error connecting: %s", "first"))
    assert not pools.filter(record("error connecting: %s", "second"))
    assert not pools.filter(record("error connecting: %s", "third"))
    assert pools.filter(record("discarding: %s", "another kind"))
    now += 31
    again = record("error connecting: %s", "fourth")
    assert pools.filter(again)
    assert again.getMessage() == "error connecting: fourth (and 2 more like it)"


@pytest.mark.parametrize("name", ["psycopg.pool", "indexmill.worker.waker"])
def test_setting_up_twice_filters_once_what_repeats_itself_in_an_outage(name: str) -> None:
    set_up_logging("info")
    set_up_logging("info")
    kinds = [type(each) for each in logging.getLogger(name).filters]
    assert kinds == [OneInAWhile]
