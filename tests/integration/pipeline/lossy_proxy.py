"""A TCP proxy before PostgreSQL that drops the connection at a COMMIT: after the server took it, or before."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from psycopg.conninfo import conninfo_to_dict, make_conninfo

__all__ = ["LossyProxy", "lossy_proxy"]

#: A simple query message of exactly this word, as psycopg ends a transaction.
_COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
Loss = Literal["after", "before", "none"]


@dataclass
class LossyProxy:
    """`losses`: what happens to the next commits of connections that wrote `marker` before; others pass."""

    url: str
    marker: bytes = b""
    losses: list[Loss] = field(default_factory=list)
    #: Commits that met their loss.
    lost: int = 0


@contextmanager
def lossy_proxy(database_url: str) -> Iterator[LossyProxy]:
    parts = {key: str(value) for key, value in conninfo_to_dict(database_url).items() if value is not None}
    server = f"{parts['host']}/.s.PGSQL.{parts.get('port', '5432')}"
    listener = socket.create_server(("127.0.0.1", 0))
    port = str(listener.getsockname()[1])
    changed = {"host": "127.0.0.1", "port": port, "sslmode": "disable", "gssencmode": "disable"}
    proxy = LossyProxy(make_conninfo(**{**parts, **changed}))
    accepting = threading.Thread(target=_accept, args=(listener, server, proxy), daemon=True)
    accepting.start()
    try:
        yield proxy
    finally:
        # A shutdown wakes the accept, a close alone does not.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join(timeout=5)


def _accept(listener: socket.socket, server: str, proxy: LossyProxy) -> None:
    connections: list[threading.Thread] = []
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            break
        serving = threading.Thread(target=_serve, args=(client, server, proxy), daemon=True)
        serving.start()
        connections.append(serving)
    for each in connections:
        each.join(timeout=5)


def _serve(client: socket.socket, server: str, proxy: LossyProxy) -> None:
    with client, socket.socket(socket.AF_UNIX) as backend:
        backend.connect(server)
        try:
            _relay(client, backend, proxy)
        except OSError:
            # One side is gone: so is the connection.
            return


def _relay(client: socket.socket, backend: socket.socket, proxy: LossyProxy) -> None:
    is_marked = False
    while True:
        readable, _, _ = select.select([client, backend], [], [], 60)
        if backend in readable:
            piece = backend.recv(1 << 16)
            client.sendall(piece)
        if client in readable:
            piece = client.recv(1 << 16)
            is_marked = is_marked or proxy.marker in piece
            if piece == _COMMIT and is_marked and proxy.losses and _is_lost(backend, proxy):
                return
            is_marked = is_marked and piece != _COMMIT
            backend.sendall(piece)
        if not readable or not piece:
            return


def _is_lost(backend: socket.socket, proxy: LossyProxy) -> bool:
    """`after`: the server commits, its answer is swallowed; the client sees the end only when that is done."""
    loss = proxy.losses.pop(0)
    if loss == "none":
        return False
    proxy.lost += 1
    if loss == "after":
        backend.sendall(_COMMIT)
        backend.recv(1 << 16)
    return True
