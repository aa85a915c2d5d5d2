"""The ledger as one object: a part a table or trade, over one pool of connections."""

from __future__ import annotations

from dataclasses import dataclass

from indexmill.ledger.api_keys import ApiKeys
from indexmill.ledger.batches import Batches
from indexmill.ledger.callbacks import Callbacks
from indexmill.ledger.claims import Claims
from indexmill.ledger.collections import Collections
from indexmill.ledger.corpora import Corpora
from indexmill.ledger.database import Database
from indexmill.ledger.events import Events
from indexmill.ledger.failed_items import FailedItems
from indexmill.ledger.generations import Generations
from indexmill.ledger.indexing_jobs import IndexingJobs
from indexmill.ledger.jobs import Jobs
from indexmill.ledger.knowledge_bases import KnowledgeBases
from indexmill.ledger.lanes import Lanes
from indexmill.ledger.leases import Leases
from indexmill.ledger.models import Models
from indexmill.ledger.reopening import Reopening
from indexmill.ledger.retention import Retention
from indexmill.ledger.scans import Scans
from indexmill.ledger.spooled import Spooled
from indexmill.ledger.structural_jobs import StructuralJobs
from indexmill.ledger.submissions import Submissions
from indexmill.ledger.sweeps import Sweeps
from indexmill.ledger.tenants import Tenants
from indexmill.ledger.transitions import Transitions
from indexmill.ledger.withdrawal import Withdrawal
from indexmill.ledger.workload import Workload
from indexmill.settings import Settings

__all__ = ["Ledger", "open_ledger"]


@dataclass(frozen=True)
class Ledger:
    database: Database
    jobs: Jobs
    submissions: Submissions
    transitions: Transitions
    reopening: Reopening
    claims: Claims
    leases: Leases
    batches: Batches
    failed_items: FailedItems
    events: Events
    models: Models
    collections: Collections
    lanes: Lanes
    withdrawal: Withdrawal
    workload: Workload
    sweeps: Sweeps
    retention: Retention
    callbacks: Callbacks
    spooled: Spooled
    knowledge_bases: KnowledgeBases
    indexing_jobs: IndexingJobs
    scans: Scans
    corpora: Corpora
    structural_jobs: StructuralJobs
    generations: Generations
    api_keys: ApiKeys
    tenants: Tenants


def open_ledger(url: str, settings: Settings, *, pool_size: int | None = None) -> Ledger:
    """A ledger over an open pool; the caller closes `ledger.database`."""
    direct = settings.database.url is None or settings.database.url == settings.database.direct_url
    database = Database(
        url,
        pool_size=pool_size or settings.database.pool_size,
        direct=direct,
        connect_timeout=settings.database.connect_timeout_seconds,
    )
    database.open()
    jobs = Jobs(database)
    models = Models(database)
    transitions = Transitions(database)
    batches = Batches(database, transitions)
    worker = settings.worker
    kept = settings.retention
    return Ledger(
        database=database,
        jobs=jobs,
        submissions=Submissions(database, jobs, models, transitions),
        transitions=transitions,
        reopening=Reopening(database, models),
        claims=Claims(database, worker.lease_seconds, worker.window_deadline_seconds, worker.lane_probe_seconds),
        leases=Leases(database, worker.lease_seconds, worker.window_deadline_seconds),
        batches=batches,
        failed_items=FailedItems(database),
        events=Events(database),
        models=models,
        collections=Collections(database),
        lanes=Lanes(database, transitions, worker.lane_probe_seconds, worker.lane_give_up_seconds),
        withdrawal=Withdrawal(database, models, transitions),
        workload=Workload(database),
        sweeps=Sweeps(database),
        retention=Retention(database, kept.body_days, kept.job_days, kept.staging_hours, kept.tombstone_days),
        callbacks=Callbacks(database),
        spooled=Spooled(database),
        knowledge_bases=KnowledgeBases(database),
        indexing_jobs=IndexingJobs(database, transitions),
        scans=Scans(database, transitions, batches),
        corpora=Corpora(database),
        structural_jobs=StructuralJobs(database, batches),
        generations=Generations(database),
        api_keys=ApiKeys(database),
        tenants=Tenants(database),
    )
