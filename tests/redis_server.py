"""A real redis-server of a test's own: loopback, a free port, nothing on disk that outlives it."""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
from types import TracebackType

from tests.running_service import free_port, wait_until

__all__ = ["RedisServer"]


class RedisServer:
    """`stop` and `start` may alternate: the port stays, the data does not."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="indexmill-redis-")

    def __enter__(self) -> RedisServer:
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._folder.cleanup()

    def start(self) -> None:
        command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [*command, "--dir", self._folder.name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(self._answers, 60, "redis-server to answer")

    def stop(self) -> None:
        """SIGKILL, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None

    def pause(self) -> None:
        """It holds its connections and answers nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def wipe(self) -> None:
        """Every message and every queue is gone; the connections stay."""
        assert self.command("FLUSHALL").startswith("+OK")

    def depth(self, queue: str) -> int:
        """Messages that wait in the queue; 0 where there is none."""
        return int(self.command("LLEN", queue).removeprefix(":"))

    def command(self, *words: str) -> str:
        """The raw answer to one command, up to 64 KiB of it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall((" ".join(words) + "\r\n").encode())
            return connection.recv(65536).decode()

    def _answers(self) -> bool:
        try:
            return self.command("PING").startswith("+PONG")
        except OSError:
            return False
