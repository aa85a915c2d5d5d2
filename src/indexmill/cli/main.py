"""The entry point: finds the command, runs it, and turns every expected error into one sentence and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from indexmill.cli.exit_codes import MEANINGS, ExitCode
from indexmill.errors import IndexmillError, SettingsError

__all__ = ["main", "run"]

#: Command -> "module:object". A module is imported when its command is used, so that `jobs list` starts no server code.
_COMMANDS: Final[dict[str, str]] = {
    "serve": "indexmill.cli.serve:serve",
    "worker": "indexmill.cli.worker:worker",
    "flower": "indexmill.cli.flower:flower",
    "jobs": "indexmill.cli.jobs:jobs",
    "search": "indexmill.cli.search:search",
    "collections": "indexmill.cli.search:collections",
    "models": "indexmill.cli.models:models",
    "keys": "indexmill.cli.keys:keys",
    "tenants": "indexmill.cli.tenants:tenants",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        target = _COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, _, name = target.partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)  # noqa: S101 - the table above names commands only
        return command

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), meaning) for code, meaning in MEANINGS.items()])


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from indexmill import __version__

        click.echo(f"indexmill {__version__}")
        ctx.exit()


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
def cli() -> None:
    """Keep vector indexes up to date: run the service, or talk to a running one.

    `jobs`, `models`, `collections` and `search` talk to the service at --url (environment: INDEXMILL_URL), with the API
    key in INDEXMILL_API_KEY where it wants one. `keys` and `tenants` work on the database of the settings.
    Results go to standard output, messages and progress to standard error.
    """


def main() -> None:
    """Run the command of this process and exit."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; its exit code."""
    try:
        result = cli.main(args=list(arguments), prog_name="indexmill", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output (`head`) has enough. What is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except IndexmillError as error:
        return _say(error, ExitCode.USAGE if isinstance(error, SettingsError) else ExitCode.SERVICE_FAILED)
    return result if isinstance(result, int) else ExitCode.OK


def _say(error: Exception, code: ExitCode) -> int:
    click.echo(f"indexmill: {error}", err=True)
    return code
