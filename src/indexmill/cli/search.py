"""`indexmill search` and `indexmill collections`: what is indexed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from indexmill.cli.connection import asks_service
from indexmill.cli.exit_codes import ExitCode
from indexmill.cli.jobs import report_job
from indexmill.cli.output import print_json, print_table
from indexmill.cli.scalars import key_values

if TYPE_CHECKING:
    from indexmill.client import IndexmillClient

__all__ = ["collections", "search"]

_TEXT_SHOWN = 160


@click.command(short_help="Find the documents that are nearest to a text.")
@click.argument("collection")
@click.argument("text")
@click.option("--limit", type=click.IntRange(1, 1000), default=10, show_default=True)
@click.option(
    "--filter",
    "wanted",
    metavar="KEY=VALUE",
    multiple=True,
    callback=key_values,
    help='Only documents whose payload field equals the value (repeatable): lang=en, n=3, n="3" for a string.',
)
@asks_service
def search(
    client: IndexmillClient, as_json: bool, *, collection: str, text: str, limit: int, wanted: dict[str, Any]
) -> int:
    """Find the documents of COLLECTION that are nearest to TEXT, best first."""
    hits = client.search(collection, text, limit=limit, filter=wanted)
    if as_json:
        print_json({"hits": [hit.raw for hit in hits]})
        return ExitCode.OK
    rows = ((f"{hit.score:.4f}", hit.document_id, (hit.text or "")[:_TEXT_SHOWN]) for hit in hits)
    print_table(("SCORE", "DOCUMENT", "TEXT"), rows, empty="Nothing found.")
    return ExitCode.OK


@click.group(invoke_without_command=True, short_help="List collections, or rebuild the index of one.")
@asks_service
def collections(client: IndexmillClient, as_json: bool) -> int:
    """List the collections and how much is in them, or rebuild the vector index of one."""
    context = click.get_current_context()
    if context.invoked_subcommand is not None:
        given = (context.get_parameter_source(each.name or "") for each in context.command.params)
        if ParameterSource.COMMANDLINE in given:
            # They would be dropped in silence, and another service be asked.
            raise click.UsageError(f"expected options behind `{context.invoked_subcommand}`, got some before it")
        return ExitCode.OK
    found = client.collections()
    if as_json:
        print_json({"collections": [each.raw for each in found]})
        return ExitCode.OK
    rows = ((each.name, each.model, each.documents, each.chunks, each.generation) for each in found)
    print_table(("COLLECTION", "MODEL", "DOCUMENTS", "CHUNKS", "GENERATION"), rows, empty="There is no collection yet.")
    return ExitCode.OK


@collections.command("rebuild", short_help="Queue a job that builds the vector index anew.")
@click.argument("collection")
@asks_service
def rebuild(client: IndexmillClient, as_json: bool, collection: str) -> int:
    """Queue a job that builds the vector index of COLLECTION anew, measured against exact search.

    Searches go on meanwhile; `indexmill jobs watch` shows its progress.
    """
    return report_job(client.rebuild(collection), as_json)
