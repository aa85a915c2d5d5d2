-- As close_open_batches, of these data sources only. The job is locked.
WITH locked AS (
    SELECT job, ordinal FROM batch
    WHERE job = %(job)s AND source = ANY (%(sources)s::uuid[]) AND state IN ('ready', 'waiting', 'running')
    ORDER BY job, ordinal FOR UPDATE
)
UPDATE batch b
SET state = 'cancelled', lease = NULL, ended_at = ledger_now(),
    cancelled = items - (indexed + unchanged + payload_updated + superseded + removed + absent + failed)
FROM locked
WHERE b.job = locked.job AND b.ordinal = locked.ordinal AND b.state IN ('ready', 'waiting', 'running')
RETURNING b.ordinal;
