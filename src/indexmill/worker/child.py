"""Child processes: how a supervisor starts one, what it hands down, and how a child follows its parent's death."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass

from indexmill.errors import SettingsError
from indexmill.settings import Settings
from indexmill.telemetry import set_up_logging

__all__ = ["Inherited", "inherit", "spawn"]

_VARIABLE = "INDEXMILL_INHERITED"
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Inherited:
    """What a child needs: resolved settings, the ledger's URL, its supervisor's name, how many slots it runs."""

    settings: Settings
    url: str
    supervisor: str
    slots: int
    parent: int


def spawn(module: str, settings: Settings, url: str, supervisor: str, slots: int) -> subprocess.Popen[bytes]:
    """Start `python -m module`, in a session of its own: Ctrl-C reaches the supervisor alone."""
    inherited = {
        "settings": settings.model_dump(mode="json"),
        "url": url,
        "supervisor": supervisor,
        "slots": slots,
        "parent": os.getpid(),
    }
    return subprocess.Popen(
        [sys.executable, "-m", module],
        env={**os.environ, _VARIABLE: json.dumps(inherited)},
        start_new_session=True,
        stdin=subprocess.DEVNULL,
    )


def inherit() -> Inherited:
    """What the supervisor handed down; from here on its death is this process's SIGTERM.

    Raises:
        SettingsError: nothing was handed down.
    """
    # Popped: the URL has a password in it, and nothing that this process starts needs it.
    handed = os.environ.pop(_VARIABLE, None)
    if handed is None:
        raise SettingsError(f"{_VARIABLE}: expected to be started by `indexmill serve` or `indexmill worker`")
    values = json.loads(handed)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != values["parent"]:
        # It died before we asked to be told.
        raise SystemExit(0)
    settings = Settings(**values["settings"])
    set_up_logging(settings.log_level)
    return Inherited(settings, values["url"], values["supervisor"], values["slots"], values["parent"])
