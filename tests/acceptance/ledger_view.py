"""What the database says, read past the service: documents, conservation, losses, leases."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

__all__ = ["LedgerView"]


class LedgerView:
    """Every call is a connection of its own, so that it outlives restarts of the database."""

    def __init__(self, url: str) -> None:
        self.url = url

    def rows(self, query: str, **values: object) -> list[dict[str, Any]]:
        with psycopg.connect(self.url, autocommit=True, row_factory=dict_row, connect_timeout=10) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def value(self, query: str, **values: object) -> Any:
        return next(iter(self.rows(query, **values)[0].values()))

    def count(self, model: str = "tiny") -> int:
        """Documents that are there, tombstones left out."""
        query = """SELECT count(*) FROM document d JOIN collection c ON c.id = d.collection
                   WHERE c.name = %(model)s AND d.deleted_at IS NULL"""
        return int(self.value(query, model=model))

    def texts(self, model: str = "tiny") -> dict[str, str]:
        """Object id -> text of the documents that are there."""
        query = """SELECT d.id, d.text FROM document d JOIN collection c ON c.id = d.collection
                   WHERE c.name = %(model)s AND d.deleted_at IS NULL"""
        return {row["id"]: row["text"] for row in self.rows(query, model=model)}

    def dump(self, model: str = "tiny") -> list[tuple[Any, ...]]:
        """Everything of a collection that a late writer could change: documents, versions, chunks and vectors."""
        with psycopg.connect(self.url, connect_timeout=10) as connection:
            found = connection.execute("SELECT id, generation FROM collection WHERE name = %s", [model]).fetchone()
            assert found is not None
            table = sql.Identifier(f"chunk_{found[0]}_{found[1]}")
            query = sql.SQL(
                """SELECT d.id, d.seq, d.position, d.outcome, d.text, d.payload::text, d.chunks, d.deleted_at,
                          d.updated_at, c.ordinal, c.embedding::text
                   FROM document d LEFT JOIN {table} c ON c.document = d.key
                   WHERE d.collection = %s ORDER BY d.id, c.ordinal"""
            ).format(table=table)
            return connection.execute(query, [found[0]]).fetchall()

    def losses(self) -> int:
        return int(self.value("SELECT coalesce(sum(losses), 0) FROM batch"))

    def leases(self) -> list[dict[str, Any]]:
        return self.rows("SELECT token, worker, expires_at, deadline_at FROM lease")

    def check(self) -> None:
        """Conservation, one terminal event an attempt, no orphan of any kind among ended jobs."""
        wrong = self.rows(
            """SELECT id, state, total_items FROM job
               WHERE finished_at IS NOT NULL AND total_items <>
                   indexed + unchanged + payload_updated + superseded + removed + absent + failed + cancelled"""
        )
        assert not wrong, f"items in are not the sum of outcomes: {wrong[:3]}"
        wrong = self.rows(
            """SELECT * FROM (
                   SELECT j.id, j.total_items, sum(b.items) AS items, j.indexed, sum(b.indexed) AS batches_indexed,
                          sum(b.indexed + b.unchanged + b.payload_updated + b.superseded + b.removed + b.absent
                              + b.failed + b.cancelled) AS decided
                   FROM job j JOIN batch b ON b.job = j.id WHERE j.finished_at IS NOT NULL GROUP BY j.id
               ) summed WHERE total_items <> items OR total_items <> decided OR indexed <> batches_indexed"""
        )
        assert not wrong, f"batches do not add up to their job: {wrong[:3]}"
        wrong = self.rows(
            """SELECT j.id, j.state FROM job j JOIN batch b ON b.job = j.id
               WHERE j.finished_at IS NOT NULL AND b.state IN ('ready', 'waiting', 'running')"""
        )
        assert not wrong, f"an ended job has open batches: {wrong[:3]}"
        wrong = self.rows(
            """SELECT j.id, j.attempt, count(*) AS ends FROM job j JOIN job_event e ON e.job = j.id
               WHERE j.finished_at IS NOT NULL AND e.state IN ('succeeded', 'failed', 'cancelled', 'refused')
               GROUP BY j.id HAVING count(*) <> j.attempt"""
        )
        assert not wrong, f"not exactly one end an attempt: {wrong[:3]}"
        wrong = self.rows(
            """SELECT j.id, count(*) AS failed FROM job j LEFT JOIN failed_item f ON f.job = j.id
               WHERE j.finished_at IS NOT NULL GROUP BY j.id HAVING count(f.job) <> j.failed"""
        )
        assert not wrong, f"failed items are not the ones counted: {wrong[:3]}"
