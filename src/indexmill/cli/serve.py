"""`indexmill serve`: options to settings, then the service of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

__all__ = ["serve"]


@click.command(short_help="Run the API, the workers and the database of this machine.")
@click.option("--host", help="Where to listen; beyond loopback only with an API key.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Where to listen.  [default: 8080]")
@click.option("--data-folder", type=click.Path(file_okay=False, path_type=Path), help="Where everything is kept.")
@click.option("--processes", type=click.IntRange(1, 256), help="Worker processes.  [default: one a core]")
def serve(host: str | None, port: int | None, data_folder: Path | None, processes: int | None) -> int:
    """Run the API with the workers, and the database where none is configured, until interrupted.

    Options win over the environment (INDEXMILL_SERVER__PORT=8081), which wins over settings.yaml.
    """
    from indexmill.settings import load_settings

    overrides: dict[str, Any] = {
        "server": _given(host=host, port=port),
        "worker": _given(processes=processes),
        **_given(data_folder=data_folder.absolute() if data_folder else None),
    }
    settings = load_settings(**{name: value for name, value in overrides.items() if value})
    from indexmill.serve import serve as run_service

    return run_service(settings)


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}
