"""Ended and open jobs of many tenants, written straight into a ledger: as many as no benchmark could run."""

from __future__ import annotations

from datetime import datetime

import psycopg

__all__ = ["COLLECTIONS_A_TENANT", "add_jobs", "add_tenants"]

COLLECTIONS_A_TENANT = 4

_TENANTS = """
INSERT INTO tenant (id, name) SELECT n, 'tenant ' || n FROM generate_series(2, %(tenants)s::integer) n
"""
_MODELS = """
INSERT INTO model (tenant, id, provider, settings, dimension)
SELECT id, 'generated', 'deterministic', '{"dimension": 8}', 8 FROM tenant
"""
_LANE = "INSERT INTO lane (name) VALUES ('generated')"
_COLLECTIONS = """
INSERT INTO collection (tenant, name, model, lane)
SELECT id, 'generated-' || n, 'generated', 'generated' FROM tenant, generate_series(1, %(collections)s::integer) n
"""
#: A second apart, the youngest at the end. Of a hundred `rare` fail, as many are cancelled, and as many are open; which
#: ones says nothing of their tenants and collections. Neighbours are of different tenants.
_JOBS = """
WITH place AS (
    SELECT array_agg(c.id ORDER BY c.id) AS ids FROM collection c
    WHERE c.name LIKE 'generated-%%' AND c.tenant <= %(tenants)s::integer
), drawn AS (
    SELECT n, p.ids[1 + (n * 7919) %% array_length(p.ids, 1)] AS collection, abs(hashint8(n) %% 100) AS draw,
           %(until)s::timestamptz - n * interval '1 second' AS at
    FROM generate_series(1, %(count)s::bigint) n, place p
)
INSERT INTO job (id, tenant, kind, seq, state, reason, collection, model, lane, events, queued_at, created_at,
                 updated_at, started_at, finished_at, bodies_deleted_at)
SELECT gen_random_uuid(), c.tenant, CASE draw %% 3 WHEN 0 THEN 'deletion' ELSE 'upsertion' END, nextval('job_seq'),
       CASE outcome WHEN 0 THEN 'failed' WHEN 1 THEN 'cancelled' WHEN 2 THEN 'running' ELSE 'succeeded' END,
       CASE outcome WHEN 0 THEN 'by_items' WHEN 1 THEN 'by_request' WHEN 2 THEN NULL
            ELSE CASE WHEN draw < 60 THEN 'nothing_changed' ELSE 'complete' END END,
       c.id, c.model, c.lane, 1, at, at, at, at, CASE WHEN outcome <> 2 THEN at END, CASE WHEN outcome <> 2 THEN at END
FROM (SELECT *, draw / %(rare)s::integer AS outcome FROM drawn) drawn JOIN collection c ON c.id = drawn.collection
"""


def add_tenants(connection: psycopg.Connection[dict[str, object]], tenants: int) -> None:
    """Tenants 1 to `tenants`, each with its collections `generated-1` to `generated-4`."""
    connection.execute(_TENANTS, {"tenants": tenants})
    connection.execute(_MODELS)
    connection.execute(_LANE)
    connection.execute(_COLLECTIONS, {"collections": COLLECTIONS_A_TENANT})


def add_jobs(
    connection: psycopg.Connection[dict[str, object]],
    count: int,
    until: datetime,
    *,
    tenants: int = 2**31 - 1,
    rare: int = 1,
) -> None:
    """So many jobs of the tenants from 1 to `tenants`, the last of them a second before `until`."""
    connection.execute(_JOBS, {"count": count, "until": until, "tenants": tenants, "rare": rare})
