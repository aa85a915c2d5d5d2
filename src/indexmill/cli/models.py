"""`indexmill models`: list, deploy and remove embedding models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from indexmill.cli.connection import asks_service
from indexmill.cli.exit_codes import ExitCode
from indexmill.cli.output import print_json, print_table
from indexmill.cli.scalars import key_values

if TYPE_CHECKING:
    from indexmill.client import IndexmillClient

__all__ = ["models"]


@click.group()
def models() -> None:
    """List, deploy and remove embedding models."""


@models.command("list")
@asks_service
def list_models(client: IndexmillClient, as_json: bool) -> int:
    """List the deployed models."""
    found = client.models()
    if as_json:
        print_json({"models": [each.raw for each in found]})
        return ExitCode.OK
    rows = ((each.id, each.provider, each.dimension, dict(each.settings) or None) for each in found)
    print_table(("MODEL", "PROVIDER", "DIMENSION", "SETTINGS"), rows, empty="No model is deployed.")
    return ExitCode.OK


@models.command("deploy")
@click.argument("model_id", metavar="MODEL")
@click.option("--provider", default="static", show_default=True, help="What kind of model it is.")
@click.option(
    "--set",
    "settings",
    metavar="KEY=VALUE",
    multiple=True,
    callback=key_values,
    help='A setting of the provider, a JSON value or a string (repeatable): dimension=128, text_keys=["title","body"].',
)
@asks_service
def deploy(client: IndexmillClient, as_json: bool, model_id: str, provider: str, settings: dict[str, Any]) -> int:
    """Deploy MODEL and open the collection of the same name."""
    model = client.deploy(model_id, provider, settings)
    if as_json:
        print_json(model.raw)
    else:
        click.echo(f"Model {model.id} is deployed: provider {model.provider}, {model.dimension} dimensions.")
    return ExitCode.OK


@models.command("remove", short_help="Take MODEL out of service; its vectors stay.")
@click.argument("model_id", metavar="MODEL")
@asks_service
def remove(client: IndexmillClient, as_json: bool, model_id: str) -> int:
    """Take MODEL out of service: its queued jobs are refused, its running ones fail; its vectors stay."""
    client.remove_model(model_id)
    if as_json:
        print_json({"removed": model_id})
    else:
        click.echo(f"Model {model_id} is removed.")
    return ExitCode.OK
