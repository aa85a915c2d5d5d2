"""Runs the app in this process: uvicorn with uvloop, until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
import socket
from typing import Final

import uvicorn

from indexmill.errors import ServiceError
from indexmill.http.app import create_app
from indexmill.http.service import Service

__all__ = ["listening_socket", "run_server"]

logger = logging.getLogger(__name__)

_GRACE_SECONDS: Final = 10
_BACKLOG: Final = 2048


def listening_socket(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one.

    Raises:
        ServiceError: the address is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise ServiceError(
            f"server.port: expected a free port, cannot listen on {host}:{port} ({reason}); "
            "stop what listens there or set another server.port"
        ) from error
    return listener


def run_server(service: Service) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is being answered (10 s at most). The caller owns the service.

    Raises:
        ServiceError: the address is taken.
    """
    server = service.settings.server
    listener = listening_socket(server.host, server.port)
    config = uvicorn.Config(
        create_app(service),
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        # Nothing in front is trusted to say who asks.
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    logger.info("Indexmill listens on http://%s:%d (documentation: /docs)", shown, port)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        listener.close()
