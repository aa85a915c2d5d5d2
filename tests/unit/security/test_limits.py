"""Limits of tenants by a clock of the test's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from indexmill.access_settings import LimitSettings
from indexmill.domain.tenant import Allowance, Tenant
from indexmill.errors import LimitReached, TenantNotFound
from indexmill.security.limits import Limits


@dataclass
class Stored:
    """What the ledger says of tenants."""

    own: Allowance = field(default_factory=Allowance)
    queued: int = 0
    used: int = 0
    reads: int = 0

    def get(self, tenant: int) -> Tenant:
        self.reads += 1
        if tenant == 404:
            raise TenantNotFound("404")
        return Tenant(tenant, f"t{tenant}", 1.0, self.own, datetime(2026, 1, 1, tzinfo=UTC))

    def queued_items(self, tenant: int) -> int:
        return self.queued

    def bytes_today(self, tenant: int) -> tuple[int, int]:
        return self.used, 3600

    def add_bytes(self, tenant: int, count: int) -> int:
        self.used += count
        return self.used


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def limits_of(stored: Stored, **common: int) -> tuple[Limits, Clock]:
    clock, tenants = Clock(), stored
    any_tenants: Any = tenants
    return Limits(any_tenants, LimitSettings(**common), clock), clock


def taken(limits: Limits, tenant: int, wanted: int) -> int:
    count = 0
    for _ in range(wanted):
        try:
            limits.take_request(tenant)
        except LimitReached:
            continue
        count += 1
    return count


def test_without_limits_nothing_is_refused() -> None:
    limits, _ = limits_of(Stored())
    assert taken(limits, 1, 1000) == 1000
    limits.check_items(1, 10**9)
    limits.check_bytes(1, 10**15)
    assert not limits.has_byte_limit(1)


def test_requests_are_refilled_evenly_and_each_tenant_has_its_own() -> None:
    limits, clock = limits_of(Stored(), requests_per_minute=60)
    assert taken(limits, 1, 100) == 60
    assert taken(limits, 2, 100) == 60
    clock.now += 10
    assert taken(limits, 1, 100) == 10
    clock.now += 3600
    assert taken(limits, 1, 100) == 60
    with pytest.raises(LimitReached) as refused:
        limits.take_request(1)
    assert refused.value.retry_after == 1


def test_how_long_to_wait_is_said() -> None:
    limits, _ = limits_of(Stored(), requests_per_minute=1)
    limits.take_request(1)
    with pytest.raises(LimitReached) as refused:
        limits.take_request(1)
    assert refused.value.retry_after == 60


def test_a_tenants_own_limit_wins_and_holds_after_a_few_seconds() -> None:
    stored = Stored(Allowance(requests_per_minute=2))
    limits, clock = limits_of(stored, requests_per_minute=60)
    assert taken(limits, 1, 10) == 2
    assert stored.reads == 1, "not asked at every request"
    stored.own = Allowance(requests_per_minute=0)
    clock.now += 6
    assert taken(limits, 1, 100) == 100
    assert taken(limits, 404, 100) == 60, "a tenant that is gone has those of the settings"


def test_items_are_counted_with_what_this_process_took_in() -> None:
    stored = Stored(queued=5)
    limits, clock = limits_of(stored, queued_items=10)
    limits.check_items(1, 5)
    with pytest.raises(LimitReached, match="10 items"):
        limits.check_items(1, 1)
    stored.queued = 9
    clock.now += 2
    with pytest.raises(LimitReached):
        limits.check_items(1, 2)
    limits.check_items(1, 0)
    limits.check_items(1, 1)
    with pytest.raises(LimitReached, match="brings more"):
        limits.check_items(1, 0)


def test_bytes_of_a_day() -> None:
    stored = Stored(used=90)
    limits, _ = limits_of(stored, bytes_per_day=100)
    limits.check_bytes(1, 10)
    limits.note_bytes(1, 10)
    assert limits.has_byte_limit(1)
    with pytest.raises(LimitReached) as refused:
        limits.check_bytes(1, 1)
    assert refused.value.retry_after == 3600
