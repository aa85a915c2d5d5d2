"""What commands that talk to the service share: `--url`, `--api-key`, `--json`, the client, errors as exit codes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec

import click

from indexmill.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from indexmill.client import ClientError, IndexmillClient

__all__ = ["asks_service"]

P = ParamSpec("P")
_DEFAULT_URL: Final = "http://127.0.0.1:8080"


def asks_service(command: Callable[Concatenate[IndexmillClient, bool, P], int]) -> Callable[..., int]:
    """Give the command a client and `as_json`, and the options that they come from."""

    @click.option(
        "--url", envvar="INDEXMILL_URL", default=_DEFAULT_URL, show_default=True, help="Where the service is."
    )
    @click.option("--api-key", envvar="INDEXMILL_API_KEY", help="An API key, or a token; better in the environment.")
    @click.option("--json", "as_json", is_flag=True, help="Print the service's answer as JSON.")
    @functools.wraps(command)
    def wrapped(url: str, api_key: str | None, as_json: bool, *args: P.args, **kwargs: P.kwargs) -> int:
        from indexmill.client import ClientError, IndexmillClient

        try:
            with IndexmillClient(url, api_key=api_key) as client, _answers_understood(url):
                return command(client, as_json, *args, **kwargs)
        except ClientError as error:
            click.echo(f"indexmill: {error}", err=True)
            return _code(error)

    return wrapped


@contextmanager
def _answers_understood(url: str) -> Iterator[None]:
    """An answer without the fields of our API comes from another program, or another version."""
    from indexmill.client import ServiceFailed

    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        raise ServiceFailed(f"What answers at {url} is not this version of Indexmill (field {error})") from error


def _code(error: ClientError) -> ExitCode:
    from indexmill import client

    codes: dict[type[Any], ExitCode] = {
        client.ServiceUnreachable: ExitCode.UNREACHABLE,
        client.ResourceNotFound: ExitCode.NOT_FOUND,
        client.RequestConflict: ExitCode.CONFLICT,
        client.RequestRefused: ExitCode.USAGE,
        client.NotAllowed: ExitCode.NOT_ALLOWED,
        client.WaitTimeout: ExitCode.TIMEOUT,
    }
    return codes.get(type(error), ExitCode.SERVICE_FAILED)
