"""Which addresses the processes of a service connect to, written down by Python's own audit events."""

from __future__ import annotations

from pathlib import Path

__all__ = ["contacted_hosts", "log_contacts"]

_HOOK = """
import sys

def _note(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        with open({log!r}, "a") as log:
            log.write(f"{{arguments[1][0]}}\\n")

sys.addaudithook(_note)
"""


def log_contacts(folder: Path) -> dict[str, str]:
    """The environment of a service whose every process logs them."""
    (folder / "sitecustomize.py").write_text(_HOOK.format(log=str(folder / "contacts.log")))
    return {"PYTHONPATH": str(folder)}


def contacted_hosts(folder: Path) -> set[str]:
    return set((folder / "contacts.log").read_text().splitlines())
