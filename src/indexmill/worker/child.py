"""Child processes: how a supervisor starts one, what it hands down, and how a child follows its parent's death."""

from __future__ import annotations

import ctypes
import faulthandler
import json
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

from indexmill.errors import SettingsError
from indexmill.settings import Settings
from indexmill.telemetry import set_up_logging

__all__ = ["Inherited", "Spawned", "inherit", "spawn"]

_VARIABLE = "INDEXMILL_INHERITED"
_PR_SET_PDEATHSIG = 1
_READY = b"r"
#: An orphan that has not stopped by then ends hard: nobody is left to kill it. Requests have 10 s for their answers.
_ORPHAN_SECONDS = 15.0
_LOOK_SECONDS = 0.5
_LAST_WORDS_SECONDS = 2.0

_log = logging.getLogger(__name__)


@dataclass
class Spawned:
    """A started child, and the pipe on which it says that it is ready."""

    process: subprocess.Popen[bytes]
    pipe: int
    _was_ready: bool = False

    @property
    def is_ready(self) -> bool:
        """Whether it has said that it is ready and is still there."""
        if not self._was_ready:
            readable, _, _ = select.select([self.pipe], [], [], 0)
            self._was_ready = bool(readable) and os.read(self.pipe, 1) == _READY
        return self._was_ready and self.process.poll() is None

    def close(self) -> None:
        os.close(self.pipe)


@dataclass(frozen=True)
class Inherited:
    """What a child needs: resolved settings, the ledger's URL, its supervisor's name, how many slots it runs."""

    settings: Settings
    url: str
    supervisor: str
    slots: int
    pipe: int

    def report_ready(self) -> None:
        """Tell the supervisor that work can come."""
        os.write(self.pipe, _READY)


def spawn(module: str, settings: Settings, url: str, supervisor: str, slots: int) -> Spawned:
    """Start `python -m module`, in a session of its own: Ctrl-C reaches the supervisor alone.

    Raises:
        OSError: the system has no process, memory or descriptor to spare; nothing is left over.
    """
    ours, theirs = os.pipe()
    inherited = {
        "settings": settings.revealed(),
        "url": url,
        "supervisor": supervisor,
        "slots": slots,
        "parent": os.getpid(),
        "pipe": theirs,
    }
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            env={**os.environ, _VARIABLE: json.dumps(inherited)},
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs],
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return Spawned(process, ours)


def inherit(orphan_seconds: float = _ORPHAN_SECONDS) -> Inherited:
    """What the supervisor handed down; from here on its death is this process's SIGTERM, and its end so much later.

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
    follower = threading.Thread(target=_follow, args=(values["parent"], orphan_seconds), name="follower", daemon=True)
    follower.start()
    return Inherited(settings, values["url"], values["supervisor"], values["slots"], values["pipe"])


def _follow(parent: int, seconds: float) -> None:
    """Wait for the parent's death; end this process if it is still there so many seconds later, and say where it stood.

    Its leases run out, and its open transaction is rolled back: an end at any instruction is safe.
    """
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    time.sleep(seconds)
    # Whatever the log does: the pipe that it is written to may be full, and nobody reads it any more.
    last = threading.Timer(_LAST_WORDS_SECONDS, os._exit, (1,))
    last.daemon = True
    last.start()
    try:
        _log.error("the supervisor is gone and this process did not stop within %g s; its threads stood at:", seconds)
        faulthandler.dump_traceback(all_threads=True)
    finally:
        os._exit(1)
