"""`indexmill keys`: make, list, disable and rotate API keys, in the database of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from indexmill.cli.exit_codes import ExitCode
from indexmill.cli.ledger_access import opens_ledger
from indexmill.cli.output import print_json, print_table

if TYPE_CHECKING:
    from datetime import datetime

    from indexmill.domain.api_key import ApiKey, NewApiKey
    from indexmill.ledger.ledger import Ledger

__all__ = ["keys"]

_DAY = 86_400


@click.group()
def keys() -> None:
    """Make, list, disable and rotate API keys.

    They are kept in the database of the settings (settings.yaml, INDEXMILL_...), of a running service too. Once there
    was one, every request needs one. A key that is disabled opens nothing more after 5 seconds at most.
    """


@keys.command("create")
@click.option("--tenant", default="default", show_default=True, help="Whose key it is; made where it is not there.")
@click.option(
    "--role",
    type=click.Choice(["read", "write", "admin"]),
    default="write",
    show_default=True,
    help="read: reads and searches; write: submits and changes too; admin: deploys models too.",
)
@click.option("--name", default="key", show_default=True, help="What people call it.")
@click.option("--expires-days", type=click.FloatRange(min=0, min_open=True, max=36_500), help="[default: never]")
@opens_ledger
def create(ledger: Ledger, as_json: bool, *, tenant: str, role: str, name: str, expires_days: float | None) -> int:
    """Make a key, and show it: this once, and never again."""
    from indexmill.domain.api_key import new_api_key
    from indexmill.domain.principal import Role
    from indexmill.errors import InvalidRequest

    if not 1 <= len(name) <= 255 or not name.isprintable():
        raise InvalidRequest("name: expected 1 to 255 printable characters")
    owner = ledger.tenants.ensure(tenant)
    new = new_api_key()
    seconds = None if expires_days is None else expires_days * _DAY
    key = ledger.api_keys.add(new, owner.id, name, Role(role), seconds)
    _show_new(new, key, owner.name, as_json)
    return ExitCode.OK


@keys.command("list")
@click.option("--tenant", help="Only of this one.")
@opens_ledger
def list_keys(ledger: Ledger, as_json: bool, tenant: str | None) -> int:
    """List the keys, without what they open with."""
    if tenant is not None:
        ledger.tenants.find(tenant)
    found = ledger.api_keys.page(tenant)
    if as_json:
        print_json({"keys": [_view(key, name) for name, key in found]})
        return ExitCode.OK
    rows = (
        (key.id, name, key.name, str(key.role), _state(key), _time(key.expires_at), _time(key.last_used_at))
        for name, key in found
    )
    columns = ("ID", "TENANT", "NAME", "ROLE", "STATE", "EXPIRES", "LAST USED")
    print_table(columns, rows, empty="There is no API key.")
    return ExitCode.OK


@keys.command("disable", short_help="Disable the key ID, and the tokens given for it.")
@click.argument("key_id", metavar="ID")
@opens_ledger
def disable(ledger: Ledger, as_json: bool, key_id: str) -> int:
    """Disable the key ID: within 5 seconds it opens nothing more, and nor do tokens that were given for it."""
    ledger.api_keys.disable(_id_in(key_id))
    if as_json:
        print_json({"disabled": _id_in(key_id)})
    else:
        click.echo(f"Key {_id_in(key_id)} is disabled.")
    return ExitCode.OK


@keys.command("rotate", short_help="Make a key like the key ID, and end that one.")
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap-hours",
    type=click.FloatRange(0, 24 * 365),
    default=0.0,
    show_default=True,
    help="How long the old key opens too.",
)
@opens_ledger
def rotate(ledger: Ledger, as_json: bool, key_id: str, overlap_hours: float) -> int:
    """Make a key like the key ID, for as long as that one was made for, and end that one."""
    from indexmill.domain.api_key import new_api_key
    from indexmill.errors import InvalidRequest, KeyNotFound

    old_id = _id_in(key_id)
    found = ledger.api_keys.find(old_id)
    if found is None:
        raise KeyNotFound(old_id)
    old = found.key
    if not found.is_good:
        raise InvalidRequest(f"Key {old_id}: expected one that opens, this one is {_state(old)}; make a new one")
    new = new_api_key()
    life = None if old.expires_at is None else (old.expires_at - old.created_at).total_seconds()
    key = ledger.api_keys.add(new, old.tenant, old.name, old.role, life)
    # The new one first: broken off here, there are two and not none.
    ledger.api_keys.disable(old_id, overlap_hours * 3600)
    _show_new(new, key, ledger.tenants.get(old.tenant).name, as_json)
    return ExitCode.OK


def _show_new(new: NewApiKey, key: ApiKey, tenant: str, as_json: bool) -> None:
    if as_json:
        print_json({**_view(key, tenant), "key": new.text, "client_id": new.id, "client_secret": new.text})
        return
    click.echo(
        f"Key {key.id} of tenant {tenant}, role {key.role}, expires {_time(key.expires_at) or 'never'}. "
        "It is shown this once:",
        err=True,
    )
    click.echo(new.text)


def _view(key: ApiKey, tenant: str) -> dict[str, Any]:
    return {
        "id": key.id,
        "tenant": tenant,
        "name": key.name,
        "role": str(key.role),
        "state": _state(key),
        "created_at": _time(key.created_at),
        "expires_at": _time(key.expires_at),
        "disabled_at": _time(key.disabled_at),
        "last_used_at": _time(key.last_used_at),
    }


def _state(key: ApiKey) -> str:
    from datetime import UTC, datetime

    if key.disabled_at is not None:
        return "disabled"
    return "expired" if key.expires_at is not None and key.expires_at <= datetime.now(UTC) else "active"


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")


def _id_in(text: str) -> str:
    """Whoever has the whole key at hand may give that."""
    from indexmill.domain.api_key import key_id_of

    return key_id_of(text) or text
