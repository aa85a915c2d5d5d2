"""Callbacks: what is due in the outbox is sent. It has a loop of its own: a slow broker must not delay other duties."""

from __future__ import annotations

from indexmill.domain.callback import Compose
from indexmill.ledger.ledger import Ledger
from indexmill.settings import Settings
from indexmill.worker.callback_sender import CallbackSender
from indexmill.worker.sweeps import Sweep


def sweep(ledger: Ledger, settings: Settings, compose: Compose) -> Sweep | None:
    """None where no broker is configured for them: they wait in the outbox."""
    if settings.callback_url is None:
        return None
    give_up_seconds = settings.callbacks.give_up_hours * 3600
    sender = CallbackSender(ledger, settings.callback_url, compose, give_up_seconds)
    # With the loop's tick the end of a job is told within a second.
    return Sweep("callbacks", settings.worker.sweep_seconds / 2, sender.run)
