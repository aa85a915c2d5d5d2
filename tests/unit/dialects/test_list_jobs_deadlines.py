"""How long a request may take, and whose it says that it is."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers
from starlette.requests import Request

from indexmill.dialects.list_jobs.caller import check_customer, tenant_of
from indexmill.dialects.list_jobs.deadlines import v1_seconds, v2_seconds
from indexmill.domain.principal import LOCAL, Principal, Role
from indexmill.errors import Forbidden, InvalidRequest
from indexmill.http.identity import acting


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 30),
        ({"timeout": "10S"}, 10),
        ({"timeout": "10s"}, 10),
        ({"timeout": "10"}, 10),
        ({"timeout": "61S"}, 60),
        ({"timeout": "5S", "grpc-timeout": "1S"}, 5),
        ({"grpc-timeout": "250m"}, 0.25),
        ({"grpc-timeout": "1M"}, 60),
        ({"grpc-timeout": "1H"}, 60),
    ],
)
def test_the_first_version_says_it_in_seconds_or_as_grpc_does(headers: dict[str, str], seconds: float) -> None:
    assert v1_seconds(Headers(headers)) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 30),
        ({"Request-Timeout": "7"}, 7),
        ({"Request-Timeout": "700"}, 60),
        ({"Request-Timeout-Millis": "1500", "Request-Timeout": "7"}, 1.5),
    ],
)
def test_the_second_version_says_it_in_two_headers(headers: dict[str, str], seconds: float) -> None:
    assert v2_seconds(Headers(headers)) == pytest.approx(seconds)


@pytest.mark.parametrize("given", ["", "S", "1.5S", "-1S", "1e3", "1" * 9])
def test_what_is_no_time_is_refused(given: str) -> None:
    for name, read in (("timeout", v1_seconds), ("grpc-timeout", v1_seconds), ("Request-Timeout", v2_seconds)):
        if name == "Request-Timeout" and given == "1" * 9:
            continue
        with pytest.raises(InvalidRequest, match=name):
            read(Headers({name: given}))


def _request(customer: str | None) -> Request:
    headers = [] if customer is None else [(b"customer-id", customer.encode())]
    return Request({"type": "http", "headers": headers})


def test_a_customer_is_the_tenant_of_the_credential_or_not_named() -> None:
    with acting(LOCAL):
        assert tenant_of(_request(None)) == LOCAL.tenant
        # Without a credential there is nobody to compare it with.
        check_customer(_request("123456"), 5)
    with acting(Principal(7, Role.READ, "a key")):
        assert tenant_of(_request("7")) == 7
        check_customer(_request("7"), 0, 7)
        check_customer(_request(""))
        for said, named in (("8", 0), (None, 8), ("7", 8)):
            with pytest.raises(Forbidden, match="customer-id"):
                check_customer(_request(said), named)
        with pytest.raises(InvalidRequest):
            check_customer(_request("seven"))
