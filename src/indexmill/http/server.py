"""Runs the app in this process: uvicorn with uvloop, until SIGTERM or SIGINT."""

from __future__ import annotations

import logging
from typing import Final

import uvicorn

from indexmill.http.app import create_app
from indexmill.http.listening import address, listening_socket
from indexmill.http.service import Service

__all__ = ["run_server"]

logger = logging.getLogger(__name__)

_GRACE_SECONDS: Final = 10
_BACKLOG: Final = 2048


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
    logger.info("Indexmill listens on http://%s (documentation: /docs)", address(host, port))
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        listener.close()
