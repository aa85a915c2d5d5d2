"""CPU time of the service's worker processes and of its PostgreSQL, as Linux counts it; elsewhere nothing is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CpuTime", "cpu_time"]

_PROCESSES = Path("/proc")
_WORKER = b"indexmill.worker."


@dataclass(frozen=True)
class CpuTime:
    """Seconds. That of PostgreSQL includes what it does for the API."""

    workers: float
    postgres: float

    def __sub__(self, earlier: CpuTime) -> CpuTime:
        return CpuTime(self.workers - earlier.workers, self.postgres - earlier.postgres)


def cpu_time(serve: int, data_folder: Path) -> CpuTime | None:
    """What the workers of the process `serve`, and PostgreSQL, have used so far."""
    if not (_PROCESSES / "self/schedstat").exists():
        return None
    (pid_file,) = data_folder.rglob("postmaster.pid")
    postgres = _with_children(int(pid_file.read_text().split()[0]))
    workers = [each for each in _with_children(serve) if each not in postgres and _WORKER in _read(each, "cmdline")]
    return CpuTime(sum(map(_seconds, workers)), sum(map(_seconds, postgres)))


def _with_children(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for process in _numbers(_PROCESSES):
        fields = _read(process, "stat").rpartition(b")")[2].split()
        if fields:
            children.setdefault(int(fields[1]), []).append(process)
    found = [root]
    for process in found:
        found += children.get(process, [])
    return found


def _seconds(process: int) -> float:
    threads = _numbers(_PROCESSES / str(process) / "task")
    return sum(int((_read(process, f"task/{each}/schedstat") or b"0").split()[0]) for each in threads) / 1e9


def _numbers(folder: Path) -> Iterator[int]:
    try:
        yield from [int(each.name) for each in folder.iterdir() if each.name.isdecimal()]
    except OSError:
        # It has ended.
        return


def _read(process: int, name: str) -> bytes:
    try:
        return (_PROCESSES / str(process) / name).read_bytes()
    except OSError:
        return b""
