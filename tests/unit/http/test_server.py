"""The server over a real socket: where it listens, how it refuses large bodies, how it stops."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

PROGRAM = """
import logging
from typing import cast
from indexmill.http.server import run_server
from indexmill.http.service import Service
from tests.unit.http.fake_service import FakeService
logging.basicConfig(level="INFO", format="%(message)s")
run_server(cast(Service, FakeService(body_limit_bytes=100_000)))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """One for all who leave it as it is."""
    with running() as started:
        yield started


@contextmanager
def running() -> Iterator[tuple[subprocess.Popen[str], int]]:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    port = 0
    try:
        for line in process.stderr:
            if "listens on http://127.0.0.1:" in line:
                port = int(line.split("127.0.0.1:")[1].split()[0])
                break
        wait_until_open(port)
        yield process, port
    finally:
        process.kill()
        process.wait(60)
        process.stderr.close()


def wait_until_open(port: int) -> None:
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", "/healthz")
            assert connection.getresponse().status == 200
            return
        except OSError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise AssertionError("the server did not answer within 200 s")


def exchange(port: int, head: bytes, *chunks: bytes) -> bytes:
    """What comes back until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(head)
        for chunk in chunks:
            connection.sendall(chunk)
        answer = b""
        while received := connection.recv(65536):
            answer += received
        return answer


HEAD = b"POST /internal/upsertion-tasks/run HTTP/1.1\r\nHost: 127.0.0.1\r\n"


def test_a_request_over_a_real_socket_is_answered_and_does_not_name_the_server(
    server: tuple[subprocess.Popen[str], int],
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server[1], timeout=30)
    body = {"embedding_model_id": "embed-123", "items": [{"object_id": "a"}]}
    connection.request("POST", "/internal/upsertion-tasks/run", json.dumps(body))
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["status"]) == (200, "pending")
    assert answer.getheader("server") is None
    connection.close()


@pytest.mark.parametrize("size", [100_001, 190_000])
def test_a_declared_body_over_the_limit_is_413_although_the_client_sends_it_all(
    server: tuple[subprocess.Popen[str], int], size: int
) -> None:
    answer = exchange(server[1], HEAD + b"Content-Length: %d\r\n\r\n" % size, b"x" * size)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'{"detail":"expected a body of at most 100000 bytes' in answer


def test_a_chunked_body_over_the_limit_is_413_and_the_connection_ends(
    server: tuple[subprocess.Popen[str], int],
) -> None:
    chunk = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
    answer = exchange(server[1], HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 15, b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_client_that_asks_first_is_refused_before_it_sends(server: tuple[subprocess.Popen[str], int]) -> None:
    # The first answer of one that waited for the body would be 100, and the next a 408.
    answer = exchange(server[1], HEAD + b"Content-Length: 900000\r\nExpect: 100-continue\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_sigterm_stops_it() -> None:
    with running() as (process, port):
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, -signal.SIGTERM)
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), timeout=10)
