"""`indexmill jobs`: list, show, watch, cancel, retry and rerun jobs of a running service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from indexmill.cli.connection import asks_service
from indexmill.cli.exit_codes import ExitCode
from indexmill.cli.output import print_json, print_record, print_table

if TYPE_CHECKING:
    from indexmill.client import FailedItem, IndexmillClient, Job

__all__ = ["jobs", "report_job"]

_STATES = ["queued", "running", "retrying", "succeeded", "failed", "cancelled", "refused"]
_KINDS = ["upsertion", "deletion", "ingestion", "indexing", "cleanup", "rebuild", "replace_filter_attributes"]


@click.group()
def jobs() -> None:
    """List, show, watch, cancel, retry and rerun jobs.

    A job is named by the id that its submitter gave, or by the service's own.
    """


@jobs.command("list")
@click.option("--state", "states", type=click.Choice(_STATES), multiple=True, help="Only these states (repeatable).")
@click.option("--kind", "kinds", type=click.Choice(_KINDS), multiple=True, help="Only these kinds (repeatable).")
@click.option("--collection", help="Only jobs of this collection.")
@click.option("--model", help="Only jobs that this model embeds.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0, help="Skip so many.")
@click.option("--after", metavar="JOB", help="Begin behind this job; stays fast however deep.")
@asks_service
def list_jobs(client: IndexmillClient, as_json: bool, /, **wanted: Any) -> int:
    """List jobs, newest first."""
    page = client.jobs(**wanted)
    if as_json:
        print_json(page.raw)
        return ExitCode.OK
    columns = ("JOB", "KIND", "STATE", "REASON", "COLLECTION", "ITEMS", "DONE", "FAILED", "CREATED")
    print_table(columns, (_row(job) for job in page.jobs), empty="No job matches.")
    if page.next is not None:
        click.echo(f"More of them: --after {page.next}", err=True)
    return ExitCode.OK


@jobs.command("show")
@click.argument("job_id", metavar="JOB")
@click.option("--failed", type=click.IntRange(0, 1000), default=10, show_default=True, help="Failed items to show.")
@asks_service
def show(client: IndexmillClient, as_json: bool, job_id: str, failed: int) -> int:
    """Show one job and its first failed items."""
    job = client.job(job_id)
    failures = client.failed_items(job.id, limit=failed) if failed and job.counters.get("failed") else []
    if as_json:
        print_json({**job.raw, "failed_items": [dict(each.raw) for each in failures]})
        return ExitCode.OK
    _print_job(job)
    _print_failures(failures)
    return ExitCode.OK


@jobs.command("watch")
@click.argument("job_id", metavar="JOB")
@click.option("--timeout", type=click.FloatRange(0), metavar="SECONDS", help="Give up after so long; the job goes on.")
@asks_service
def watch(client: IndexmillClient, as_json: bool, job_id: str, timeout: float | None) -> int:
    """Show a job's progress until it has ended. Exits with 1 where it did not succeed."""
    from indexmill.cli.progress import job_progress

    with job_progress() as update:
        job = client.wait(job_id, timeout_seconds=timeout, on_progress=update)
    if as_json:
        print_json(job.raw)
    else:
        _print_job(job)
    return ExitCode.OK if job.succeeded else ExitCode.JOB_NOT_SUCCEEDED


@jobs.command("cancel")
@click.argument("job_id", metavar="JOB")
@asks_service
def cancel(client: IndexmillClient, as_json: bool, job_id: str) -> int:
    """Cancel an unfinished job; nothing of it is written after this. An ended job stays as it is."""
    job = client.cancel(job_id)
    if job.state != "cancelled":
        click.echo("The job had ended before; nothing was changed.", err=True)
    return report_job(job, as_json)


@jobs.command("retry", short_help="Run what failed of an ended job again.")
@click.argument("job_id", metavar="JOB")
@asks_service
def retry(client: IndexmillClient, as_json: bool, job_id: str) -> int:
    """Run the failed and unfinished items of an ended job again, without overwriting anything newer."""
    job = client.retry(job_id)
    if job.state == "succeeded":
        click.echo("Nothing of the job had failed; `indexmill jobs rerun` runs all of it again.", err=True)
    return report_job(job, as_json)


@jobs.command("rerun")
@click.argument("job_id", metavar="JOB")
@click.option("--force", is_flag=True, help="Embed again what has not changed, too.")
@asks_service
def rerun(client: IndexmillClient, as_json: bool, job_id: str, force: bool) -> int:
    """Run all items of a succeeded job again."""
    job = client.rerun(job_id, force=force)
    if job.state in ("failed", "cancelled", "refused"):
        click.echo("The job has not succeeded: `indexmill jobs retry` runs what is left of it.", err=True)
    return report_job(job, as_json)


def report_job(job: Job, as_json: bool) -> int:
    """Show the job."""
    if as_json:
        print_json(job.raw)
    else:
        _print_job(job)
    return ExitCode.OK


def _row(job: Job) -> tuple[Any, ...]:
    created = job.created_at[:19].replace("T", " ")
    failed = job.counters.get("failed", 0)
    done = f"{job.progress:.0%}"
    return (job.name, job.kind, job.state, job.reason, job.collection, job.total_items, done, failed, created)


def _print_job(job: Job) -> None:
    counted = ", ".join(f"{name} {number}" for name, number in job.counters.items() if number)
    print_record(
        [
            ("job", job.name),
            ("id", job.id if job.external_id else None),
            ("kind", job.kind),
            ("state", f"{job.state} ({job.reason})" if job.reason else job.state),
            ("detail", job.detail),
            ("collection", job.collection),
            ("model", job.model),
            ("attempt", job.attempt),
            ("items", f"{job.finished_items} of {job.total_items}"),
            ("counters", counted),
            ("submitted by", job.submitted_by),
            ("created", job.created_at),
            ("started", job.started_at),
            ("finished", job.finished_at),
        ]
    )


def _print_failures(failures: list[FailedItem]) -> None:
    if failures:
        rows = (
            (each.object_id, each.stage, each.code, "yes" if each.retryable else "no", each.detail) for each in failures
        )
        print_table(("FAILED ITEM", "STAGE", "CODE", "RETRYABLE", "WHY"), rows, empty="")
