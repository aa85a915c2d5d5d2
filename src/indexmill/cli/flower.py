"""`indexmill flower`: a page that watches the worker processes of a service whose settings it shares."""

from __future__ import annotations

import click

__all__ = ["flower"]


@click.command()
@click.option("--host", help="Where to listen; other than loopback only with flower.basic_auth.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Where to listen.  [default: 5555]")
def flower(host: str | None, port: int | None) -> int:
    """Run Flower on the service's broker until interrupted.

    It shows worker processes and the wakes that they work on, not jobs: those are in `indexmill jobs`.
    """
    from indexmill.settings import load_settings

    given = {name: value for name, value in {"host": host, "port": port}.items() if value is not None}
    settings = load_settings(**({"flower": given} if given else {}))
    from indexmill.http.listening import check_port
    from indexmill.worker.flower import run_flower

    check_port(settings.flower.host, settings.flower.port, patience=0, section="flower")
    click.echo(f"Flower listens on http://{settings.flower.host}:{settings.flower.port}/", err=True)
    return run_flower(settings)
