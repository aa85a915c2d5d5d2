"""`indexmill worker`: more workers for a service whose settings they share."""

from __future__ import annotations

import click

__all__ = ["worker"]


@click.command()
@click.option("--processes", type=click.IntRange(1, 256), help="Worker processes.  [default: one a core]")
def worker(processes: int | None) -> int:
    """Run workers on this machine until interrupted.

    They need the database and the broker of the service: the same settings.yaml or environment.
    """
    from indexmill.settings import load_settings

    settings = load_settings()
    from indexmill.assembly import compose_callbacks
    from indexmill.worker.worker import run_worker

    return run_worker(settings, processes or settings.worker.processes, compose_callbacks)
