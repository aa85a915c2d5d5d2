"""Processes of a running service: finding, killing and outliving them."""

from __future__ import annotations

import psutil

from tests.running_service import RunningService, wait_until

__all__ = ["api_of", "family_of", "is_gone", "kill_all", "wait_gone"]


def family_of(service: RunningService) -> list[psutil.Process]:
    """The supervisor and all that descends from it."""
    assert service.process is not None
    supervisor = psutil.Process(service.process.pid)
    return [supervisor, *supervisor.children(recursive=True)]


def api_of(service: RunningService) -> psutil.Process:
    return next(each for each in family_of(service) if "indexmill.api_process" in " ".join(_words(each)))


def kill_all(processes: list[psutil.Process]) -> None:
    for process in processes:
        if process.is_running():
            process.kill()


def is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_gone(processes: list[psutil.Process], timeout: float) -> None:
    """Fail where one of them is still there after the time; it is killed then."""
    try:
        wait_until(lambda: all(is_gone(each) for each in processes), timeout, "the processes to end", pause=0.05)
    finally:
        kill_all([each for each in processes if not is_gone(each)])


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
