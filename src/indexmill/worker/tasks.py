"""The one Celery task: drain. What it needs is built at its first run, in the process that runs it, after any fork."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from dataclasses import dataclass
from typing import Any

from celery import Celery, signals
from celery.worker import state as celery_state

from indexmill.domain.job import BatchWork
from indexmill.ledger.ledger import open_ledger
from indexmill.models.model_cache import ModelCache
from indexmill.pipeline.read_documents import open_document_reader
from indexmill.pipeline.rebuild import Rebuild
from indexmill.pipeline.replace_attributes import ReplaceAttributes
from indexmill.pipeline.run_window import WindowRunner
from indexmill.pipeline.scan import SourceScan
from indexmill.settings import Settings
from indexmill.vectors.pgvector_store import PgvectorStore
from indexmill.vectors.vector_index import open_indexes
from indexmill.worker.celery_app import DRAIN_TASK
from indexmill.worker.drain import Drain
from indexmill.worker.pulse import Pulse
from indexmill.worker.watchdog import Watchdog

__all__ = ["add_drain_task"]

_log = logging.getLogger(__name__)
#: Connections of a worker process: the window's, the pulse's, one spare.
_POOL_SIZE = 3


@dataclass
class _Stopping:
    """Whether this worker is to stop: a flag in memory shared by Celery's process and the ones it forks."""

    flag: Any

    def __call__(self) -> bool:
        return bool(self.flag.value) or celery_state.should_stop is not None

    def set(self, *_: object, **__: object) -> None:
        self.flag.value = 1


def add_drain_task(app: Celery, settings: Settings, url: str, supervisor: str) -> None:
    """Register the task. `supervisor` is the prefix of this process's name in leases."""
    stopping = _Stopping(multiprocessing.get_context("fork").Value("b", 0, lock=False))
    # Celery's warm stop tells its tasks nothing; the drain reads the flag before each claim.
    signals.worker_shutting_down.connect(stopping.set, weak=False)
    drains: dict[int, Drain] = {}

    def drain() -> None:
        process = os.getpid()
        if process not in drains:
            drains.clear()
            drains[process] = _build(settings, url, f"{supervisor}/{process}")
            if process != parent:
                # Only a flag: an exception raised inside COMMIT would leave its outcome in doubt.
                signal.signal(signal.SIGTERM, stopping.set)
        if drains[process].run(stopping):
            app.send_task(DRAIN_TASK, retry=False)

    parent = os.getpid()
    app.task(drain, name=DRAIN_TASK)


def _build(settings: Settings, url: str, name: str) -> Drain:
    ledger = open_ledger(url, settings, pool_size=_POOL_SIZE)
    worker = settings.worker
    pulse = Pulse(ledger.leases, worker.renew_seconds)
    pulse.start()
    # Later than the lease's deadline, so that the ledger already calls it that.
    watchdog = Watchdog(worker.window_deadline_seconds + 1)
    documents = open_document_reader(settings, ledger)
    vectors = PgvectorStore(ledger.database)
    runner = WindowRunner(
        ledger=ledger,
        vectors=vectors,
        models=ModelCache(),
        documents=documents,
        scan=SourceScan(ledger, documents.data_sources),
        structural={
            BatchWork.REBUILD: Rebuild(ledger, vectors, open_indexes(ledger, settings), settings.search),
            BatchWork.REPLACE: ReplaceAttributes(ledger, vectors.attribute_sets),
        },
        worker=name,
        max_tries=worker.max_tries,
        max_text_bytes=worker.max_text_bytes,
        deadline_seconds=worker.window_deadline_seconds,
        restart_deadline=watchdog.arm,
    )
    _log.info("worker process %s is ready", name)
    return Drain(ledger, runner, pulse, watchdog, worker.drain_seconds, worker.window_seconds)
