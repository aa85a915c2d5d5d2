"""`indexmill flower`: Flower on the service's broker, read only: worker processes and their wakes, not jobs."""

from __future__ import annotations

import os
from importlib.util import find_spec

from indexmill.errors import SettingsError
from indexmill.settings import Settings
from indexmill.worker.celery_app import make_celery

__all__ = ["run_flower"]


def run_flower(settings: Settings) -> int:
    """Show the workers until SIGTERM or SIGINT. The exit code.

    Raises:
        SettingsError: Flower is not installed.
    """
    if find_spec("flower") is None:
        raise SettingsError("flower: expected the extra `worker`, it is not installed; pip install 'indexmill[worker]'")
    # Flower reads FLOWER_... and a flowerconfig.py where it is started: a way around the password.
    for name in [name for name in os.environ if name.startswith("FLOWER_")]:
        del os.environ[name]
    import flower.options  # noqa: F401 - defines the options that the next lines set
    from tornado.options import options

    wanted = settings.flower
    if wanted.basic_auth is not None:
        options.basic_auth = [wanted.basic_auth]
    code = make_celery(settings).start(
        [
            "--quiet",
            "flower",
            f"--address={wanted.host}",
            f"--port={wanted.port}",
            f"--conf={os.devnull}",
            # Workers take no commands: what they do is decided in the ledger.
            "--read_only=true",
            "--enable_events=false",
            "--logging=error",
            "--max_tasks=10000",
        ]
    )
    return int(code or 0)
