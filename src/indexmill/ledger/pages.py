"""Pages of jobs by id, for duties that take a page a turn: what cannot be done does not keep a turn from the others."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from indexmill.ledger.database import Database, Row

__all__ = ["page_of"]

_JOBS_A_PAGE = 1000
_BEFORE_ALL = UUID(int=0)


def page_of(database: Database, query: str, after: UUID | None, **values: Any) -> tuple[list[Row], UUID | None]:
    """The query's rows after that job's, and the id after which the next page begins; None: from the start again."""
    rows = database.query(query, prepare=None, after=after or _BEFORE_ALL, limit=_JOBS_A_PAGE, **values)
    return rows, rows[-1]["id"] if len(rows) == _JOBS_A_PAGE else None
