"""An app of this process on a port of its own, for clients that speak HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import uvicorn

from indexmill.http.app import create_app
from indexmill.http.service import Service

__all__ = ["served"]


@contextmanager
def served(service: object) -> Iterator[str]:
    """The address of the app; `service`: what the routes under test need of one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(create_app(cast("Service", service)), log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=60)
        assert not thread.is_alive()
