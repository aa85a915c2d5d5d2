"""Publishes callbacks to RabbitMQ: each is confirmed, refused with a reason, or the broker is said to be down."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from amqp.exceptions import MessageNacked
from kombu.connection import Connection

from indexmill.domain.callback import CallbackEvent, CallbackMessage
from indexmill.worker.celery_app import amqp_options

__all__ = ["AmqpPublisher", "BrokerDown", "PublishRefused", "Unroutable", "open_publisher"]

_log = logging.getLogger(__name__)
#: A call that waits longer means that the broker is not there.
_TIMEOUT_SECONDS = 5.0
_PERSISTENT = 2


class BrokerDown(Exception):
    """No connection, or none that answers; whether the last message arrived is not known."""


class PublishRefused(Exception):
    """The broker is there and does not take this message: no such exchange, no permission, too large."""


class Unroutable(PublishRefused):
    """The exchange is there, and has no queue for this routing key."""


class AmqpPublisher:
    """One connection, for one thread."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._channel = connection.default_channel
        self._returned: list[str] = []
        # Without a listener an unroutable message would raise, and leave its confirm to the next one.
        self._channel.events["basic_return"].add(self._note_return)

    def publish(self, event: CallbackEvent, message: CallbackMessage) -> None:
        """Returns when the broker has confirmed the message.

        Raises:
            PublishRefused: it was not taken.
            BrokerDown: it may or may not have been taken.
        """
        self._returned.clear()
        routing_key = event.routing_key or message.type
        try:
            self._channel.basic_publish(
                self._channel.prepare_message(
                    message.body,
                    content_type="application/json",
                    content_encoding="utf-8",
                    properties={
                        "delivery_mode": _PERSISTENT,
                        "message_id": event.message_id,
                        "type": message.type,
                        "timestamp": int(event.created_at.timestamp()),
                        "app_id": "indexmill",
                    },
                ),
                exchange=event.exchange,
                routing_key=routing_key,
                mandatory=True,
                timeout=_TIMEOUT_SECONDS,
                confirm_timeout=_TIMEOUT_SECONDS,
            )
        except MessageNacked as error:
            raise PublishRefused("the broker could not store it") from error
        except self._connection.channel_errors as error:
            # The broker has closed the channel; amqp has opened it again.
            raise PublishRefused(str(error)[:300]) from error
        except self._connection.connection_errors as error:
            raise BrokerDown(type(error).__name__) from error
        except Exception as error:
            # amqp raises anything where a connection breaks; on one that is whole, it is the message's own fault.
            if not self._connection.connected:
                raise BrokerDown(type(error).__name__) from error
            raise PublishRefused(f"it cannot be sent ({type(error).__name__})") from error
        if self._returned:
            raise Unroutable(f"no queue of exchange {event.exchange!r} takes the routing key {routing_key!r}")

    def _note_return(self, error: Exception, *_: object) -> None:
        self._returned.append(str(error))


@contextmanager
def open_publisher(url: str) -> Iterator[AmqpPublisher]:
    """A publisher on a connection of its own.

    Raises:
        BrokerDown: there is none to be had.
    """
    connection: Any = Connection(url, transport_options=amqp_options(_TIMEOUT_SECONDS))  # type: ignore[no-untyped-call]  # kombu has no annotations
    try:
        try:
            publisher = AmqpPublisher(connection)
        except Exception as error:
            raise BrokerDown(type(error).__name__) from error
        yield publisher
    except BaseException:
        # Without a word to the broker, which may be silent.
        connection.collect()
        raise
    try:
        connection.close()
    except Exception as error:  # noqa: BLE001 - everything was confirmed before
        _log.debug("closing the connection of the callbacks: %s", error)
