-- Withdrawn ones that no collection names any more, with their lanes.
WITH gone AS (
    DELETE FROM model WHERE (tenant, id) IN (
        SELECT m.tenant, m.id FROM model m
        WHERE m.withdrawn_at < ledger_now() - make_interval(secs => %(days)s * 86400)
          AND NOT EXISTS (SELECT 1 FROM collection c WHERE c.tenant = m.tenant AND c.model = m.id)
        ORDER BY m.withdrawn_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    )
    RETURNING tenant, id
), lanes AS (
    DELETE FROM lane l USING gone WHERE l.tenant = gone.tenant AND l.model = gone.id
)
SELECT id FROM gone;
