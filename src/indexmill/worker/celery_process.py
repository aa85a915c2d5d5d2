"""A Celery worker process: `python -m indexmill.worker.celery_process`, started and watched by a supervisor."""

from __future__ import annotations

import logging
import os
import sys
import warnings

from celery import signals
from celery.platforms import SecurityWarning

from indexmill.worker.celery_app import make_celery
from indexmill.worker.child import Inherited, inherit
from indexmill.worker.tasks import add_drain_task

__all__ = ["main"]


def main() -> None:
    inherited: Inherited = inherit()
    settings = inherited.settings
    # One process a core already: a tokenizer that starts threads of its own only takes turns with its neighbours.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    app = make_celery(settings)
    add_drain_task(app, settings, inherited.url, inherited.supervisor)
    signals.worker_ready.connect(lambda **_: inherited.report_ready(), weak=False)
    is_local = settings.celery.broker_mode == "local"
    logging.getLogger("celery").setLevel(logging.WARNING)
    # Celery warns of root because of pickled messages; only JSON is accepted here, and its content is ignored.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    # Not by Celery's command line: that loads every command, a shell and Flower before it starts a worker.
    worker = app.Worker(
        # prefork's control of its children wedges over the blocking local transport: there, a process a slot.
        pool_cls="solo" if is_local else "prefork",
        concurrency=inherited.slots,
        loglevel="WARNING",
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        # What Flower shows; where nobody listens the broker drops it. Nothing here reads it.
        task_events=True,
    )
    worker.start()
    sys.exit(worker.exitcode)


if __name__ == "__main__":
    main()
