"""Which address a request comes from: that of the connection, or what a trusted proxy says of it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from starlette.requests import Request

__all__ = ["address_of"]


def address_of(request: Request, trusted: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> str:
    """An IPv4 address, or an IPv6 network of 64 bits, of which one host has them all; `unknown` where there is none.

    Args:
        trusted: proxies whose `X-Forwarded-For` is believed. Anybody can send that header.
    """
    found = _parsed(request.client.host if request.client is not None else "")
    if found is None:
        return "unknown"
    said = [part for header in request.headers.getlist("x-forwarded-for") for part in header.split(",")]
    # Each proxy writes behind the others whom it was called by.
    while said and any(found in network for network in trusted):
        before = _parsed(said.pop().strip())
        if before is None:
            break
        found = before
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address
