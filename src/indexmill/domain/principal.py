"""Who asks: the tenant whose things there are for it, and what it may do with them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from indexmill.domain.job import DEFAULT_TENANT

__all__ = ["LOCAL", "Principal", "Role"]

_MAX_HANDLE: Final = 255


class Role(StrEnum):
    """Each may do what those before it may."""

    #: Reads and searches.
    READ = "read"
    #: Submits, changes, cancels and deletes documents, jobs and knowledge bases.
    WRITE = "write"
    #: Deploys and withdraws models, and deletes the record of what was done.
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        return tuple(Role).index(self)

    def covers(self, needed: Role) -> bool:
        return self.rank >= needed.rank


@dataclass(frozen=True)
class Principal:
    """`subject`: the key or the token's subject, for logs; no secret. `name`: of the key, for people."""

    tenant: int
    role: Role
    subject: str
    name: str = ""

    @property
    def handle(self) -> str | None:
        """As whose jobs are stored; None where no credential was shown."""
        if self == LOCAL:
            return None
        said = self.name or self.subject
        return "".join(each for each in said if each.isprintable())[:_MAX_HANDLE] or None

    @property
    def is_operator(self) -> bool:
        """Whether it may see what belongs to no tenant: measurements of the whole service."""
        return self.tenant == DEFAULT_TENANT and self.role is Role.ADMIN


#: Every program of this machine, where no authentication is required.
LOCAL = Principal(DEFAULT_TENANT, Role.ADMIN, "local")
