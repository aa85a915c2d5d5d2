"""What there is to do and who is there to do it: for the waker, the sweeps, the watchdogs and the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from indexmill.ledger.database import Connection, Database, Row, run_query
from indexmill.ledger.pages import page_of

__all__ = ["HeldLease", "Ready", "Workload"]


@dataclass(frozen=True)
class Ready:
    """`batches`: ready ones, counted up to 1,000; `waited`: seconds the longest waiting of them has been ready."""

    batches: int
    waited: float
    slots: int


@dataclass(frozen=True)
class HeldLease:
    worker: str
    token: UUID
    past_deadline: bool


@dataclass(frozen=True)
class Workload:
    database: Database

    def ready(self) -> Ready:
        row = self.database.query("ready_work")[0]
        return Ready(row["batches"], float(row["waited"] or 0), row["slots"])

    def wake_waiting(self) -> int:
        """Make batches whose wait is over claimable again; how many."""
        return len(self.database.query("wake_waiting_batches"))

    def stalled_jobs(self, after: UUID | None = None) -> tuple[list[UUID], UUID | None]:
        """A page of running jobs that only wait, and where the next begins."""
        rows, following = page_of(self.database, "stalled_jobs", after)
        return [row["id"] for row in rows], following

    def finishable_jobs(self, after: UUID | None = None) -> tuple[list[UUID], UUID | None]:
        """A page of open jobs without an open batch, and where the next begins.

        Their last worker died between its commit and the finish.
        """
        rows, following = page_of(self.database, "finishable_jobs", after)
        return [row["id"] for row in rows], following

    def report(self, worker: str, slots: int) -> None:
        """Say that this supervisor lives and how many windows it can run at once; 0 slots: it leaves."""
        self.database.query("report_worker" if slots else "forget_worker", id=worker, slots=slots)

    def leases_of(self, supervisor: str) -> list[HeldLease]:
        """The leases of the processes of one supervisor."""
        rows = self.database.query("leases_of_worker", worker=supervisor)
        return [HeldLease(row["worker"], row["token"], row["past_deadline"]) for row in rows]

    def recently_committed(self, supervisor: str, seconds: float) -> set[str]:
        """The processes of one supervisor that have committed a window in the last seconds."""
        rows = self.database.query("recently_committed", worker=supervisor, seconds=seconds)
        return {row["worker"] for row in rows}

    def add_totals(self, connection: Connection, worker: str, *, items: int, embedded: int, tokens: int) -> None:
        """Count a window, in its own commit."""
        run_query(
            connection,
            "add_totals",
            worker=worker,
            items=items,
            embedded=embedded,
            tokens=tokens,
        )

    def totals(self) -> Row:
        return self.database.query("pipeline_totals")[0]

    def job_counts(self) -> list[Row]:
        """Open jobs by state and kind."""
        return self.database.query("open_job_counts")

    def index_builds(self) -> list[Row]:
        """The collections whose vector index is being built, and how much of it is."""
        return self.database.query("index_builds")

    def login_failures(self) -> dict[str, int]:
        """How often somebody was not let in, by what it was."""
        return {row["what"]: row["count"] for row in self.database.query("login_failures")}

    def waiting_callbacks(self) -> int:
        """Messages about jobs that are not delivered yet."""
        return int(self.database.query("waiting_callbacks")[0]["waiting"])
