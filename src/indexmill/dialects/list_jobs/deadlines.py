"""How long a request may take, as its headers say (`timeout`, `grpc-timeout`, `Request-Timeout(-Millis)`), and work in
steps that ends with it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from starlette.datastructures import Headers

from indexmill.errors import InvalidRequest

__all__ = ["DEFAULT_SECONDS", "MAX_SECONDS", "in_time", "v1_seconds", "v2_seconds"]

_T = TypeVar("_T")
DEFAULT_SECONDS: Final = 30.0
MAX_SECONDS: Final = 60.0
_TIMEOUT: Final = re.compile(r"([0-9]{1,8})[sS]?")
_GRPC_TIMEOUT: Final = re.compile(r"([0-9]{1,8})([HMSmun])")
_UNITS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


def v1_seconds(headers: Headers) -> float:
    """
    Raises:
        InvalidRequest: a header that says no time.
    """
    given = headers.get("timeout")
    if given is not None:
        match = _TIMEOUT.fullmatch(given.strip())
        if match is None:
            raise InvalidRequest(f"timeout: expected seconds such as `30S`, got {given[:40]!r}")
        return _capped(float(match[1]))
    given = headers.get("grpc-timeout")
    if given is None:
        return DEFAULT_SECONDS
    match = _GRPC_TIMEOUT.fullmatch(given.strip())
    if match is None:
        raise InvalidRequest(f"grpc-timeout: expected a number and one of H, M, S, m, u, n, got {given[:40]!r}")
    return _capped(float(match[1]) * _UNITS[match[2]])


def v2_seconds(headers: Headers) -> float:
    """
    Raises:
        InvalidRequest: a header that says no time.
    """
    for name, unit in (("Request-Timeout-Millis", 1e-3), ("Request-Timeout", 1.0)):
        given = headers.get(name)
        if given is None:
            continue
        if re.fullmatch(r"[0-9]{1,9}", given.strip()) is None:
            raise InvalidRequest(f"{name}: expected a whole number, got {given[:40]!r}")
        return _capped(float(given) * unit)
    return DEFAULT_SECONDS


def in_time(steps: Iterable[_T], seconds: float) -> Iterator[_T]:
    """Each of them, for so many seconds from this call on: then nobody waits for the answer any more.

    Raises:
        TimeoutError: in front of the first step that comes later.
    """
    end = time.monotonic() + seconds

    def until_the_end() -> Iterator[_T]:
        for step in steps:
            if time.monotonic() >= end:
                raise TimeoutError
            yield step

    return until_the_end()


def _capped(seconds: float) -> float:
    return min(seconds, MAX_SECONDS)
