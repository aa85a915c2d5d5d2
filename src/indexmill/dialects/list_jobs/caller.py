"""Who calls: the tenant that authentication has found, and the customer ids that requests of this API repeat."""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request

from indexmill.domain.job import DEFAULT_TENANT
from indexmill.errors import Forbidden, InvalidRequest

__all__ = ["check_customer", "tenant_of"]

_CUSTOMER: Final = "customer-id"


def tenant_of(request: Request) -> int:
    tenant = getattr(request.state, "tenant", None)
    return int(tenant) if tenant is not None else DEFAULT_TENANT


def check_customer(request: Request, *named: int) -> None:
    """What the request says of its customer, in the header or in its body: the tenant of its credential, or nothing.

    Without a credential there is nobody to compare it with: clients send the number that they had elsewhere.

    Args:
        named: customer ids in the body; 0 where there is none.

    Raises:
        InvalidRequest: the header holds no number.
        Forbidden: it is another tenant.
    """
    header = request.headers.get(_CUSTOMER, "").strip()
    if header and re.fullmatch(r"[0-9]{1,18}", header) is None:
        raise InvalidRequest(f"{_CUSTOMER}: expected a whole number, got {header[:40]!r}")
    said = {*named, int(header or 0)} - {0}
    tenant = getattr(request.state, "tenant", None)
    if tenant is not None and said - {tenant}:
        raise Forbidden(f"{_CUSTOMER}: expected the customer of your credential, or none, got {min(said - {tenant})}")
