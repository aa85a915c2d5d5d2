"""How much each tenant may ask for: requests a minute, items that wait, bytes a day."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from indexmill.access_settings import LimitSettings
from indexmill.domain.tenant import Allowance
from indexmill.errors import LimitReached, TenantNotFound
from indexmill.ledger.tenants import Tenants

__all__ = ["Limits"]

#: How long what the database says is believed: a limit that was changed holds after this.
_ALLOWANCE_SECONDS: Final = 5.0
_QUEUE_SECONDS: Final = 1.0
_QUEUE_RETRY: Final = 5


@dataclass
class _Bucket:
    """Requests that a tenant may make now; refilled evenly."""

    tokens: float
    at: float


@dataclass
class _Known:
    """What this process knows of a tenant."""

    allowance: Allowance
    read_at: float
    bucket: _Bucket
    queued: int = 0
    queued_at: float = float("-inf")
    bytes_today: int = 0
    bytes_at: float = float("-inf")
    day_ends_at: float = float("-inf")


@dataclass
class Limits:
    """One a process; every method may be called from several threads.

    Requests are counted by each process for itself, which costs nothing: behind N processes a tenant may make up to N
    times as many. Items and bytes are counted in the database, looked at again every second: a limit may be exceeded
    by what several processes take in within one.
    """

    tenants: Tenants
    settings: LimitSettings
    clock: Callable[[], float] = time.monotonic
    _known: dict[int, _Known] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def is_known(self, tenant: int) -> bool:
        """Whether `take_request` needs no I/O now."""
        known = self._known.get(tenant)
        return known is not None and self.clock() - known.read_at < _ALLOWANCE_SECONDS

    def take_request(self, tenant: int) -> tuple[int, int] | None:
        """Count a request; the limit and how many are left now, None without a limit. I/O, unless `is_known`.

        Raises:
            LimitReached: there were too many in the last minute.
        """
        known = self._of(tenant)
        limit = known.allowance.requests_per_minute
        if not limit:
            return None
        with self._lock:
            now, bucket = self.clock(), known.bucket
            bucket.tokens = min(limit, bucket.tokens + (now - bucket.at) * limit / 60)
            bucket.at = now
            if bucket.tokens >= 1:
                bucket.tokens -= 1
                return limit, int(bucket.tokens)
            wait = (1 - bucket.tokens) * 60 / limit
        raise LimitReached(
            f"Expected at most {limit} requests a minute from this tenant, got more; wait, or ask the operator",
            math.ceil(wait),
        )

    def check_items(self, tenant: int, count: int) -> None:
        """Whether so many items more may wait. I/O.

        Raises:
            LimitReached
        """
        known = self._of(tenant)
        limit = known.allowance.queued_items
        if not limit:
            return
        now = self.clock()
        if now - known.queued_at > _QUEUE_SECONDS:
            known.queued, known.queued_at = self.tenants.queued_items(tenant), now
        with self._lock:
            # One more than there is room for, where a request does not say how many it brings.
            if known.queued + max(1, count) > limit:
                raise LimitReached(
                    f"Expected at most {limit} items of this tenant to wait, there are {known.queued} and this request "
                    f"brings {count or 'more'}; wait until some are done, or ask the operator for more",
                    _QUEUE_RETRY,
                )
            known.queued += count

    def check_bytes(self, tenant: int, announced: int) -> None:
        """Whether a request may bring so many bytes. I/O.

        Raises:
            LimitReached
        """
        known = self._of(tenant)
        limit = known.allowance.bytes_per_day
        if not limit:
            return
        now = self.clock()
        if now >= known.day_ends_at or now - known.bytes_at > _QUEUE_SECONDS:
            known.bytes_today, left = self.tenants.bytes_today(tenant)
            known.bytes_at, known.day_ends_at = now, now + left
        if known.bytes_today + announced > limit:
            raise LimitReached(
                f"Expected at most {limit} bytes a day from this tenant, there were {known.bytes_today} and this "
                f"request brings {announced}; wait until midnight (UTC), or ask the operator for more",
                int(known.day_ends_at - now),
            )

    def has_byte_limit(self, tenant: int) -> bool:
        """As far as that is known without I/O."""
        known = self._known.get(tenant)
        return known is not None and bool(known.allowance.bytes_per_day)

    def note_bytes(self, tenant: int, count: int) -> None:
        """Bytes of a request that came in. I/O."""
        known = self._of(tenant)
        if known.allowance.bytes_per_day:
            known.bytes_today = self.tenants.add_bytes(tenant, count)

    def _of(self, tenant: int) -> _Known:
        known = self._known.get(tenant)
        now = self.clock()
        if known is not None and now - known.read_at < _ALLOWANCE_SECONDS:
            return known
        allowance = self._allowance(tenant)
        with self._lock:
            known = self._known.get(tenant)
            if known is None:
                known = _Known(allowance, now, _Bucket(float(allowance.requests_per_minute or 0), now))
                self._known[tenant] = known
            elif allowance != known.allowance:
                known.bucket = _Bucket(float(allowance.requests_per_minute or 0), now)
            known.allowance, known.read_at = allowance, now
            return known

    def _allowance(self, tenant: int) -> Allowance:
        try:
            own = self.tenants.get(tenant).allowance
        except TenantNotFound:
            own = Allowance()
        common = self.settings
        return Allowance(
            common.requests_per_minute if own.requests_per_minute is None else own.requests_per_minute,
            common.queued_items if own.queued_items is None else own.queued_items,
            common.bytes_per_day if own.bytes_per_day is None else own.bytes_per_day,
        )
