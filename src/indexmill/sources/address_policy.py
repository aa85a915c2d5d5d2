"""Which hosts may be contacted: public addresses, and what the settings add to them."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from indexmill.errors import InvalidRequest, SettingsError, SourceRefused

__all__ = ["AddressPolicy", "IPAddress", "is_public", "literal_address", "normal_host"]

IPAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Everything else of IPv4 is somebody's public address. Listed here, because what the standard library calls global
#: differs between its versions.
_NOT_PUBLIC_V4: Final = tuple(
    map(
        ipaddress.IPv4Network,
        [
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            # Link-local, and the metadata service of most clouds.
            "169.254.0.0/16",
            # Public by its number, but the host's own platform agent on one cloud.
            "168.63.129.16/32",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ],
    )
)
_GLOBAL_UNICAST_V6: Final = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_V6: Final = tuple(
    map(
        ipaddress.IPv6Network,
        # Protocol assignments with Teredo, documentation (twice).
        ["2001::/23", "2001:db8::/32", "3fff::/20"],
    )
)
_MAPPED: Final = ipaddress.IPv6Network("::ffff:0:0/96")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_SIX_TO_FOUR: Final = ipaddress.IPv6Network("2002::/16")

_HOST: Final = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*")
_WITH_PORT: Final = re.compile(r"(?P<host>\[[^\]]+\]|[^:]+):(?P<port>[0-9]{1,5})")


def is_public(address: IPAddress) -> bool:
    """Whether this is an address of the public internet, also where it carries an IPv4 address within."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in each for each in _NOT_PUBLIC_V4)
    if address in _MAPPED or address in _NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if address in _SIX_TO_FOUR:
        return is_public(ipaddress.IPv4Address((int(address) >> 80) & 0xFFFFFFFF))
    return address in _GLOBAL_UNICAST_V6 and not any(address in each for each in _NOT_PUBLIC_V6)


def literal_address(host: str) -> IPAddress | None:
    """The address that `host` spells, in every spelling that the resolver takes: `2130706433`, `0x7f.1`, `::1`."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


def normal_host(host: str) -> str:
    """The host as it is asked for and compared: lower case, ASCII, without the dot of the root.

    Raises:
        InvalidRequest: no host name and no address.
    """
    lowered = host.lower()
    if ":" in lowered:
        try:
            return ipaddress.IPv6Address(lowered.partition("%")[0]).compressed
        except ValueError:
            raise InvalidRequest("URI: expected a host name or an address, got neither") from None
    try:
        name = lowered.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError:
        name = ""
    if not _HOST.fullmatch(name):
        raise InvalidRequest("URI: expected a host name or an address, got neither")
    return name


@dataclass(frozen=True)
class _Allowed:
    """One entry of `sources.allowed_hosts`: a name or a network, for one port or for all."""

    name: str | None
    network: _Network | None
    port: int | None

    def names(self, host: str, port: int) -> bool:
        return self.name == host and self.port in {None, port}

    def holds(self, address: IPAddress, port: int) -> bool:
        return self.network is not None and address in self.network and self.port in {None, port}


class AddressPolicy:
    """Public addresses, plus `sources.allow_private_addresses` and `sources.allowed_hosts`."""

    def __init__(self, *, allow_private: bool, allowed_hosts: Sequence[str]) -> None:
        self._allow_private = allow_private
        self._allowed = [_parse(each) for each in allowed_hosts]

    def check_host(self, host: str, port: int) -> None:
        """What is known without asking a resolver: addresses spelled out, and names that always mean this machine.

        Raises:
            SourceRefused: it may not be contacted.
        """
        address = literal_address(host)
        if address is not None:
            self.check_addresses(host, port, [address])
        elif (host == "localhost" or host.endswith(".localhost")) and not self._is_allowed_name(host, port):
            raise _refused(host)

    def check_addresses(self, host: str, port: int, addresses: Sequence[IPAddress]) -> None:
        """Every address that `host` has; a single one that is forbidden is enough.

        Raises:
            SourceRefused: it may not be contacted.
        """
        if self._is_allowed_name(host, port):
            return
        for address in addresses:
            plain = _without_wrapping(address)
            if not is_public(plain) and not any(each.holds(plain, port) for each in self._allowed):
                raise _refused(host)

    def _is_allowed_name(self, host: str, port: int) -> bool:
        return self._allow_private or any(each.names(host, port) for each in self._allowed)


def _without_wrapping(address: IPAddress) -> IPAddress:
    """`::ffff:10.0.0.1` connects to 10.0.0.1: what is allowed for one is allowed for the other."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _refused(host: str) -> SourceRefused:
    # Not which address: that would tell strangers what the names of an inner network resolve to.
    return SourceRefused(
        f"`{host}` has an address that is not public, or means this machine; "
        "add it to `sources.allowed_hosts` if it may be read",
        setting="sources.allowed_hosts",
    )


def _parse(entry: str) -> _Allowed:
    try:
        return _Allowed(None, ipaddress.ip_network(entry, strict=False), None)
    except ValueError:
        pass
    host, port = entry, None
    split = _WITH_PORT.fullmatch(entry)
    if split is not None:
        host, port = split["host"].strip("[]"), int(split["port"])
    try:
        name = normal_host(host)
    except InvalidRequest:
        name = ""
    if not name or (port is not None and not 0 < port < 65536):
        raise SettingsError(
            "sources.allowed_hosts: expected host names, host:port, addresses or networks (10.0.0.0/8, [::1]:8080), "
            f"got {entry!r}"
        )
    address = literal_address(name)
    if address is not None:
        return _Allowed(None, ipaddress.ip_network(address), port)
    return _Allowed(name, None, port)
