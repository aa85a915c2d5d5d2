"""Credentials that opened nothing: an address that shows many different ones waits, longer with each further one."""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from indexmill.errors import LimitReached, Unauthorized

__all__ = ["FailedLogins"]

K = TypeVar("K")
V = TypeVar("V")

_MAX_ADDRESSES: Final = 4096
_MAX_CREDENTIALS: Final = 4096
#: So long what opened nothing is not looked up again: it costs nothing to refuse, and a key that is made meanwhile
#: opens soon.
_REFUSED_SECONDS: Final = 3.0
#: After so long the same wrong credential counts again.
_FORGOTTEN_SECONDS: Final = 600.0
#: An address's failures are forgiven one by one: who fails now and then never waits, nor makes others wait.
_FORGIVEN_SECONDS: Final = 30.0
#: So long a credential that opened is looked at wherever it comes from.
_TRUSTED_SECONDS: Final = 3600.0


@dataclass
class _Address:
    failures: float = 0.0
    last_at: float = 0.0
    open_at: float = 0.0


@dataclass
class _Refused:
    message: str
    counted_at: float
    looked_at: float


class _Recent(OrderedDict[K, V], Generic[K, V]):
    """The last ones that were put in, at most so many."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def put(self, key: K, value: V) -> None:
        self[key] = value
        self.move_to_end(key)
        while len(self) > self._most:
            self.popitem(last=False)


@dataclass
class FailedLogins:
    """One a process; every method may be called from several threads, none has I/O.

    Nobody guesses 256 bits: this keeps whoever tries from taking the time of the database and of those who wait at the
    gate. So it must not keep anybody else out. Behind a proxy, or one address of a company, many have the same address:
    a credential that has opened within the last hour is looked at whatever others there do, and a program that goes on
    with one wrong credential counts once and not each time.
    """

    #: How many different ones an address may show before it has to wait.
    free: int
    #: The longest wait, in seconds.
    max_wait: float
    clock: Callable[[], float] = time.monotonic
    _addresses: _Recent[str, _Address] = field(default_factory=lambda: _Recent(_MAX_ADDRESSES))
    _refused: _Recent[bytes, _Refused] = field(default_factory=lambda: _Recent(_MAX_CREDENTIALS))
    _opened: _Recent[bytes, float] = field(default_factory=lambda: _Recent(_MAX_CREDENTIALS))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, address: str, credential: str) -> None:
        """Whether the credential is to be looked at.

        Raises:
            Unauthorized: it opened nothing a moment ago.
            LimitReached: its address has to wait.
        """
        digest, now = _digest(credential), self.clock()
        with self._lock:
            refused = self._refused.get(digest)
            if refused is not None and now - refused.looked_at < _REFUSED_SECONDS:
                raise Unauthorized(refused.message)
            if self._opened.get(digest, float("-inf")) + _TRUSTED_SECONDS > now:
                return
            wait = self._addresses[address].open_at - now if address in self._addresses else 0.0
        if wait > 0:
            raise LimitReached(
                "Expected few credentials from this address that open nothing, got many; wait, and try again",
                math.ceil(wait),
            )

    def failed(self, address: str, credential: str, message: str) -> bool:
        """It opened nothing; whether that was news."""
        digest, now = _digest(credential), self.clock()
        with self._lock:
            self._opened.pop(digest, None)
            refused = self._refused.get(digest)
            if refused is not None and now - refused.counted_at < _FORGOTTEN_SECONDS:
                refused.message, refused.looked_at = message, now
                return False
            self._refused.put(digest, _Refused(message, now, now))
            known = self._addresses.get(address) or _Address(last_at=now)
            forgiven = (now - known.last_at) / _FORGIVEN_SECONDS
            known.failures, known.last_at = max(0.0, known.failures - forgiven) + 1, now
            over = known.failures - self.free
            if over > 0:
                known.open_at = now + min(self.max_wait, 2.0 ** min(over - 1, 60))
            self._addresses.put(address, known)
            return True

    def opened(self, credential: str) -> None:
        digest = _digest(credential)
        with self._lock:
            self._refused.pop(digest, None)
            self._opened.put(digest, self.clock())


def _digest(credential: str) -> bytes:
    return hashlib.sha256(credential.encode(errors="replace")).digest()
