"""Sends what is due in the outbox of callbacks: at least once, in a job's order, past what is refused."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

import psycopg

from indexmill.domain.backoff import backoff_seconds
from indexmill.domain.callback import CallbackEvent, CallbackKind, CallbackMessage, Compose
from indexmill.errors import ServiceError
from indexmill.ledger.ledger import Ledger
from indexmill.worker.amqp_publisher import AmqpPublisher, BrokerDown, PublishRefused, Unroutable, open_publisher

__all__ = ["CallbackSender"]

_log = logging.getLogger(__name__)
_AT_ONCE = 50
#: Longer than a turn takes: until then nobody else sends what this one has claimed.
_CLAIM_SECONDS = 60.0
_TURN_SECONDS = 3.0
_MAX_REFUSED_PAUSE = 300.0
_MAX_BROKER_PAUSE = 10.0


@dataclass
class CallbackSender:
    """One a process. `compose` is the front door's; `give_up_seconds`: how long a refusal is borne."""

    ledger: Ledger
    url: str
    compose: Compose
    give_up_seconds: float
    #: How often in a row the broker was down, and until when it is left alone.
    _failures: int = 0
    _quiet_until: float = 0.0
    #: In this turn: exchange -> why the broker refused it.
    _refused: dict[str, str] = field(default_factory=dict)

    def run(self) -> int:
        """One turn: send what is due for a few seconds; how many were confirmed. A broker that is down is noted."""
        if time.monotonic() < self._quiet_until or not self.ledger.callbacks.has_due():
            return 0
        self._refused.clear()
        try:
            with open_publisher(self.url) as publisher:
                if self._failures:
                    _log.info("the broker of the callbacks is back")
                self._failures = 0
                return self._send_due(publisher)
        except BrokerDown as error:
            if not self._failures:
                _log.warning("callbacks wait: their broker does not answer (%s)", error)
            self._failures += 1
            self._quiet_until = time.monotonic() + backoff_seconds(self._failures, cap=_MAX_BROKER_PAUSE)
            return 0

    def _send_due(self, publisher: AmqpPublisher) -> int:
        until = time.monotonic() + _TURN_SECONDS
        sent = 0
        while time.monotonic() < until:
            left = self.ledger.callbacks.claim(_AT_ONCE, _CLAIM_SECONDS)
            if not left:
                break
            try:
                while left and time.monotonic() < until:
                    sent += self._send(publisher, left[0])
                    left.pop(0)
            finally:
                # With the one in doubt, which may arrive twice.
                if left:
                    self.ledger.callbacks.release(left)
        return sent

    def _send(self, publisher: AmqpPublisher, event: CallbackEvent) -> bool:
        if event.exchange in self._refused:
            self._refuse(event, self._refused[event.exchange])
            return False
        try:
            message = self._message(event)
        except (psycopg.Error, ServiceError):
            raise
        except Exception:  # noqa: BLE001 - a defect in what one message is made of must not stop the others
            _log.exception("callback %s cannot be made", event.message_id)
            self._refuse(event, "its message cannot be made")
            return False
        if message is None:
            self.ledger.callbacks.delivered(event)
            return False
        try:
            publisher.publish(event, message)
        except Unroutable as error:
            if event.kind is CallbackKind.PROGRESS:
                # Nobody listens to progress: the end must not wait for it.
                self.ledger.callbacks.give_up(event, str(error))
            else:
                self._refuse(event, str(error))
            return False
        except PublishRefused as error:
            self._refused[event.exchange] = str(error)
            self._refuse(event, str(error))
            return False
        self.ledger.callbacks.delivered(event)
        return True

    def _message(self, event: CallbackEvent) -> CallbackMessage | None:
        job = self.ledger.jobs.get(event.job)
        return self.compose(job, event) if job is not None else None

    def _refuse(self, event: CallbackEvent, problem: str) -> None:
        if event.refused_seconds > self.give_up_seconds:
            _log.warning("callback %s is given up: %s", event.message_id, problem)
            self.ledger.callbacks.give_up(event, problem)
        else:
            pause = backoff_seconds(event.tries, base=1, cap=_MAX_REFUSED_PAUSE)
            self.ledger.callbacks.postpone(event, pause, problem)
