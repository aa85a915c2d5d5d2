"""Failed log-ins by a clock of the test's own."""

from __future__ import annotations

import pytest

from indexmill.errors import LimitReached, Unauthorized
from indexmill.security import failed_logins
from indexmill.security.failed_logins import FailedLogins


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def logins(clock: Clock) -> FailedLogins:
    return FailedLogins(3, 60.0, clock)


def wait_of(logins: FailedLogins, address: str, credential: str = "never seen") -> int:
    try:
        logins.check(address, credential)
    except LimitReached as refused:
        return refused.retry_after
    return 0


def fail(logins: FailedLogins, address: str, *credentials: str) -> list[bool]:
    return [logins.failed(address, each, "no") for each in credentials]


def test_a_few_are_free_then_each_doubles_the_wait_up_to_the_longest(logins: FailedLogins, clock: Clock) -> None:
    fail(logins, "a", "1", "2", "3")
    assert wait_of(logins, "a") == 0
    waits = []
    for number in range(4, 14):
        fail(logins, "a", str(number))
        waits.append(wait_of(logins, "a"))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert wait_of(logins, "b") == 0, "others wait for nobody"
    clock.now += 59.5
    assert wait_of(logins, "a") == 1
    clock.now += 0.5
    assert wait_of(logins, "a") == 0


def test_a_program_with_one_wrong_credential_makes_nobody_wait(logins: FailedLogins, clock: Clock) -> None:
    for _ in range(1000):
        fail(logins, "a", "old key")
        clock.now += 1
    assert wait_of(logins, "a") == 0


def test_what_failed_a_moment_ago_is_not_looked_at_again(logins: FailedLogins, clock: Clock) -> None:
    logins.failed("a", "wrong", "The API key is not valid")
    with pytest.raises(Unauthorized, match="The API key is not valid"):
        logins.check("b", "wrong")
    clock.now += 3
    logins.check("a", "wrong")
    logins.opened("wrong")
    logins.check("a", "wrong")


def test_failures_are_forgiven_one_by_one(logins: FailedLogins, clock: Clock) -> None:
    fail(logins, "a", "1", "2", "3", "4")
    clock.now += 31
    fail(logins, "a", "5")
    assert wait_of(logins, "a") == 1, "not two"
    for number in range(100):
        clock.now += 31
        fail(logins, "a", f"now and then {number}")
    assert wait_of(logins, "a") <= 1


def test_what_has_opened_is_looked_at_whatever_others_of_its_address_do(logins: FailedLogins, clock: Clock) -> None:
    logins.opened("good")
    fail(logins, "a", *map(str, range(20)))
    assert wait_of(logins, "a", "good") == 0
    assert wait_of(logins, "a") == 60
    clock.now += 3600
    fail(logins, "a", *map(str, range(20, 60)))
    assert wait_of(logins, "a", "good") == 60, "it may have ended since"
    logins.opened("disabled")
    logins.failed("a", "disabled", "The API key is disabled")
    clock.now += 4
    assert wait_of(logins, "a", "disabled") > 0


def test_what_is_remembered_is_limited(logins: FailedLogins) -> None:
    for number in range(5000):
        logins.failed(f"address {number}", f"credential {number}", "no")
        logins.opened(f"good {number}")
    for table in (logins._addresses, logins._refused, logins._opened):
        assert len(table) == failed_logins._MAX_CREDENTIALS == failed_logins._MAX_ADDRESSES
