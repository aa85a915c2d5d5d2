"""API keys as they are stored: by id, with a hash of the whole key."""

from __future__ import annotations

from dataclasses import dataclass

from indexmill.domain.api_key import ApiKey, NewApiKey
from indexmill.domain.principal import Role
from indexmill.errors import KeyNotFound
from indexmill.ledger.database import Database, Row

__all__ = ["ApiKeys", "FoundKey"]

_MAX_LISTED = 10_000


@dataclass(frozen=True)
class FoundKey:
    """`is_good`: neither disabled nor expired by the database's clock."""

    key: ApiKey
    hash: bytes
    is_good: bool
    #: Its last use is not recorded yet, or more than a minute ago.
    is_unseen: bool


@dataclass(frozen=True)
class ApiKeys:
    database: Database

    def add(self, new: NewApiKey, tenant: int, name: str, role: Role, expires_in_seconds: float | None) -> ApiKey:
        rows = self.database.query(
            "insert_api_key",
            id=new.id,
            tenant=tenant,
            name=name,
            role=str(role),
            hash=new.hash,
            seconds=expires_in_seconds,
        )
        return _key(rows[0])

    def find(self, key_id: str) -> FoundKey | None:
        rows = self.database.query("find_api_key", id=key_id)
        if not rows:
            return None
        row = rows[0]
        return FoundKey(_key(row), bytes(row["hash"]), row["is_good"], row["is_unseen"])

    def note_use(self, key_id: str) -> None:
        """At most once a minute: a busy key is no reason for a write a request."""
        self.database.query("use_api_key", id=key_id)

    def page(self, tenant: str | None = None) -> list[tuple[str, ApiKey]]:
        """Each with its tenant's name."""
        rows = self.database.query("list_api_keys", tenant=tenant, limit=_MAX_LISTED)
        return [(row["tenant_name"], _key(row)) for row in rows]

    def disable(self, key_id: str, in_seconds: float = 0) -> None:
        """
        Raises:
            KeyNotFound
        """
        if not self.database.query("disable_api_key", id=key_id, seconds=in_seconds):
            raise KeyNotFound(key_id)

    def add_failures(self, refused: int, throttled: int) -> None:
        """Count log-ins that failed, and those that were not even looked at."""
        self.database.query("add_login_failures", refused=refused, throttled=throttled)

    def has_any(self) -> bool:
        """Whether there ever was one."""
        return bool(self.database.query("has_api_key"))

    def has_good(self) -> bool:
        """Whether there is one that opens."""
        return bool(self.database.query("has_good_api_key"))


def _key(row: Row) -> ApiKey:
    return ApiKey(
        id=row["id"],
        tenant=row["tenant"],
        name=row["name"],
        role=Role(row["role"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        disabled_at=row["disabled_at"],
        last_used_at=row["last_used_at"],
    )
