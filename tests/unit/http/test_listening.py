"""Where the API listens: what is taken or cannot be had is said in one sentence."""

from __future__ import annotations

import threading
import time

import pytest

from indexmill.errors import ServiceError
from indexmill.http.listening import address, check_port, listening_socket


def test_a_taken_port_is_said_in_one_sentence() -> None:
    with listening_socket("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match=rf"cannot listen on 127\.0\.0\.1:{port} \(Address already in use\)"):
            listening_socket("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_of_another_machine_is_a_wrong_host_and_not_waited_for(host: str) -> None:
    with pytest.raises(ServiceError, match=r"^server\.host: expected an address of this machine"):
        check_port(host, 8080, patience=600)


def test_a_port_that_becomes_free_is_waited_for() -> None:
    taken = listening_socket("127.0.0.1", 0)
    taken.listen()
    port = taken.getsockname()[1]
    with pytest.raises(ServiceError, match=r"^server\.port: expected a free port"):
        check_port("127.0.0.1", port, patience=0)
    closing = threading.Timer(0.15, taken.close)
    closing.start()
    started = time.monotonic()
    check_port("127.0.0.1", port, patience=10)
    closing.join()
    assert time.monotonic() - started < 9


def test_addresses_are_written_as_in_urls() -> None:
    assert address("127.0.0.1", 80) == "127.0.0.1:80"
    assert address("::1", 80) == "[::1]:80"
