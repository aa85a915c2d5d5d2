"""A web server on loopback whose answers are written byte by byte by the test; it counts who connected."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

__all__ = ["Answer", "WebServer", "answer"]

#: Writes an answer on a connection whose request has been read.
Answer = Callable[[socket.socket], None]


def answer(status: str = "200 OK", body: bytes = b"", **headers: str) -> Answer:
    """A plain answer with its length; `content_type="text/plain"` is the header `content-type`."""
    fields = {"content-length": str(len(body))} | {name.replace("_", "-"): value for name, value in headers.items()}
    head = f"HTTP/1.1 {status}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())

    def write(connection: socket.socket) -> None:
        connection.sendall(head.encode() + b"\r\n" + body)

    return write


class WebServer:
    """Paths without an answer are 404. `heads`: the head of every request, in order."""

    def __init__(self, answers: Mapping[str, Answer] | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        self.answers = dict(answers or {})
        self.connections = 0
        self.heads: list[str] = []
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._is_closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_closing.set()
        # Wakes `accept`, which closing alone does not.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._threads:
            each.join(60)

    def drip(self, head: bytes, *, every: float = 0.05) -> Answer:
        """Sends `head`, then one byte at a time until the other side, or the test, has enough."""

        def write(connection: socket.socket) -> None:
            connection.sendall(head)
            while not self._is_closing.wait(every):
                connection.sendall(b"x")

        return write

    def silence(self, connection: socket.socket) -> None:
        """Answers nothing."""
        self._is_closing.wait(30)

    def answer_one(self, listener: socket.socket) -> None:
        """Answer one request on another address; it counts as no connection of this server."""
        self._serve(listener.accept()[0])

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        # Clients that hang up in the middle are what these tests are about.
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            if self._tls is not None:
                with self._tls.wrap_socket(connection, server_side=True) as secured:
                    self._answer(secured)
            else:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            received = connection.recv(65536)
            if not received:
                return
            head += received
        self.heads.append(head.decode("latin-1"))
        path = self.heads[-1].split(" ", 2)[1]
        self.answers.get(path, answer("404 Not Found"))(connection)
