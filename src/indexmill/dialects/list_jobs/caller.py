"""Who calls: the tenant that authentication has found, and the customer ids that requests of this API repeat."""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request

from indexmill.domain.principal import LOCAL
from indexmill.errors import Forbidden, InvalidRequest
from indexmill.http.identity import current_principal

__all__ = ["check_customer", "tenant_of"]

_CUSTOMER: Final = "customer-id"


def tenant_of(_: Request) -> int:
    return current_principal().tenant


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
    principal = current_principal()
    tenant = principal.tenant
    if principal != LOCAL and said - {tenant}:
        raise Forbidden(f"{_CUSTOMER}: expected the customer of your credential, or none, got {min(said - {tenant})}")
