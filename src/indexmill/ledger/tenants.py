"""Tenants by name and number, and what they have used of their limits."""

from __future__ import annotations

from dataclasses import dataclass

from indexmill.domain.tenant import Allowance, Tenant
from indexmill.errors import InvalidRequest, TenantNotFound
from indexmill.ledger.database import Connection, Database, Row, run_query

__all__ = ["Tenants"]

_MAX_NAME = 255


@dataclass(frozen=True)
class Tenants:
    database: Database

    def ensure(self, name: str) -> Tenant:
        """The tenant of this name, made where there is none.

        Raises:
            InvalidRequest: it is no name.
        """
        if not 1 <= len(name) <= _MAX_NAME or not name.isprintable():
            raise InvalidRequest(f"tenant: expected a name of 1 to {_MAX_NAME} printable characters")

        def work(connection: Connection) -> Row:
            # Looked for first: a number is not used up by everyone who comes in.
            if not run_query(connection, "find_tenant", name=name):
                run_query(connection, "make_tenant", name=name)
            return run_query(connection, "find_tenant", name=name)[0]

        return _tenant(self.database.read(work))

    def find(self, name: str) -> Tenant:
        """Raises: TenantNotFound."""
        rows = [] if "\0" in name else self.database.query("find_tenant", name=name)
        if not rows:
            raise TenantNotFound(name)
        return _tenant(rows[0])

    def get(self, tenant: int) -> Tenant:
        """Raises: TenantNotFound."""
        rows = self.database.query("read_tenant", id=tenant)
        if not rows:
            raise TenantNotFound(str(tenant))
        return _tenant(rows[0])

    def all(self) -> list[Tenant]:
        return [_tenant(row) for row in self.database.query("list_tenants")]

    def update(self, name: str, *, weight: float | None = None, allowance: Allowance | None = None) -> Tenant:
        """What is None stays; a limit of -1 is again what the settings say.

        Raises:
            TenantNotFound
        """
        given = allowance or Allowance()
        changed = self.database.query(
            "update_tenant",
            name=name,
            weight=weight,
            requests_per_minute=given.requests_per_minute,
            queued_items=given.queued_items,
            bytes_per_day=given.bytes_per_day,
        )
        if not changed:
            raise TenantNotFound(name)
        return self.find(name)

    def queued_items(self, tenant: int) -> int:
        """Items of its unfinished jobs that have no outcome yet."""
        return int(self.database.query("queued_items", tenant=tenant)[0]["items"])

    def add_bytes(self, tenant: int, count: int) -> int:
        """Bytes that came in today; all of the day so far."""
        # A lost answer may count a few twice: a limit, not an invoice.
        return int(self.database.query("add_usage", tenant=tenant, bytes=count)[0]["bytes"])

    def bytes_today(self, tenant: int) -> tuple[int, int]:
        """And how many seconds there are until midnight (UTC)."""
        row = self.database.query("read_usage", tenant=tenant)[0]
        return int(row["bytes"]), int(row["seconds_left"])


def _tenant(row: Row) -> Tenant:
    allowance = Allowance(row["requests_per_minute"], row["queued_items"], row["bytes_per_day"])
    return Tenant(row["id"], row["name"], row["weight"], allowance, row["created_at"])
