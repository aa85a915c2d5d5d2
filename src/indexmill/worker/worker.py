"""`indexmill worker`: more workers, on any host, for the service whose settings they share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from indexmill.domain.callback import Compose
from indexmill.ledger.ledger import Ledger, open_ledger
from indexmill.ledger.location import database_url
from indexmill.settings import Settings
from indexmill.telemetry import set_up_logging
from indexmill.worker.fleet import Fleet
from indexmill.worker.sweep_loop import SweepLoop
from indexmill.worker.sweeps import all_sweeps, callback_sweeps
from indexmill.worker.waker import Waker
from indexmill.worker.watch import stop_signal

__all__ = ["run_worker"]

_TICK_SECONDS = 0.1


def run_worker(settings: Settings, processes: int, compose_with: Callable[[Ledger], Compose]) -> int:
    """Run so many windows at once until SIGTERM or SIGINT. The exit code. `compose_with`: what makes callbacks.

    Raises:
        ServiceError: no database is configured and no embedded one runs.
    """
    set_up_logging(settings.log_level)
    with ExitStack() as stack:
        stop = stack.enter_context(stop_signal())
        url = database_url(settings)
        ledger = open_ledger(url, settings, pool_size=4)
        stack.callback(ledger.database.close)
        waker = Waker(settings, ledger.workload)
        stack.callback(waker.stop)
        sweeps = SweepLoop(ledger.sweeps, all_sweeps(ledger, settings.worker.sweep_seconds, waker.top_up))
        sweeps.start()
        stack.callback(sweeps.stop)
        calling = SweepLoop(ledger.sweeps, callback_sweeps(ledger, settings, compose_with(ledger)), "callbacks")
        calling.start()
        stack.callback(calling.stop)
        fleet = Fleet(settings, url, ledger, processes)
        stack.callback(fleet.stop)
        while not stop.wait(_TICK_SECONDS):
            fleet.look_after()
    return 0
