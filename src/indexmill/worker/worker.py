"""`indexmill worker`: more workers, on any host, for the service whose settings they share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from indexmill.domain.callback import Compose
from indexmill.ledger.ledger import Ledger, open_ledger
from indexmill.ledger.location import database_url
from indexmill.settings import Settings
from indexmill.sources.spool import open_spool
from indexmill.sources.start_check import check_sources
from indexmill.sources.uri import open_sources
from indexmill.telemetry import set_up_logging
from indexmill.worker.fleet import Fleet
from indexmill.worker.sweep_loop import SweepLoop
from indexmill.worker.sweeps import all_sweeps, callback_sweeps, index_sweeps
from indexmill.worker.waker import Waker
from indexmill.worker.watch import stop_signal

__all__ = ["run_worker"]

_TICK_SECONDS = 0.1


def run_worker(settings: Settings, processes: int, compose_with: Callable[[Ledger], Compose]) -> int:
    """Run so many windows at once until SIGTERM or SIGINT. The exit code. `compose_with`: what makes callbacks.

    Raises:
        ServiceError: no database is configured and no embedded one runs.
        SettingsError: the data folder or the spool cannot be used.
    """
    set_up_logging(settings.log_level)
    with ExitStack() as stack:
        stop = stack.enter_context(stop_signal())
        url = database_url(settings)
        check_sources(settings)
        ledger = open_ledger(url, settings, pool_size=6)
        stack.callback(ledger.database.close)
        waker = Waker(settings, ledger.workload)
        stack.callback(waker.stop)
        duties = all_sweeps(ledger, settings, waker.top_up, open_spool(settings), open_sources(settings))
        sweeps = SweepLoop(ledger.sweeps, duties)
        sweeps.start()
        stack.callback(sweeps.stop)
        calling = SweepLoop(ledger.sweeps, callback_sweeps(ledger, settings, compose_with(ledger)), "callbacks")
        calling.start()
        stack.callback(calling.stop)
        indexing = SweepLoop(ledger.sweeps, index_sweeps(ledger, settings), "indexes")
        indexing.start()
        stack.callback(indexing.stop)
        fleet = Fleet(settings, url, ledger, processes)
        stack.callback(fleet.stop)
        while not stop.wait(_TICK_SECONDS):
            fleet.look_after()
    return 0
