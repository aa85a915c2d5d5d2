"""Tenants: whose things are kept apart, and how much each may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["Allowance", "Tenant"]


@dataclass(frozen=True)
class Allowance:
    """Limits of a tenant; None: as the settings say, 0: none."""

    requests_per_minute: int | None = None
    queued_items: int | None = None
    bytes_per_day: int | None = None


@dataclass(frozen=True)
class Tenant:
    """`weight`: its share of the workers while others wait too."""

    id: int
    name: str
    weight: float
    allowance: Allowance
    created_at: datetime
