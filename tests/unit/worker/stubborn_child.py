"""A child that does not stop at SIGTERM: `python -m tests.unit.worker.stubborn_child`, for test_child."""

from __future__ import annotations

import signal
import time

from indexmill.worker.child import inherit

if __name__ == "__main__":
    inherited = inherit(orphan_seconds=0.2)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    inherited.report_ready()
    time.sleep(60)
