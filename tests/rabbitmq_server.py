"""A real rabbitmq-server of a test's own: loopback, free ports, an own epmd, everything below a temporary folder."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
from kombu.connection import Connection

from tests.running_service import free_port, wait_until

__all__ = ["RabbitmqServer"]

#: Debian's `rabbitmq-server` on the PATH would become another user; the script behind it runs as anybody.
_SCRIPTS = ("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server")
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_GREETING = b"AMQP\x00\x00\x09\x01"


class RabbitmqServer:
    """`stop` and `start` may alternate: ports and data stay; `wipe` forgets the data."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self._folder = tempfile.TemporaryDirectory(prefix="indexmill-rabbitmq-", ignore_cleanup_errors=True)
        self._home = Path(self._folder.name)
        self._environment = self._prepare()
        self._epmd: subprocess.Popen[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RabbitmqServer:
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
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait(timeout=10)
        self._folder.cleanup()

    def start(self) -> None:
        if self._epmd is None:
            # Before the server, which would leave one behind that outlives it.
            self._epmd = self._spawn(["epmd", "-address", "127.0.0.1", "-port", self._environment["ERL_EPMD_PORT"]])
            wait_until(self._epmd_answers, 60, "epmd to answer")
        script = next(found for each in _SCRIPTS if (found := shutil.which(each)))
        self._process = self._spawn([script])
        wait_until(self._answers, 100, "rabbitmq-server to answer", pause=0.1)

    def stop(self) -> None:
        """SIGKILL, as a crash would: what is durable stays, the rest is gone."""
        if self._process is None:
            return
        process, self._process = self._process, None
        helpers = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.kill()
        process.wait(timeout=10)
        for helper in helpers:
            with contextlib.suppress(psutil.NoSuchProcess):
                helper.kill()

    def wipe(self) -> None:
        """As after the loss of its disk: it comes back empty, and every connection is broken."""
        self.stop()
        shutil.rmtree(self._home / "data")
        self.start()

    def pause(self) -> None:
        """It holds its connections and answers nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def channel(self) -> Iterator[Any]:
        """A channel of a connection of its own."""
        with Connection(self.url, transport_options={"connect_timeout": 5, "read_timeout": 5}) as connection:  # type: ignore[no-untyped-call]
            yield connection.default_channel

    def declare(self, exchange: str, queue: str, *, binding: str = "#") -> None:
        """A durable topic exchange with one durable queue."""
        with self.channel() as channel:
            channel.exchange_declare(exchange=exchange, type="topic", durable=True, auto_delete=False)
            channel.queue_declare(queue=queue, durable=True, auto_delete=False)
            channel.queue_bind(queue=queue, exchange=exchange, routing_key=binding)

    def depth(self, queue: str) -> int:
        """Messages that wait in the queue; 0 where there is none."""
        with self.channel() as channel:
            try:
                return int(channel.queue_declare(queue=queue, passive=True).message_count)
            except channel.connection.channel_errors:
                return 0

    def take_all(self, queue: str) -> list[Any]:
        """Take every message of the queue, oldest first."""
        taken = []
        with self.channel() as channel:
            while (message := channel.basic_get(queue=queue, no_ack=True)) is not None:
                taken.append(message)
        return taken

    def _prepare(self) -> dict[str, str]:
        configuration = self._home / "rabbitmq.conf"
        configuration.write_text(
            "disk_free_limit.absolute = 10MB\nvm_memory_high_watermark.absolute = 512MB\nloopback_users.guest = true\n"
        )
        (self._home / "enabled_plugins").write_text("[].\n")
        (self._home / "environment.conf").touch()
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))},
            # Where Erlang keeps the cookie.
            "HOME": str(self._home),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(free_port()),
            "RABBITMQ_CONF_ENV_FILE": str(self._home / "environment.conf"),
            "RABBITMQ_CONFIG_FILE": str(configuration),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._home / "enabled_plugins"),
            "RABBITMQ_NODENAME": f"indexmill-{os.getpid()}-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self._home / "data"),
            "RABBITMQ_LOG_BASE": str(self._home / "log"),
            "RABBITMQ_PID_FILE": str(self._home / "pid"),
            # The script replaces itself by the Erlang machine, so that its pid is the one to kill.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}",
        }

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with (self._home / "output.log").open("ab") as log:
            return subprocess.Popen(
                command,
                env=self._environment,
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # Where the tests are killed, it must not stay behind.
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, with nothing loaded in the child
            )

    def _epmd_answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", int(self._environment["ERL_EPMD_PORT"])), timeout=1):
                return True
        except OSError:
            return False

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._home / "output.log").read_text()[-2000:]
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(_GREETING)
                return connection.recv(1) == b"\x01"
        except OSError:
            return False


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
