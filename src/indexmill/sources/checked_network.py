"""Connections to checked addresses only: the host is resolved here, once, and what was checked is what is connected."""

from __future__ import annotations

import ipaddress
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

import httpcore

from indexmill.errors import TransientError
from indexmill.sources.address_policy import AddressPolicy, IPAddress
from indexmill.sources.source import Deadline, unavailable

__all__ = ["CheckedBackend", "Resolve", "resolve"]

#: A host and a port to every address that the resolver knows.
Resolve: TypeAlias = Callable[[str, int], list[IPAddress]]

_RESOLVE_SECONDS: Final = 10.0
#: How often a wait looks whether it is still wanted.
_LOOK_SECONDS: Final = 0.5
#: Addresses tried, one after the other.
_MAX_ADDRESSES: Final = 4


def resolve(host: str, port: int) -> list[IPAddress]:
    """As the system's resolver says, in its order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(address[0]).partition("%")[0]) for *_, address in found]
    return list(dict.fromkeys(addresses))


class CheckedBackend(httpcore.NetworkBackend):
    """The network of one fetch. A name that resolves to something else afterwards (rebinding) changes nothing."""

    def __init__(self, policy: AddressPolicy, resolve: Resolve, deadline: Deadline) -> None:
        self._policy = policy
        self._resolve = resolve
        self._deadline = deadline
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = _resolved(self._resolve, host, port, self._deadline)
        self._policy.check_addresses(host, port, addresses)
        failure: Exception | None = None
        for address in addresses[:_MAX_ADDRESSES]:
            try:
                # Digits: nothing is resolved a second time.
                stream = self._network.connect_tcp(str(address), port, self._deadline.cap(timeout))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _DeadlineStream(stream, self._deadline)
        raise failure or unavailable(f"The host `{host}` has no address", retryable=True)

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        raise httpcore.ConnectError("sources are not read from sockets of this machine")


class _DeadlineStream(httpcore.NetworkStream):
    """A connection whose reads and writes end with the fetch: one byte now and then does not keep it open."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline
        self._has_answered = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._deadline.cap(timeout)
        while True:
            try:
                data = self._stream.read(max_bytes, min(left, _LOOK_SECONDS))
            except httpcore.ReadTimeout:
                left -= _LOOK_SECONDS
                if left > 0 or self._has_answered:
                    # Too slow is another thing than silent; says so where the time is over.
                    self._deadline.remaining()
                if left <= 0:
                    raise
            else:
                self._has_answered = True
                return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.cap(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, self._deadline.cap(timeout))
        return _DeadlineStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _resolved(resolve: Resolve, host: str, port: int, deadline: Deadline) -> list[IPAddress]:
    """`resolve` with a timeout, which the system's resolver does not have."""
    answers: queue.SimpleQueue[list[IPAddress] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(resolve(host, port))
        except (OSError, ValueError) as error:
            answers.put(error)

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    timeout = left = deadline.cap(_RESOLVE_SECONDS)
    while True:
        try:
            answer = answers.get(timeout=min(left, _LOOK_SECONDS))
            break
        except queue.Empty:
            left -= _LOOK_SECONDS
            if left <= 0:
                raise TransientError(f"The host `{host}` could not be looked up within {timeout:.0f} s") from None
            deadline.remaining()
    if isinstance(answer, socket.gaierror) and answer.errno == socket.EAI_AGAIN:
        raise TransientError(f"The host `{host}` could not be looked up") from answer
    if isinstance(answer, Exception):
        raise unavailable(f"There is no host `{host}`", retryable=False) from answer
    return answer
