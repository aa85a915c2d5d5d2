"""Ends this process when a window hangs past its deadline, even in code that never lets Python run again."""

from __future__ import annotations

import faulthandler
from dataclasses import dataclass

__all__ = ["Watchdog"]


@dataclass(frozen=True)
class Watchdog:
    """The standard library's own timer thread, in C: it needs no interpreter lock, and says where the code stood.

    Whoever watches this process may have died before it, so it does not rely on being killed.
    """

    seconds: float

    def arm(self) -> None:
        """Exit with code 1 in so many seconds; called again: counted from now."""
        faulthandler.dump_traceback_later(self.seconds, exit=True)

    def disarm(self) -> None:
        faulthandler.cancel_dump_traceback_later()
