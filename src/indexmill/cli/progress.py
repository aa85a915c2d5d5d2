"""The progress bar of a job on standard error; where that is no terminal, nothing is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from indexmill.cli.output import plain

if TYPE_CHECKING:
    from indexmill.client import Job

__all__ = ["job_progress"]


@contextmanager
def job_progress() -> Iterator[Callable[[Job], None]]:
    """A function to call with each look at the job."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None, rate="")

        def update(job: Job) -> None:
            failed = job.counters.get("failed", 0)
            description = plain(f"{job.name}: {job.state}" + (f", {failed} failed" if failed else ""))
            done = job.finished_items
            elapsed = progress.tasks[0].elapsed or 0.0
            rate = f"{done / elapsed:,.0f} items/s" if elapsed > 0.5 and done else ""
            progress.update(task, description=description, completed=done, total=max(job.total_items, 1), rate=rate)
            if job.ended:
                progress.update(task, completed=max(job.total_items, 1))

        yield update
