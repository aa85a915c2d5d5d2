"""Processes of a running service: finding, killing and outliving them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from tests.running_service import RunningService, wait_until

__all__ = ["api_of", "family_of", "is_gone", "kill_all", "memory_peaks", "wait_gone"]


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


@contextmanager
def memory_peaks(service: RunningService) -> Iterator[dict[str, int]]:
    """The most memory of each process that the service has, in bytes, by what it runs."""
    found: dict[str, int] = {}
    ending = threading.Event()

    def watch() -> None:
        while not ending.wait(0.1):
            for process in family_of(service):
                try:
                    name = next((part for part in process.cmdline() if part.startswith("indexmill.")), process.name())
                    found[name] = max(found.get(name, 0), process.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        ending.set()
        thread.join()


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
