"""The socket that the API listens on, and whether it can be had."""

from __future__ import annotations

import errno
import logging
import socket
import time
from typing import Final

from indexmill.errors import ServiceError

__all__ = ["address", "check_port", "listening_socket"]

_log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.1


def address(host: str, port: int) -> str:
    """As in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def listening_socket(host: str, port: int, section: str = "server") -> socket.socket:
    """A bound socket; port 0 takes a free one. `section`: whose settings these are, for the sentence.

    Raises:
        ServiceError: the address is taken, or is none that can be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ServiceError(_sentence(host, port, section, error)) from error
    return listener


def check_port(host: str, port: int, patience: float, section: str = "server") -> None:
    """See that the address can be listened on. One that is taken is waited for: the API of a service that was killed
    ends a moment after it.

    Raises:
        ServiceError: the address is taken, or is none that can be listened on.
    """
    until = time.monotonic() + patience
    told = patience <= 0
    while True:
        try:
            listening_socket(host, port, section).close()
        except ServiceError as error:
            if _number(error.__cause__) != errno.EADDRINUSE or time.monotonic() > until:
                raise
            if not told:
                told = True
                _log.warning("%s is in use; waiting %g s for it", address(host, port), patience)
            time.sleep(_LOOK_SECONDS)
        else:
            return


def _number(error: BaseException | None) -> int | None:
    return error.errno if isinstance(error, OSError) else None


def _sentence(host: str, port: int, section: str, error: OSError) -> str:
    came = f"cannot listen on {address(host, port)} ({error.strerror or error})"
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return f"{section}.host: expected an address of this machine, {came}; set another {section}.host"
    if error.errno == errno.EACCES:
        return f"{section}.port: expected a port that this user may listen on, {came}; set one of 1024 or more"
    return f"{section}.port: expected a free port, {came}; stop what listens there or set another {section}.port"
