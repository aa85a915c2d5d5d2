"""The Celery application: only what of Celery holds under faults. Messages are wakes; they carry nothing."""

from __future__ import annotations

from typing import Any

from celery import Celery

from indexmill.domain.bodies import MAX_BATCH_ITEMS
from indexmill.settings import Settings
from indexmill.worker.local_transport import LOCAL_URL, register

__all__ = ["DRAIN_TASK", "amqp_options", "make_celery", "transport_options"]

DRAIN_TASK = "indexmill.drain"
_POLL_SECONDS = 0.02
#: A worker and its RabbitMQ notice within twice this that the other one has fallen silent.
_HEARTBEAT_SECONDS = 10
#: No call of a worker to its RabbitMQ waits longer; its watching for messages is not such a call.
_AMQP_CALL_SECONDS = 10.0
#: On top of a drain and one window: the time that Celery leaves a task before it kills the process.
_LIMIT_MARGIN_SECONDS = 10


def make_celery(settings: Settings) -> Celery:
    """An application for these settings, without tasks."""
    register()
    app = Celery("indexmill", set_as_current=False)
    queue = settings.celery.queue
    app.conf.update(
        broker_url=LOCAL_URL if settings.celery.broker_mode == "local" else settings.celery.broker_url,
        broker_transport_options=transport_options(settings),
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_heartbeat=_HEARTBEAT_SECONDS,
        task_default_queue=queue,
        task_default_exchange=queue,
        task_default_routing_key=queue,
        task_serializer="json",
        accept_content=["json"],
        # A wake need not outlive its broker: the wake sweep sends another.
        task_default_delivery_mode="transient",
        task_ignore_result=True,
        result_backend=None,
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        # Never a soft limit: it raises inside COMMIT. RabbitMQ takes a wake back that nobody acknowledged in 30 minutes
        # (its `consumer_timeout`); only an item by item search for what kills workers lasts so long, and it goes on.
        # An item that runs alone has the deadline to itself: each process watches over its own windows more closely.
        task_time_limit=settings.worker.drain_seconds
        + settings.worker.window_deadline_seconds * MAX_BATCH_ITEMS
        + _LIMIT_MARGIN_SECONDS,
        worker_enable_remote_control=False,
        # Its timer looks so often whether the worker stops: it keeps a stop waiting for up to a second otherwise.
        worker_timer_precision=0.1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        # A window does not need the broker: it goes on without it, and a wake that comes twice does no harm.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_prefetch_count_reduction=False,
    )
    return app


def transport_options(settings: Settings, *, timeout: float | None = None) -> dict[str, Any]:
    """What the broker's transport is told; `timeout` bounds each network call, for those who must not wait."""
    if settings.celery.broker_mode == "local":
        return {"folder": str(settings.data_folder / "broker"), "polling_interval": _POLL_SECONDS}
    if settings.celery.broker_mode == "rabbitmq":
        return amqp_options(_AMQP_CALL_SECONDS if timeout is None else timeout)
    options: dict[str, Any] = {"health_check_interval": 10}
    if timeout is not None:
        options |= {"socket_timeout": timeout, "socket_connect_timeout": timeout, "max_retries": 0}
    return options


def amqp_options(timeout: float) -> dict[str, Any]:
    """Publisher confirms, and no call that waits longer than `timeout` seconds."""
    return {
        "confirm_publish": True,
        "connect_timeout": timeout,
        "read_timeout": timeout,
        "write_timeout": timeout,
        "max_retries": 0,
    }
