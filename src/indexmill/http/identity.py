"""Whose request is being answered: set where it is authenticated, read by whatever looks up a tenant's things."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from starlette.requests import Request

from indexmill.domain.principal import Principal

__all__ = ["Caller", "acting", "as_sent", "become", "caller_of_request", "current_principal", "current_rate"]


@dataclass
class Caller:
    """Of one request; shared with the threads that work for it."""

    principal: Principal | None = None
    #: How many requests a minute its tenant may make, and how many more now; None: without a limit.
    rate: tuple[int, int] | None = None


_caller: ContextVar[Caller] = ContextVar("caller")


def current_principal() -> Principal:
    """
    Raises:
        RuntimeError: nobody was authenticated; a route that is marked public has asked for a tenant's things.
    """
    caller = _caller.get(None)
    if caller is None or caller.principal is None:
        raise RuntimeError("expected a route with authentication, or one that says for whom it acts")
    return caller.principal


def current_rate() -> tuple[int, int] | None:
    """The caller's limit of requests, and how many more it may make now."""
    caller = _caller.get(None)
    return None if caller is None else caller.rate


def become(principal: Principal, rate: tuple[int, int] | None = None) -> None:
    """Act for it until the end of this request."""
    caller = _caller.get()
    caller.principal, caller.rate = principal, rate


def as_sent(request: Request) -> tuple[str, str]:
    """Path and query, as a signed URL has them: not as a parser of whole URLs would divide them."""
    return request.scope["path"], request.scope["query_string"].decode("latin-1")


@contextmanager
def caller_of_request() -> Iterator[Caller]:
    """Nobody, until somebody is authenticated."""
    caller = Caller()
    token = _caller.set(caller)
    try:
        yield caller
    finally:
        _caller.reset(token)


@contextmanager
def acting(principal: Principal) -> Iterator[None]:
    """Act for it within this block."""
    with caller_of_request() as caller:
        caller.principal = principal
        yield
