"""`indexmill tenants`: whose things are kept apart, and how much each may ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from indexmill.cli.exit_codes import ExitCode
from indexmill.cli.ledger_access import opens_ledger
from indexmill.cli.output import print_json, print_table

if TYPE_CHECKING:
    from indexmill.domain.tenant import Tenant
    from indexmill.ledger.ledger import Ledger

__all__ = ["tenants"]

_LIMIT = click.IntRange(min=-1, max=2**31 - 1)
_LARGE_LIMIT = click.IntRange(min=-1, max=2**62)


@click.group()
def tenants() -> None:
    """List tenants, and set what each may ask for. A tenant is made with its first key: `indexmill keys create`."""


@tenants.command("list", short_help="List the tenants with their weights and limits.")
@opens_ledger
def list_tenants(ledger: Ledger, as_json: bool) -> int:
    """List the tenants with their weights and limits; a limit that is not shown is that of the settings."""
    found = ledger.tenants.all()
    if as_json:
        print_json({"tenants": [_view(each) for each in found]})
        return ExitCode.OK
    columns = ("ID", "TENANT", "WEIGHT", "REQUESTS A MINUTE", "QUEUED ITEMS", "BYTES A DAY")
    print_table(columns, (tuple(_view(each).values())[:6] for each in found), empty="There is no tenant.")
    return ExitCode.OK


@tenants.command("set", short_help="Set the weight and the limits of TENANT.")
@click.argument("name", metavar="TENANT")
@click.option("--weight", type=click.FloatRange(0.01, 100), help="Its share of the workers while others wait too.")
@click.option("--requests-per-minute", type=_LIMIT, help="0: no limit; -1: that of the settings.")
@click.option("--queued-items", type=_LARGE_LIMIT, help="How many items may wait; 0 and -1 as above.")
@click.option("--bytes-per-day", type=_LARGE_LIMIT, help="Of request bodies; 0 and -1 as above.")
@opens_ledger
def set_tenant(
    ledger: Ledger,
    as_json: bool,
    *,
    name: str,
    weight: float | None,
    requests_per_minute: int | None,
    queued_items: int | None,
    bytes_per_day: int | None,
) -> int:
    """Set the weight and the limits of TENANT; they hold after 5 seconds at most. What is not given stays."""
    from indexmill.domain.tenant import Allowance

    allowance = Allowance(requests_per_minute, queued_items, bytes_per_day)
    changed = ledger.tenants.update(name, weight=weight, allowance=allowance)
    if as_json:
        print_json(_view(changed))
    else:
        click.echo(f"Tenant {changed.name} is set.")
    return ExitCode.OK


def _view(tenant: Tenant) -> dict[str, Any]:
    return {
        "id": tenant.id,
        "name": tenant.name,
        "weight": tenant.weight,
        "requests_per_minute": tenant.allowance.requests_per_minute,
        "queued_items": tenant.allowance.queued_items,
        "bytes_per_day": tenant.allowance.bytes_per_day,
        "created_at": tenant.created_at.isoformat(timespec="seconds"),
    }
