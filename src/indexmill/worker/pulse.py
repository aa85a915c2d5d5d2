"""A worker process's pulse: renews the lease of the window that runs, and notices when nobody waits for it."""

from __future__ import annotations

import logging
import threading
from uuid import UUID

import psycopg

from indexmill.errors import ServiceError
from indexmill.ledger.leases import Leases

__all__ = ["Pulse"]

_log = logging.getLogger(__name__)


class Pulse:
    """One thread a process. A window takes it with `hold` and asks `is_held` between steps."""

    def __init__(self, leases: Leases, seconds: float) -> None:
        self._leases = leases
        self._seconds = seconds
        self._token: UUID | None = None
        self._held = True
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def hold(self, token: UUID | None) -> None:
        """Renew this lease from now on; None: the window has ended."""
        with self._lock:
            self._held = True
            self._token = token

    def is_held(self) -> bool:
        """Whether, as far as is known, any batch still carries the token."""
        return self._held

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds):
            token = self._token
            if token is None:
                continue
            try:
                held = self._leases.renew(token)
            except (psycopg.Error, ServiceError) as error:
                # The fence decides in the end; a renewal that fails is tried again at the next beat.
                _log.info("lease not renewed: %s", type(error).__name__)
                continue
            except Exception:  # noqa: BLE001 - a pulse that ended would lose every later window of this process
                _log.exception("lease not renewed")
                continue
            with self._lock:
                if held == 0 and token == self._token:
                    self._held = False
