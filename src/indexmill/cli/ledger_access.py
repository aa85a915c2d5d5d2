"""What commands need that work on the ledger itself: `keys` and `tenants`, whether the service runs or not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec

import click

from indexmill.cli.exit_codes import ExitCode
from indexmill.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from indexmill.ledger.ledger import Ledger

__all__ = ["opens_ledger"]

P = ParamSpec("P")


def opens_ledger(command: Callable[Concatenate[Ledger, bool, P], int]) -> Callable[..., int]:
    """Give the command the ledger of the settings and `as_json`."""

    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    @functools.wraps(command)
    def wrapped(as_json: bool, *args: P.args, **kwargs: P.kwargs) -> int:
        from indexmill.ledger.ledger import open_ledger
        from indexmill.serve import reachable_database
        from indexmill.settings import load_settings

        settings = load_settings()
        try:
            with reachable_database(settings) as url:
                ledger = open_ledger(url, settings, pool_size=2)
                try:
                    return command(ledger, as_json, *args, **kwargs)
                finally:
                    ledger.database.close()
        except NotFound as error:
            click.echo(f"indexmill: {error}", err=True)
            return ExitCode.NOT_FOUND
        except InvalidRequest as error:
            click.echo(f"indexmill: {error}", err=True)
            return ExitCode.USAGE

    return wrapped
