"""Storing new jobs: one statement and one commit for one job or for many that arrived together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from psycopg.types.json import Jsonb

from indexmill.domain.bodies import Body
from indexmill.domain.job import JobKind, Submission
from indexmill.ledger.database import Connection, Database, Row, run_query

__all__ = ["NewJob", "insert_jobs", "store_jobs"]


@dataclass(frozen=True)
class NewJob:
    """A small request, encoded: what the statement needs of it."""

    submission: Submission
    id: UUID
    bodies: list[Body]
    fingerprint: bytes
    distinct_ids: bool


def store_jobs(database: Database, jobs: Sequence[NewJob]) -> list[Row]:
    """Store the jobs in this order, in one statement and commit; the rows of those that were stored."""
    if not jobs:
        return []
    with database.connection() as connection:
        return insert_jobs(connection, jobs)


def insert_jobs(connection: Connection, jobs: Sequence[NewJob]) -> list[Row]:
    """As `store_jobs`, committed with the caller's transaction."""
    submissions = [job.submission for job in jobs]
    bodies = [(job.id, ordinal, body) for job in jobs for ordinal, body in enumerate(job.bodies)]
    spooled = [(job.id, reference) for job in jobs for reference in job.submission.spooled]
    return run_query(
        connection,
        "submit_jobs",
        ids=[job.id for job in jobs],
        tenants=[each.tenant for each in submissions],
        kinds=[str(each.kind) for each in submissions],
        external_ids=[each.external_id for each in submissions],
        models=[each.model for each in submissions],
        collections=[each.collection_name for each in submissions],
        numbers=[each.collection_number for each in submissions],
        documents=[each.document for each in submissions],
        deletes=[each.kind is JobKind.DELETION for each in submissions],
        fingerprints=[job.fingerprint for job in jobs],
        totals=[sum(body.items for body in job.bodies) for job in jobs],
        distinct_ids=[job.distinct_ids for job in jobs],
        submitters=[each.submitted_by for each in submissions],
        callbacks=_callbacks(jobs),
        jobs=[job_id for job_id, _, _ in bodies],
        ordinals=[ordinal for _, ordinal, _ in bodies],
        first_positions=[body.first_position for _, _, body in bodies],
        items=[body.items for _, _, body in bodies],
        sizes=[body.size for _, _, body in bodies],
        bodies=[body.data for _, _, body in bodies],
        spooled_jobs=[job_id for job_id, _ in spooled],
        references=[reference for _, reference in spooled],
    )


def _callbacks(jobs: Sequence[NewJob]) -> Jsonb | None:
    """By job id; None where nobody wants any, as is usual."""
    wanted = {str(job.id): job.submission.callback for job in jobs if job.submission.callback is not None}
    return Jsonb(wanted) if wanted else None
