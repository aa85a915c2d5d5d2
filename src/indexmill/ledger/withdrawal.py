"""Taking a model out of service: its waiting jobs are refused, its running ones fail, its vectors stay."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from uuid import UUID

from indexmill.domain.job_state import JobState, Reason
from indexmill.domain.outcome import Ending
from indexmill.ledger.database import Connection, Database, Row, run_query
from indexmill.ledger.models import Models
from indexmill.ledger.pages import page_of
from indexmill.ledger.transitions import Transitions

__all__ = ["Withdrawal"]


@dataclass(frozen=True)
class Withdrawal:
    database: Database
    models: Models
    transitions: Transitions

    def withdraw(self, model: str, tenant: int) -> None:
        """End its open jobs: a page of them now, the others by the sweep. Deletions go on: they need no model.

        Raises:
            ModelNotFound
        """
        self.models.require(model, tenant)
        self.database.query("withdraw_model", tenant=tenant, id=model)
        self.end_jobs()

    def end_jobs(self, after: UUID | None = None) -> UUID | None:
        """End a page of the open jobs of withdrawn models; where the next page begins.

        A sweep repeats it for those that were being submitted meanwhile.
        """
        rows, following = page_of(self.database, "open_jobs_of_withdrawn_models", after)
        for row in rows:
            self.transitions.alone(row["id"], partial(self._end, row))
        return following

    def _end(self, row: Row, connection: Connection) -> None:
        sentence = f"Embedding model `{row['model']}` was withdrawn"
        locked = run_query(connection, "lock_jobs_in_state", ids=[row["id"]], state=str(JobState.QUEUED))
        end = Ending(JobState.REFUSED, Reason.WITHDRAWN) if locked else Ending(JobState.FAILED, Reason.SYSTEM)
        self.transitions.close(connection, row["id"], end, sentence)
