"""What PostgreSQL does for a page of jobs: read from its plan, as it ran."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from indexmill.domain.job import JobPlace, JobWalk
from indexmill.ledger.jobs import walk_values
from indexmill.ledger.sql_files import query_text

__all__ = ["WalkPlan", "walk_plan"]

_LOST: Final = ("Rows Removed by Filter", "Rows Removed by Index Recheck")


@dataclass(frozen=True)
class WalkPlan:
    """`scans`: what reads the whole table of jobs, or a whole index of it. `read`: its rows and its indexes' entries
    that were touched; `most_read`: what a page may touch. `sorted`: the rows that the largest sort was given.
    """

    scans: list[str]
    read: int
    most_read: int
    sorted: int

    @property
    def problem(self) -> str | None:
        if self.scans:
            return f"reads all jobs: {', '.join(self.scans)}"
        if self.read > self.most_read:
            return f"reads {self.read} jobs, expected at most {self.most_read}"
        return f"sorts {self.sorted} jobs" if self.sorted > self.most_read else None


def walk_plan(
    connection: psycopg.Connection[dict[str, Any]], wanted: JobWalk, after: JobPlace | None, limit: int
) -> WalkPlan:
    """Runs the page's query. The connection plans as the ledger's do."""
    values = walk_values(wanted) | {"after_at": None, "after_id": None, "limit": limit}
    if after is not None:
        values |= {"after_at": after.created_at, "after_id": after.id}
    explain = "EXPLAIN (ANALYZE, BUFFERS OFF, FORMAT JSON) " + query_text("indexmill.ledger", "walk_jobs")
    with connection.transaction():
        connection.execute(query_text("indexmill.ledger", "begin_walk"))
        rows = connection.execute(explain, values, prepare=False).fetchall()
    nodes = list(_nodes(rows[0]["QUERY PLAN"][0]["Plan"]))
    of_jobs = [each for each in nodes if each.get("Relation Name") == "job" or "job" in each.get("Index Name", "")]
    given = [each for node in nodes if "Sort" in node["Node Type"] for each in node["Plans"]]
    # Each way to the jobs, of a state and a collection, goes to its limit; then those of the page are shown.
    ways = (len(values["reasons"]) + 1) * len(wanted.collections or (1,))
    return WalkPlan(
        scans=[each["Node Type"] for each in of_jobs if "Index Cond" not in each],
        read=sum(_rows(each, *_LOST) for each in of_jobs),
        most_read=2 * limit * (ways + 1),
        sorted=max(map(_rows, given), default=0),
    )


def _rows(node: dict[str, Any], *more: str) -> int:
    """That it gave, in all its rounds, and `more` of what it says of each round."""
    rows = node["Actual Rows"] + sum(node.get(name, 0) for name in more)
    # Of many rounds the mean is told.
    return int(rows * node["Actual Loops"] + 0.5)


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for each in node.get("Plans", ()):
        yield from _nodes(each)
