"""The metrics: read from the ledger when asked for, so that every process gives the same answer."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from indexmill.errors import ServiceError
from indexmill.ledger.workload import Workload

__all__ = ["LedgerCollector", "metrics_text"]


class LedgerCollector(Collector):
    """Metrics that are the same whichever process answers: the ledger knows them."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("indexmill_ledger_up", "1 while the ledger answers")
        try:
            families = list(self._read())
        except (psycopg.Error, ServiceError):
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from families

    def _read(self) -> Iterator[Metric]:
        jobs = GaugeMetricFamily("indexmill_open_jobs", "Unfinished jobs", labels=["kind", "state"])
        for row in self._workload.job_counts():
            jobs.add_metric([row["kind"], row["state"]], row["jobs"])
        yield jobs
        ready = self._workload.ready()
        yield GaugeMetricFamily("indexmill_ready_batches", "Batches that could be claimed now", value=ready.batches)
        yield GaugeMetricFamily(
            "indexmill_ready_wait_seconds", "How long the longest waiting of them has been ready", value=ready.waited
        )
        yield GaugeMetricFamily("indexmill_worker_slots", "Windows that can run at once", value=ready.slots)
        yield GaugeMetricFamily(
            "indexmill_waiting_callbacks",
            "Callbacks that are not delivered yet",
            value=self._workload.waiting_callbacks(),
        )
        builds = GaugeMetricFamily(
            "indexmill_index_build_progress", "Vector indexes that are being built, 0 to 1", labels=["collection"]
        )
        for row in self._workload.index_builds():
            builds.add_metric([row["name"]], row["done"])
        yield builds
        failures = CounterMetricFamily(
            "indexmill_login_failures",
            "Credentials that opened nothing (refused), or were not looked at after too many of these (throttled)",
            labels=["what"],
        )
        for what, count in self._workload.login_failures().items():
            failures.add_metric([what], count)
        yield failures
        totals = self._workload.totals()
        yield CounterMetricFamily("indexmill_windows", "Windows committed", value=totals["windows"])
        yield CounterMetricFamily("indexmill_items", "Items decided", value=totals["items"])
        yield CounterMetricFamily("indexmill_embedded", "Texts that a model embedded", value=totals["embedded"])
        yield CounterMetricFamily("indexmill_tokens", "Tokens that a model embedded", value=totals["tokens"])


def metrics_text(workload: Workload) -> bytes:
    """Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(LedgerCollector(workload))
    return generate_latest(registry)
