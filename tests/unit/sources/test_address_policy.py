"""Which addresses count as public, in every spelling, and what the settings add."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from indexmill.errors import InvalidRequest, SettingsError, SourceRefused
from indexmill.sources.address_policy import AddressPolicy, is_public, literal_address, normal_host

PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00:1450::1", "::ffff:1.1.1.1", "64:ff9b::101:101"]
NOT_PUBLIC = [
    "0.0.0.0",  # noqa: S104 - nothing is bound to it
    "10.1.2.3",
    "100.64.0.1",
    "100.127.255.254",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.168.1.1",
    "198.19.255.255",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b:1::101:101",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:c0a8:101::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "4000::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_everything_else_is_not(address: str) -> None:
    assert not is_public(ip_address(address))


LOOPBACK = ["2130706433", "0x7f.1", "0x7f000001", "017700000001", "127.1", "127.0.1", "0177.0.0.1"]


@pytest.mark.parametrize("host", LOOPBACK)
def test_every_spelling_of_loopback_is_loopback(host: str) -> None:
    assert literal_address(host) == ip_address("127.0.0.1")


@pytest.mark.parametrize("host", ["example.com", "a.b", "256.1.1.1", "cafe", "1.2.3.4.5", "münchen.example"])
def test_names_are_no_addresses(host: str) -> None:
    assert literal_address(host) is None


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("Example.COM.", "example.com"),
        ("MÜNCHEN.example", "xn--mnchen-3ya.example"),
        # Digits and dots of other scripts are digits and dots to a resolver.
        ("\uff11\uff12\uff17\u30020\uff0e0\uff611", "127.0.0.1"),
        ("0:0::1", "::1"),
    ],
)
def test_hosts_are_compared_in_one_form(given: str, normal: str) -> None:
    assert normal_host(given) == normal


@pytest.mark.parametrize("host", ["", ".", "a..b", "a b", "127%2e0%2e0%2e1", "a/b", "x" * 64 + ".example", "a" * 300])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(InvalidRequest):
        normal_host(host)


@pytest.mark.parametrize("host", ["localhost", "db.localhost", "127.0.0.1", "10.0.0.1", "2130706433", "::1"])
def test_nothing_private_is_allowed_unless_a_setting_says_so(host: str) -> None:
    with pytest.raises(SourceRefused, match=r"sources\.allowed_hosts") as refusal:
        AddressPolicy(allow_private=False, allowed_hosts=[]).check_host(host, 80)
    assert refusal.value.setting == "sources.allowed_hosts"
    AddressPolicy(allow_private=True, allowed_hosts=[]).check_host(host, 80)


@pytest.mark.parametrize(
    ("entry", "host", "port", "allowed"),
    [
        ("127.0.0.1", "127.0.0.1", 1, True),
        ("127.0.0.1:8080", "127.0.0.1", 8080, True),
        ("127.0.0.1:8080", "127.0.0.1", 8081, False),
        ("127.0.0.1:8080", "2130706433", 8080, True),
        ("10.0.0.0/8", "10.9.8.7", 80, True),
        ("10.0.0.0/8", "::ffff:10.9.8.7", 80, True),
        ("10.0.0.0/8", "11.0.0.1", 80, True),
        ("10.0.0.0/8", "192.168.0.1", 80, False),
        ("[::1]:80", "::1", 80, True),
        ("[::1]:80", "::1", 81, False),
        ("::1", "::1", 81, True),
        ("localhost", "localhost", 5432, True),
        ("localhost:80", "localhost", 5432, False),
        ("LOCALHOST.", "localhost", 1, True),
        ("localhost", "127.0.0.1", 80, False),
    ],
)
def test_an_allowed_host_is_allowed_and_no_other(entry: str, host: str, port: int, allowed: bool) -> None:
    policy = AddressPolicy(allow_private=False, allowed_hosts=[entry])
    if allowed:
        policy.check_host(host, port)
    else:
        with pytest.raises(SourceRefused):
            policy.check_host(host, port)


def test_one_forbidden_address_among_public_ones_is_enough() -> None:
    policy = AddressPolicy(allow_private=False, allowed_hosts=[])
    policy.check_addresses("mixed.example", 80, [ip_address("1.1.1.1")])
    with pytest.raises(SourceRefused):
        policy.check_addresses("mixed.example", 80, [ip_address("1.1.1.1"), ip_address("10.0.0.1")])


def test_an_allowed_name_may_resolve_to_anything() -> None:
    policy = AddressPolicy(allow_private=False, allowed_hosts=["files.inner:8080"])
    policy.check_addresses("files.inner", 8080, [ip_address("10.0.0.1")])
    with pytest.raises(SourceRefused):
        policy.check_addresses("files.inner", 80, [ip_address("10.0.0.1")])


def test_a_refusal_does_not_tell_what_a_name_resolves_to() -> None:
    with pytest.raises(SourceRefused) as refusal:
        AddressPolicy(allow_private=False, allowed_hosts=[]).check_addresses("a.inner", 80, [ip_address("10.9.8.7")])
    assert "10.9.8.7" not in str(refusal.value)


@pytest.mark.parametrize("entry", ["", "http://a", "a:0", "a:70000", "10.0.0.0/99", "a b", "*.example.com"])
def test_a_wrong_entry_stops_the_start(entry: str) -> None:
    with pytest.raises(SettingsError, match=r"sources\.allowed_hosts"):
        AddressPolicy(allow_private=False, allowed_hosts=[entry])
